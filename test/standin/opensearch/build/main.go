// Build writes the stand-in package of OpenSearch: the server's real code from Maven Central in the layout of the official
// .deb, with a program in place of the security plugin. It is a test fixture.
package main

import (
	"bufio"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "building the stand-in of OpenSearch:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(ctx context.Context, arguments []string, out io.Writer) error {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	dir := flags.String("out", "", "folder for the package, made if need be")
	cache := flags.String("cache", "", "folder for the assembled server (default .cache/standin of the project)")
	treeOnly := flags.Bool("tree", false, "assemble the plain server only, and print its folder")
	if err := flags.Parse(arguments); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if flags.NArg() > 0 || *dir == "" && !*treeOnly {
		return errors.New("usage: go run ./test/standin/opensearch/build --out DIR | --tree")
	}
	root, err := projectRoot(ctx)
	if err != nil {
		return err
	}
	if *cache == "" {
		*cache = filepath.Join(root, ".cache", "standin")
	}
	tree, err := assemble(ctx, *cache)
	if err != nil {
		return err
	}
	if *treeOnly {
		_, err := fmt.Fprintln(out, tree)
		return err
	}
	work, err := os.MkdirTemp("", "opensearch-standin-")
	if err != nil {
		return err
	}
	file, digest, err := build(ctx, root, tree, work, *dir)
	if err := errors.Join(err, os.RemoveAll(work)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s sha512:%s\n", file, digest)
	return err
}

// build compiles what the package needs in the folder work, and puts the whole package into dir.
func build(ctx context.Context, root, tree, work, dir string) (file, digest string, err error) {
	if err := compile(ctx, root, work); err != nil {
		return "", "", err
	}
	content, err := contents(tree, work)
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
	sum := sha512.New()
	buffered := bufio.NewWriterSize(io.MultiWriter(partial, sum), 1<<20)
	if err := errors.Join(content.Write(buffered, data), buffered.Flush(), partial.Close(), data.Close()); err != nil {
		return "", "", err
	}
	return file, hex.EncodeToString(sum.Sum(nil)), os.Rename(partial.Name(), file)
}

// The names of what compile makes.
const (
	frontName   = "front"
	preloadName = "nofile.so"
)

// compile makes the program that stands before the server, and what answers for the limit of open files. Neither holds
// when or where it was made.
func compile(ctx context.Context, root, work string) error {
	front := command(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", filepath.Join(work, frontName), "./test/standin/opensearch/front")
	front.Dir = root
	front.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	if err := lastLines(front.CombinedOutput()); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		return errors.New("gcc is missing: apt-get install gcc libc6-dev")
	}
	source, err := files.ReadFile("files/nofile.c")
	if err != nil {
		return err
	}
	preload := command(ctx, "gcc", "-x", "c", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-s", "-Wl,--build-id=none", "-o", filepath.Join(work, preloadName), "-")
	preload.Stdin = strings.NewReader(string(source))
	if err := lastLines(preload.CombinedOutput()); err != nil {
		return fmt.Errorf("gcc: %w", err)
	}
	return nil
}

func command(ctx context.Context, name string, arguments ...string) *exec.Cmd {
	return exec.CommandContext(ctx, name, arguments...)
}

// lastLines adds the end of what a program printed to its error.
func lastLines(output []byte, err error) error {
	if err == nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	return fmt.Errorf("%w\n%s", err, strings.Join(lines[max(0, len(lines)-20):], "\n"))
}

// projectRoot finds the project that this program is part of.
func projectRoot(ctx context.Context) (string, error) {
	out, err := command(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cincbake/cincbake").Output()
	if err != nil {
		return "", fmt.Errorf("go list: %w: run it inside the project", err)
	}
	return strings.TrimSpace(string(out)), nil
}
