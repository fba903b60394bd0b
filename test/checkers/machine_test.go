//go:build integration

package checkers

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cincbake/cincbake/roles"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

//go:embed enter.sh
var enter string

// TestMain moves the tests into a mount name space of their own: whatever ends them, no mount of theirs stays behind.
func TestMain(m *testing.M) {
	const moved = "CINCBAKE_CHECKERS_MOVED"
	if os.Getenv(moved) != "" || os.Geteuid() != 0 {
		os.Exit(m.Run())
	}
	again := exec.CommandContext(context.Background(), "/proc/self/exe", os.Args[1:]...)
	again.Env = append(os.Environ(), moved+"=1")
	again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
	again.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // which makes every mount private, too
	err := again.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(again.ProcessState.ExitCode())
}

// programs returns the tree that holds the real programs.
func programs(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		require(t, "root mounts the machines' trees: run it with sudo")
	}
	command := exec.CommandContext(t.Context(), "../../hack/checkers.sh")
	var said strings.Builder
	command.Stderr = &said
	out, err := command.Output()
	if err != nil {
		require(t, fmt.Sprintf("hack/checkers.sh makes the tree of the real programs, and failed: %v\n%s", err, lastLines(said.String())))
	}
	return strings.TrimSpace(string(out))
}

// require skips a test with its reason, or fails it where everything must run.
func require(t *testing.T, missing string) {
	t.Helper()
	if os.Getenv("CINCBAKE_REQUIRE") == "1" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

// machine is a tree with the real programs and the files that bake and boot write on one machine, each at its own place.
type machine struct {
	root      string
	addresses []string // its own first, then the other machines' and the name servers'
	files     []string // what was written, in order
}

// selfHosted makes a machine of the self-hosted cluster of testdata, by its name.
func selfHosted(t *testing.T, name string) *machine {
	t.Helper()
	tree := programs(t)
	for _, c := range clusters(t) {
		for _, in := range c.machines {
			if c.name == "self-hosted" && in.Self.Name == name {
				return boot(t, tree, in)
			}
		}
	}
	t.Fatalf("no self-hosted cluster has a machine %s", name)
	return nil
}

// python runs a script on the machine, and returns the last line that it prints.
func (m *machine) python(t *testing.T, script string, args ...string) string {
	t.Helper()
	out, err := m.run(t.Context(), append([]string{"python3", "-c", script}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}

// boot makes a machine: the files of its image, then those of its boot.
func boot(t *testing.T, tree string, in role.Inputs) *machine {
	t.Helper()
	m := &machine{addresses: []string{netip.PrefixFrom(in.Self.Address, in.Cluster.Network.Prefix.Bits()).String()}}
	for _, peer := range in.Peers {
		m.addresses = append(m.addresses, peer.Node.Address.String())
	}
	for _, dns := range in.Cluster.Network.DNS {
		m.addresses = append(m.addresses, dns.String())
	}
	m.mount(t, tree)
	m.apply(t, written(t, in))
	return m
}

// written returns the steps that write a machine's files: those of its image, then those of its boot.
func written(t *testing.T, in role.Inputs) step.Plan {
	t.Helper()
	built, err := roles.Of(in.Self.Role)
	if err != nil {
		t.Fatal(err)
	}
	image, err := built.Bake(in.Cluster.Recipe(in.Self.Role))
	if err != nil {
		t.Fatal(err)
	}
	wiring, err := built.Boot(in)
	if err != nil {
		t.Fatal(err)
	}
	return append(image, wiring...)
}

// mount puts a layer of the machine's own over the tree.
func (m *machine) mount(t *testing.T, tree string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"root", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil { //nolint:gosec // other users' programs enter it
			t.Fatal(err)
		}
	}
	m.root = filepath.Join(dir, "root")
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", tree, filepath.Join(dir, "upper"), filepath.Join(dir, "work"))
	if err := unix.Mount("overlay", m.root, "overlay", 0, options); err != nil {
		t.Fatalf("mount %s: %v", m.root, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(m.root, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// apply writes the plan's files. What its other steps do, the tree has or no program that is checked needs.
func (m *machine) apply(t *testing.T, plan step.Plan) {
	t.Helper()
	var files step.Plan
	for _, s := range plan {
		switch action := s.Action.(type) {
		case step.File:
			if !slices.Contains(m.files, action.Path) { // boot writes some of an image's files anew
				m.files = append(m.files, action.Path)
			}
			action.Reader = nil // the checkers read it, and more often
			s.Action = action
			files = append(files, s)
		case step.Directory, step.Symlink:
			files = append(files, s)
		}
	}
	if _, err := files.Apply(t.Context(), step.Folder(m.root), nil); err != nil {
		t.Fatal(err)
	}
}

// read returns a file of the machine.
func (m *machine) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// write changes a file of the machine and leaves its owner and mode as they are.
func (m *machine) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.root, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// matching returns the files that a pattern of path.Match matches.
func matching(pattern string, files []string) []string {
	return slices.DeleteFunc(slices.Clone(files), func(file string) bool {
		ok, err := path.Match(pattern, file)
		return err != nil || !ok
	})
}

// command is a program in the machine. It dies with its context, and everything that it started with it.
func (m *machine) command(ctx context.Context, argv ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "sh", append([]string{"-c", enter, "enter.sh", m.root, strings.Join(m.addresses, " ")}, argv...)...)
	command.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root"}
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	return command
}

// runWithin is far longer than any checker takes.
const runWithin = 2 * time.Minute

// run lets a program end and returns what it printed.
func (m *machine) run(ctx context.Context, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, runWithin)
	defer cancel()
	out, err := m.command(ctx, argv...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, lastLines(string(out)))
	}
	return string(out), nil
}

// as has a program run as another user.
func as(user string, argv ...string) []string {
	return append([]string{"setpriv", "--reuid=" + user, "--regid=" + user, "--init-groups", "--"}, argv...)
}

// serve starts a program and waits until it has printed what tells that it took its configuration. A program that ends
// first, or prints what tells that it refused, is an error.
func (m *machine) serve(ctx context.Context, takes, refuses []string, argv ...string) error {
	ctx, cancel := context.WithTimeout(ctx, runWithin)
	defer cancel()
	said := newTranscript(takes, refuses)
	command := m.command(ctx, argv...)
	command.Stdout, command.Stderr = said, said
	if err := command.Start(); err != nil {
		return err
	}
	var end error
	ended := make(chan struct{})
	go func() {
		end = command.Wait()
		close(ended)
	}()
	select {
	case <-said.decided:
		cancel() // it has served its purpose
		<-ended
	case <-ended:
		return errors.Join(fmt.Errorf("%s ended:\n%s", argv[0], lastLines(said.text())), end, ctx.Err())
	}
	if refused := said.refused(); refused != "" {
		return fmt.Errorf("it says %q:\n%s", refused, lastLines(said.text()))
	}
	return nil
}
