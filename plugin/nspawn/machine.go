// Package nspawn is the Packer communicator of a machine that is only a tree of files: each command runs in a systemd-nspawn
// container of its own, files are copied straight into the tree.
//
// Packer's own chroot communicator is no alternative: it passes commands through a shell of the host, which expands what was
// meant for the machine.
package nspawn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
)

// grace is how long a stopped command may take before it is killed.
const grace = 10 * time.Second

// searchPath is the PATH inside the machine; that of the host would leak into what the bake writes.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// hostname is what the machine is called while it is baked. It is the same for every machine, because packages write it
// into their configuration.
const hostname = "cincbake"

// Machine runs commands in a tree, as root with few capabilities, in the host's network.
type Machine struct {
	// Program is the systemd-nspawn to run; empty: the one on the PATH.
	Program string
	// Root is the tree. It must be writable and hold a system.
	Root string
	// Name tells the machine from others that run at the same time; 50 characters at most.
	Name string
	// Env are NAME=value pairs that every command gets. Values do not show in the process list.
	Env []string
	// After runs when a command has ended, with its exit status, and before it counts as ended. It may be nil.
	After func(status int)

	mu      sync.Mutex
	stopped bool
	cancels map[int]context.CancelFunc
	next    int
	running sync.WaitGroup
}

var _ packersdk.Communicator = (*Machine)(nil)

// errStopped is a command for a machine that Stop has ended.
var errStopped = errors.New("the machine is stopped")

// Start runs the command by the machine's /bin/sh and returns once it runs.
func (m *Machine) Start(ctx context.Context, remote *packersdk.RemoteCmd) error {
	ctx, number, done, err := m.enter(ctx)
	if err != nil {
		return err
	}
	program := m.Program
	if program == "" {
		program = "systemd-nspawn"
	}
	command := exec.CommandContext(ctx, program, m.args(number, remote.Command)...)
	command.Env = append(m.environ(),
		"SYSTEMD_NSPAWN_TMPFS_TMP=0", // else /tmp is a new one for every command, and what was uploaded there is gone
		"SYSTEMD_NSPAWN_LOCK=0",      // else only one command can run in a tree
	)
	complaints := &filter{to: remote.Stderr}
	command.Stdin, command.Stdout, command.Stderr = remote.Stdin, remote.Stdout, complaints
	command.SysProcAttr = attributes()
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = grace

	started := make(chan error, 1)
	go func() {
		defer done()
		// Pdeathsig is sent when the thread that started the process ends, so this one must stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := command.Start(); err != nil {
			started <- fmt.Errorf("start a container: %w", err)
			return
		}
		started <- nil
		err := command.Wait()
		complaints.flush()
		exited := status(command.ProcessState, err)
		if m.After != nil {
			m.After(exited)
		}
		remote.SetExited(exited)
	}()
	return <-started
}

// Stop ends every command that still runs and waits for it; afterwards nothing uses the tree any more.
func (m *Machine) Stop() {
	m.mu.Lock()
	m.stopped = true
	for _, cancel := range m.cancels {
		cancel()
	}
	m.mu.Unlock()
	m.running.Wait()
}

// enter counts a command in and numbers it, unless the machine is stopped; done counts it out.
func (m *Machine) enter(ctx context.Context) (_ context.Context, number int, done func(), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return nil, 0, nil, errStopped
	}
	if m.cancels == nil {
		m.cancels = map[int]context.CancelFunc{}
	}
	ctx, cancel := context.WithCancel(ctx)
	number = m.next
	m.next++
	m.cancels[number] = cancel
	m.running.Add(1)
	return ctx, number, func() {
		cancel()
		m.mu.Lock()
		delete(m.cancels, number)
		m.mu.Unlock()
		m.running.Done()
	}, nil
}

// droppedCapabilities are nspawn's default capabilities that installing packages does without. Without CAP_SYS_ADMIN,
// nothing that a package does can mount, and so nothing can reach out of the tree.
func droppedCapabilities() []string {
	return []string{
		"CAP_AUDIT_CONTROL", "CAP_IPC_OWNER", "CAP_LEASE", "CAP_LINUX_IMMUTABLE", "CAP_MKNOD", "CAP_NET_BROADCAST", "CAP_NET_RAW",
		"CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_PTRACE", "CAP_SYS_RESOURCE", "CAP_SYS_TTY_CONFIG",
	}
}

// args is nspawn's command line.
func (m *Machine) args(number int, shell string) []string {
	args := []string{
		"--quiet",
		"--directory=" + m.Root,
		fmt.Sprintf("--machine=%s-%d", m.Name, number),
		"--hostname=" + hostname,
		"--register=no", "--keep-unit", // works where systemd is not PID 1, and inside a service
		"--as-pid2",               // the machine's shell is no init
		"--pipe",                  // no terminal: output stays as it was written
		"--resolv-conf=bind-host", // the host's resolver, without writing it into the image
		"--timezone=off",          // nor its time zone
		"--link-journal=no",       // nor its journal
		"--drop-capability=" + strings.Join(droppedCapabilities(), ","),
	}
	for _, pair := range m.environ() {
		name, _, _ := strings.Cut(pair, "=")
		args = append(args, "--setenv="+name) // the value comes from nspawn's own environment
	}
	return append(args, "/bin/sh", "-c", shell)
}

// environ is the machine's environment.
func (m *Machine) environ() []string {
	env := []string{"PATH=" + searchPath, "DEBIAN_FRONTEND=noninteractive"}
	// A host behind a proxy reaches its mirror through it only.
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return slices.Concat(env, m.Env)
}

// status is the exit status that Packer hears.
func status(state *os.ProcessState, err error) int {
	if state != nil && state.Exited() {
		return state.ExitCode()
	}
	if err != nil || state == nil {
		return 255 // killed, as a shell would not say
	}
	return 0
}
