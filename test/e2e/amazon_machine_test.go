//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/test/fakeaws"
)

// amazonUser is the account that Debian's AMIs are entered by.
const amazonUser = "admin"

// amazonMachines are what the fake EC2 calls instances: containers on this host, over a copy of Debian each, with an sshd on
// a loopback address each.
type amazonMachines struct {
	tree string // like Debian's AMI, shared and never written to
	dir  string
	port string // of every sshd
	boot bool   // with an init, as an instance has; without, only sshd runs, which takes no time
	// spoil changes a new machine, for a bake that is to fail.
	spoil func(root string) error

	mu       sync.Mutex
	last     int
	all      map[string]*amazonMachine
	captures map[string]capture // by image
}

var _ fakeaws.Machines = (*amazonMachines)(nil)

// amazonMachine is one of them.
type amazonMachine struct {
	dir     string // layer/upper, layer/work, root
	key     string // its line in authorized_keys
	program *exec.Cmd
	ended   chan struct{}
}

// capture is what an image is made of.
type capture struct {
	manifest []string // of its content
	problems []string // what it has that no image may have
}

// debianTree makes a Debian like that of its AMIs, once. What cloud-init would make of it at an instance's first boot, but
// for the key, is made here.
func debianTree(t *testing.T, home string) string {
	t.Helper()
	return keptTree(t, home, "tree-amazon", func(root string) [][]string {
		return [][]string{
			{"mmdebstrap", "--quiet", "--variant=apt", "--include=ca-certificates,cloud-init,dbus,libpam-systemd,openssh-server,sudo,systemd-sysv", "trixie", root},
			{"chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", "--groups", "adm,sudo", amazonUser},
			{"chroot", root, "sh", "-c", "echo '" + amazonUser + " ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/90-cloud-init-users && chmod 0440 /etc/sudoers.d/90-cloud-init-users"},
			{"chroot", root, "sh", "-c", "echo ip-172-31-0-10 > /etc/hostname && echo 127.0.0.1 localhost ip-172-31-0-10 > /etc/hosts"},
		}
	})
}

