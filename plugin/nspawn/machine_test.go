package nspawn

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fake is a machine whose nspawn runs the command on this host, in the tree, and complains as the real one does.
func fake(t *testing.T) *Machine {
	t.Helper()
	program := filepath.Join(t.TempDir(), "nspawn")
	must(t, os.WriteFile(program, []byte(`#!/bin/sh
printf '%s\n' "$@" > "$0.args"
env | sort > "$0.env"
for last; do :; done
cd "$(sed -n 's/^--directory=//p' "$0.args")"
/bin/sh -c "$last"
status=$?
echo 'Attempted to remove disk file system under "/run/systemd/nspawn/propagate/x", and we can'"'"'t allow that.' >&2
exit $status
`), 0o755))
	return &Machine{Program: program, Root: t.TempDir(), Name: "test", Env: []string{"SOURCE_DATE_EPOCH=1"}}
}

func start(t *testing.T, m *Machine, shell string) (cmd *packersdk.RemoteCmd, stdout, stderr *bytes.Buffer) {
	t.Helper()
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd = &packersdk.RemoteCmd{Command: shell, Stdout: stdout, Stderr: stderr}
	must(t, m.Start(t.Context(), cmd))
	return cmd, stdout, stderr
}

func TestStart(t *testing.T) {
	m := fake(t)
	ended := 0
	m.After = func(status int) { ended += status }
	cmd, stdout, stderr := start(t, m, `echo out; echo err >&2; echo "a  b" '$HOME'; printf last >&2; exit 3`)
	if status := cmd.Wait(); status != 3 {
		t.Errorf("exit status %d, want 3", status)
	}
	if diff := cmp.Diff("out\na  b $HOME\n", stdout.String()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("err\nlastAttempted to remove disk file system under \"/run/systemd/nspawn/propagate/x\", and we can't allow that.\n", stderr.String()); diff != "" {
		t.Error(diff) // an unfinished line and nspawn's own are one
	}
	if ended != 3 {
		t.Errorf("After heard %d", ended)
	}
}

func TestComplaintIsLeftOut(t *testing.T) {
	cmd, _, stderr := start(t, fake(t), "echo err >&2")
	if cmd.Wait() != 0 || stderr.String() != "err\n" {
		t.Errorf("stderr is %q", stderr)
	}
}

func TestInput(t *testing.T) {
	var out bytes.Buffer
	cmd := &packersdk.RemoteCmd{Command: "tr a-z A-Z", Stdin: strings.NewReader("input"), Stdout: &out}
	must(t, fake(t).Start(t.Context(), cmd))
	if cmd.Wait() != 0 || out.String() != "INPUT" {
		t.Errorf("got %q", out.String())
	}
}

func TestCommandLine(t *testing.T) {
	t.Setenv("https_proxy", "http://user:secret@proxy:3128")
	m := fake(t)
	cmd, _, _ := start(t, m, "true")
	cmd.Wait()
	args, err := os.ReadFile(m.Program + ".args")
	must(t, err)
	want := strings.Join([]string{
		"--quiet", "--directory=" + m.Root, "--machine=test-0", "--hostname=cincbake", "--register=no", "--keep-unit", "--as-pid2", "--pipe",
		"--resolv-conf=bind-host", "--timezone=off", "--link-journal=no",
		"--drop-capability=" + strings.Join(droppedCapabilities(), ","),
		"--setenv=PATH", "--setenv=DEBIAN_FRONTEND", "--setenv=https_proxy", "--setenv=SOURCE_DATE_EPOCH", "/bin/sh", "-c", "true", "",
	}, "\n")
	if diff := cmp.Diff(want, string(args)); diff != "" {
		t.Error(diff) // above all: no value of a variable, a proxy may have a password
	}
	env, err := os.ReadFile(m.Program + ".env")
	must(t, err)
	for _, line := range []string{"SYSTEMD_NSPAWN_TMPFS_TMP=0", "SYSTEMD_NSPAWN_LOCK=0", "SOURCE_DATE_EPOCH=1", "https_proxy=http://user:secret@proxy:3128", "PATH=" + searchPath} {
		if !strings.Contains(string(env), line+"\n") {
			t.Errorf("the environment lacks %s:\n%s", line, env)
		}
	}
	if strings.Contains(string(env), "HOME=") {
		t.Errorf("the host's environment got in:\n%s", env)
	}
}

func TestMissingProgram(t *testing.T) {
	m := fake(t)
	m.Program = "/none"
	if err := m.Start(t.Context(), &packersdk.RemoteCmd{Command: "true"}); err == nil {
		t.Error("started")
	}
	m.Stop() // must not wait for it
}

// direct is a machine whose nspawn becomes the command, so that the command gets the signals.
func direct(t *testing.T) *Machine {
	t.Helper()
	program := filepath.Join(t.TempDir(), "nspawn")
	must(t, os.WriteFile(program, []byte("#!/bin/sh\nfor last; do :; done\nexec /bin/sh -c \"$last\"\n"), 0o755))
	return &Machine{Program: program, Root: t.TempDir(), Name: "test"}
}

// waitFor waits for a file that a command makes.
func waitFor(t *testing.T, name string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(name); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not appear", name)
		}
	}
}

func TestStopEndsCommands(t *testing.T) {
	m := direct(t)
	ready, ended := filepath.Join(m.Root, "ready"), filepath.Join(m.Root, "ended")
	cmd, _, _ := start(t, m, "trap 'touch "+ended+"; exit 7' TERM; touch "+ready+"; while :; do sleep 0.05; done")
	waitFor(t, ready)
	m.Stop()
	if _, err := os.Stat(ended); err != nil {
		t.Errorf("Stop came back before the command had ended: %v", err)
	}
	if status := cmd.Wait(); status != 7 {
		t.Errorf("exit status %d, want 7", status)
	}
	if err := m.Start(t.Context(), &packersdk.RemoteCmd{Command: "true"}); err == nil {
		t.Error("a stopped machine runs commands")
	}
}

func TestCancelledCommand(t *testing.T) {
	m := direct(t)
	ctx, cancel := context.WithCancel(t.Context())
	cmd := &packersdk.RemoteCmd{Command: "exec sleep 60"}
	must(t, m.Start(ctx, cmd))
	cancel()
	if status := cmd.Wait(); status != 255 {
		t.Errorf("exit status %d, want 255", status)
	}
	m.Stop()
}
