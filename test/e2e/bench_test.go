//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// bench is what the suite works with: one working folder, the built binaries, and a record of everything they printed.
type bench struct {
	home    string // the checkout
	dir     string // the cluster's folder, where cluster.yaml lies
	images  string
	env     []string
	baked   map[string]image // by role
	figures []string         // what the closing summary prints

	mu     sync.Mutex
	spoken bytes.Buffer // everything that any command printed, for the planted-secret test
}

// outcome is how one run of the command ended.
type outcome struct {
	stdout, stderr string
	code           int
	took           time.Duration
}

// newBench is a workbench for a cluster that runs in the lab.
func newBench(t *testing.T) *bench {
	t.Helper()
	b := newWorkbench(t)
	t.Cleanup(func() {
		if down := b.try(t, time.Minute, "lab", "down"); down.code != 0 {
			t.Errorf("lab down: %s", down.stderr)
		}
	})
	return b
}

func newWorkbench(t *testing.T) *bench {
	t.Helper()
	home, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	require(t, os.Geteuid() == 0, "root", "run it as root")
	for _, program := range []string{"mmdebstrap", "systemd-nspawn", "ip", "mkfs.ext4"} {
		_, err := exec.LookPath(program)
		require(t, err == nil, program, "hack/packages.sh install")
	}
	for _, built := range []string{"bin/cincbake", "bin/packer-plugin-cincbake", ".cache/tools/packer"} {
		_, err := os.Stat(filepath.Join(home, built))
		require(t, err == nil, built, "make build plugins")
	}
	work := t.TempDir()
	return &bench{
		home:   home,
		dir:    filepath.Join(work, "cluster"),
		images: filepath.Join(work, "images"),
		env:    append(os.Environ(), "PACKER_PLUGIN_PATH="+filepath.Join(home, ".cache/plugins")),
	}
}

// require skips the test when something is missing, with the way to get it; CINCBAKE_REQUIRE=1 makes that a failure.
func require(t *testing.T, there bool, what, remedy string) {
	t.Helper()
	switch {
	case there:
	case os.Getenv("CINCBAKE_REQUIRE") == "1":
		t.Fatalf("needs %s: %s", what, remedy)
	default:
		t.Skipf("needs %s: %s", what, remedy)
	}
}

// start starts a cincbake in the cluster's folder.
func (b *bench) start(ctx context.Context, t *testing.T, stdout, stderr io.Writer, args ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(ctx, filepath.Join(b.home, "bin/cincbake"), args...)
	command.Env, command.Stdout, command.Stderr = b.env, stdout, stderr
	if _, err := os.Stat(b.dir); err == nil {
		command.Dir = b.dir
	}
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 2 * time.Minute
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	return command
}

// try runs a cincbake and returns how it ended.
func (b *bench) try(t *testing.T, limit time.Duration, args ...string) outcome {
	t.Helper()
	// Not t.Context(): the clean-up runs commands too, when that is over.
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	began := time.Now()
	command := b.start(ctx, t, &stdout, &stderr, args...)
	err := command.Wait()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatalf("cincbake %s: %v", strings.Join(args, " "), err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spoken.Write(stdout.Bytes())
	b.spoken.Write(stderr.Bytes())
	return outcome{stdout.String(), stderr.String(), command.ProcessState.ExitCode(), time.Since(began)}
}

// must runs a cincbake that must succeed.
func (b *bench) must(t *testing.T, limit time.Duration, args ...string) outcome {
	t.Helper()
	o := b.try(t, limit, args...)
	if o.code != 0 {
		t.Fatalf("cincbake %s: exit code %d after %.1f s\n%s%s", strings.Join(args, " "), o.code, o.took.Seconds(), o.stdout, o.stderr)
	}
	return o
}

// ask runs a cincbake with -o json and decodes what it prints.
func ask[T any](t *testing.T, b *bench, limit time.Duration, args ...string) T {
	t.Helper()
	o := b.must(t, limit, append(args, "-o", "json")...)
	return decode[T](t, o.stdout)
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var data T
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		t.Fatalf("what was printed is not the JSON that was expected: %v\n%s", err, text)
	}
	return data
}

// figure keeps a measurement for the summary and prints it where it was made.
func (b *bench) figure(t *testing.T, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	t.Log(text)
	b.figures = append(b.figures, t.Name()+": "+text)
}