// keptTree makes a tree of files by commands, once, and returns where it is kept.
func keptTree(t *testing.T, home, name string, commands func(root string) [][]string) string {
	t.Helper()
	tree := filepath.Join(home, ".cache", name)
	if _, err := os.Stat(tree); err == nil {
		return tree
	}
	fresh, err := os.MkdirTemp(filepath.Dir(tree), name+".") //nolint:usetesting // where it can be renamed from
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	root := filepath.Join(fresh, "root")
	for _, argv := range commands(root) {
		if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
		}
	}
	if err := os.Rename(root, tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

// newAmazonMachines is for machines that t ends. The port is free on the host's loopback device.
func newAmazonMachines(t *testing.T, tree string) *amazonMachines {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	m := &amazonMachines{tree: tree, dir: t.TempDir(), port: port, all: map[string]*amazonMachine{}, captures: map[string]capture{}}
	t.Cleanup(func() {
		for id := range m.all {
			if err := m.Terminate(id); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
	})
	return m
}

func (m *amazonMachines) of(id string) *amazonMachine {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all[id]
}

// Start makes a machine and starts it.
func (m *amazonMachines) Start(instance fakeaws.Instance, key string) (string, error) {
	m.mu.Lock()
	m.last++
	machine := &amazonMachine{dir: filepath.Join(m.dir, instance.ID), key: strings.TrimSpace(key)}
	m.all[instance.ID] = machine
	// An address of its own on the loopback device.
	address := fmt.Sprintf("127.0.0.%d", 1+m.last)
	m.mu.Unlock()
	for _, name := range []string{"upper", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(machine.dir, name), 0o755); err != nil {
			return "", err
		}
	}
	err := m.mounted(machine, func(root string) error {
		home := filepath.Join(root, "home", amazonUser, ".ssh")
		owner, err := os.Stat(filepath.Dir(home))
		if err != nil {
			return err
		}
		own := owner.Sys().(*syscall.Stat_t)
		keys := filepath.Join(home, "authorized_keys")
		if err := errors.Join(os.MkdirAll(home, 0o700), os.WriteFile(keys, []byte(machine.key+"\n"), 0o600),
			os.Chown(home, int(own.Uid), int(own.Gid)), os.Chown(keys, int(own.Uid), int(own.Gid))); err != nil {
			return err
		}
		// As cloud-init does for root.
		root0 := filepath.Join(root, "root/.ssh")
		refusal := `no-port-forwarding,command="echo 'Please login as the user \"` + amazonUser + `\"'" ` + machine.key + "\n"
		listen := "Port " + m.port + "\nListenAddress " + address + "\n"
		if err := errors.Join(os.MkdirAll(root0, 0o700), os.WriteFile(filepath.Join(root0, "authorized_keys"), []byte(refusal), 0o600),
			os.WriteFile(filepath.Join(root, "etc/ssh/sshd_config.d/listen.conf"), []byte(listen), 0o644)); err != nil {
			return err
		}
		if m.spoil != nil {
			return m.spoil(root)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return address, m.run(machine)
}

// run starts a machine that is off.
func (m *amazonMachines) run(machine *amazonMachine) error {
	root := filepath.Join(machine.dir, "root")
	argv := []string{
		"systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--link-journal=no", "--settings=no", "--timezone=off",
		"--directory=" + root, "--machine=amazon-" + strings.ToLower(rand.Text()[:8]), "--hostname=ip-172-31-0-10", "--console=pipe",
	}
	if m.boot {
		argv = append(argv, "--boot")
	} else {
		argv = append(argv, "--as-pid2", "--resolv-conf=bind-host", "/bin/sh", "-c", "mkdir -p /run/sshd && exec /usr/sbin/sshd -D -e")
	}
	// The mount is the program's own, and so are all processes: killed in the middle, it takes everything with it, which
	// systemd-nspawn by itself does not.
	command := exec.CommandContext(context.Background(), "unshare", append([]string{"--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", //nolint:usetesting // Stop and Terminate end it
		`mount -t overlay overlay -o "$1" "$2"; shift 2; exec "$@"`, "sh", m.overlay(machine), root}, argv...)...)
	command.Env = append(os.Environ(), "SYSTEMD_NSPAWN_LOCK=0")
	console, err := os.OpenFile(filepath.Join(machine.dir, "console"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer console.Close()
	command.Stdout, command.Stderr = console, console
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	machine.program, machine.ended = command, make(chan struct{})
	started := make(chan error, 1)
	go func() {
		defer close(machine.ended)
		// Pdeathsig is sent when the thread ends that started the program, so this one must stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait()
		}
	}()
	return <-started
}

func (m *amazonMachines) overlay(machine *amazonMachine) string {
	return "lowerdir=" + m.tree + ",upperdir=" + filepath.Join(machine.dir, "upper") + ",workdir=" + filepath.Join(machine.dir, "work")
}

// mounted lets do work on the file system of a machine that is off.
func (m *amazonMachines) mounted(machine *amazonMachine, do func(root string) error) error {
	root := filepath.Join(machine.dir, "root")
	if err := syscall.Mount("overlay", root, "overlay", 0, m.overlay(machine)); err != nil {
		return fmt.Errorf("mount %s: %w", root, err)
	}
	err := do(root)
	return errors.Join(err, syscall.Unmount(root, 0))
}

// Stop is the power button.
func (m *amazonMachines) Stop(id string) error { return m.of(id).button() }

// Restart starts a machine that was stopped.
func (m *amazonMachines) Restart(id string) error { return m.run(m.of(id)) }

// Terminate takes a machine away. Of one that an image was made of, it looks at what went into it.
func (m *amazonMachines) Terminate(id string) error {
	machine := m.of(id)
	if machine == nil {
		return nil
	}
	if machine.program != nil {
		if err := machine.kill(); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, id)
	return os.RemoveAll(machine.dir)
}

// Capture looks at what goes into an image. The machine is off.
func (m *amazonMachines) Capture(id, image string) error {
	if !m.boot {
		return nil // it was not baked, only switched on and off
	}
	machine := m.of(id)
	var found capture
	err := m.mounted(machine, func(root string) (err error) {
		found.problems = machine.inspect(root)
		found.manifest, err = images.Manifest(root)
		return err
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.captures[image] = found
	return err
}

// inspect looks for what belongs to the bake, and not to the image.
func (machine *amazonMachine) inspect(root string) (problems []string) {
	blob := strings.Fields(machine.key)[1]
	// Whatever the bake wrote is in the upper layer.
	out, err := exec.Command("grep", "--recursive", "--files-with-matches", "--fixed-strings", blob, filepath.Join(machine.dir, "upper")).Output() //nolint:noctx // it reads some files
	var none *exec.ExitError
	if err == nil || !errors.As(err, &none) || none.ExitCode() != 1 {
		problems = append(problems, fmt.Sprintf("the temporary key: %s %v", out, err))
	}
	for _, pattern := range []string{"home/*", "root/.ssh/authorized_keys", "etc/sudoers.d/90*", "etc/ssh/ssh_host_*", "tmp/cincbake-*", "var/tmp/cincbake-*"} {
		if left, err := filepath.Glob(filepath.Join(root, pattern)); err != nil || len(left) > 0 {
			problems = append(problems, fmt.Sprintf("%v %v", left, err))
		}
	}
	for _, name := range []string{"etc/passwd", "etc/shadow", "etc/group"} {
		if text, err := os.ReadFile(filepath.Join(root, name)); err != nil || strings.Contains(string(text), amazonUser+":") {
			problems = append(problems, fmt.Sprintf("%s has %s: %v", name, amazonUser, err))
		}
	}
	return problems
}

// button presses the power button, and waits until the machine is off.
func (machine *amazonMachine) button() error {
	select {
	case <-machine.ended:
		return nil
	default:
	}
	// unshare's only child is systemd-nspawn, which passes it on to the machine's init as an order to halt.
	parent := machine.program.Process.Pid
	child, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", parent))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(child)))
	if err != nil {
		return fmt.Errorf("the processes that run the machine: %w", err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	select {
	case <-machine.ended:
		return nil
	case <-time.After(2 * time.Minute): // EC2 itself is more patient than systemd, which ends what does not stop after 90 s
		return errors.Join(errors.New("the machine did not switch itself off"), machine.kill())
	}
}

// kill ends a machine as pulling its plug does.
func (machine *amazonMachine) kill() error {
	if err := machine.program.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-machine.ended:
		return nil
	case <-time.After(10 * time.Second):
		return errors.New("the machine's processes do not end")
	}
}
