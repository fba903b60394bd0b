// Build writes the stand-in package of Cinc Server: a program with the contract of cinc-server-ctl, and Debian's goiardi for
// the API. It is a test fixture.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "building the stand-in of Cinc Server:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(ctx context.Context, arguments []string, out io.Writer) error {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	dir := flags.String("out", "", "folder for the package, made if need be")
	if err := flags.Parse(arguments); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if flags.NArg() > 0 || *dir == "" {
		return errors.New("usage: go run ./test/standin/cinc/build --out DIR")
	}
	work, err := os.MkdirTemp("", "cinc-standin-")
	if err != nil {
		return err
	}
	file, digest, err := build(ctx, work, *dir)
	if err := errors.Join(err, os.RemoveAll(work)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s sha256:%s\n", file, digest)
	return err
}

// build compiles the program in the folder work, and puts the whole package into dir.
func build(ctx context.Context, work, dir string) (file, digest string, err error) {
	program := filepath.Join(work, "cinc-server-ctl")
	if err := compile(ctx, program); err != nil {
		return "", "", err
	}
	content, err := contents(program)
	if err != nil {
		return "", "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a package is no secret
		return "", "", err
	}
	file = filepath.Join(dir, content.FileName())
	partial, err := os.Create(file + ".partial")
	if err != nil {
		return "", "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(partial.Name()))
		}
	}()
	data, err := os.Create(filepath.Join(work, "data")) //nolint:gosec // a folder of our own
	if err != nil {
		return "", "", err
	}
	sum := sha256.New()
	if err := errors.Join(content.Write(io.MultiWriter(partial, sum), data), partial.Close(), data.Close()); err != nil {
		return "", "", err
	}
	return file, hex.EncodeToString(sum.Sum(nil)), os.Rename(partial.Name(), file)
}

// compile makes the program. It does not hold when or where it was made.
func compile(ctx context.Context, program string) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cincbake/cincbake").Output()
	if err != nil {
		return fmt.Errorf("go list: %w: run it inside the project", err)
	}
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", program, "./test/standin/cinc/ctl") //nolint:gosec // a folder of our own
	command.Dir = strings.TrimSpace(string(root))
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture)
	if output, err := command.CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(output)), "\n")
		return fmt.Errorf("go build: %w\n%s", err, strings.Join(lines[max(0, len(lines)-20):], "\n"))
	}
	return nil
}
