package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseStatus(t *testing.T) {
	for _, row := range []struct {
		name, text string
		want       Process
		fails      bool
	}{
		{"init of a machine", "Name:\tsystemd\nUmask:\t0000\nPid:\t2508\nNSpid:\t2508\t1\n", Process{PID: 2508, Name: "systemd", Inside: 1}, false},
		{"outside", "Name:\tsystemd-nspawn\nNSpid:\t2505\n", Process{PID: 2505, Name: "systemd-nspawn"}, false},
		{"deeper inside", "Name:\tpatroni\nNSpid:\t31\t7\t1\n", Process{PID: 31, Name: "patroni", Inside: 7}, false},
		{"an old kernel", "Name:\tsystemd\n", Process{}, true},
		{"no number", "NSpid:\tx\n", Process{}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := parseStatus(row.text)
			if got != row.want || (err != nil) != row.fails {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestUptime(t *testing.T) {
	const stat = "2508 (a (strange) name) S 2505 2508 2508 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 1 2 3\n"
	got, err := uptime(stat, "200.50 100.00\n")
	if err != nil || got.Round(time.Millisecond) != 77050*time.Millisecond {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range [][2]string{{"1 (x) S 1", "1 1"}, {stat, "never"}} {
		if _, err := uptime(bad[0], bad[1]); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// standIn makes a folder look like a machine's cgroup, as far as reading goes.
func standIn(t *testing.T, events string, pids ...int) (Machine, Host) {
	t.Helper()
	m, host := Machine{Unit: "m"}, Host{Unified: t.TempDir()}
	inner := filepath.Join(host.cgroup(m.Unit), "payload")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	var list string
	for _, pid := range pids {
		list += fmt.Sprintln(pid)
	}
	for name, text := range map[string]string{
		filepath.Join(host.cgroup(m.Unit), "cgroup.events"): events,
		filepath.Join(host.cgroup(m.Unit), "cgroup.procs"):  "",
		filepath.Join(inner, "cgroup.procs"):                list,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m, host
}

func needsLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("reads Linux's /proc")
	}
}

func TestProcessesAndSignal(t *testing.T) {
	needsLinux(t)
	sleeper := exec.CommandContext(t.Context(), "sleep", "60")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	m, host := standIn(t, "populated 1\n", sleeper.Process.Pid, os.Getpid(), 1<<22+1) // the last one is no process any more
	processes, err := m.Processes(host)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(processes, func(p Process) bool { return p.Name == "sleep" })
	if at < 0 || len(processes) != 2 {
		t.Fatalf("found %+v", processes)
	}
	victim := processes[at]

	stranger := victim
	stranger.Name = "postgres" // what has the number now is another process than the one that was meant
	if err := m.Signal(host, stranger, syscall.SIGKILL); !errors.Is(err, ErrGone) {
		t.Errorf("signalled a stranger: %v", err)
	}
	if err := m.Signal(host, victim, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	var exit *exec.ExitError
	if err := sleeper.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v", err)
	}
	if err := m.Signal(host, victim, syscall.SIGKILL); !errors.Is(err, ErrGone) {
		t.Errorf("signalled a dead process: %v", err)
	}
}

func TestBornAndEnd(t *testing.T) {
	needsLinux(t)
	command := exec.CommandContext(t.Context(), "sleep", "60")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	pid := command.Process.Pid
	born, err := Born(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := End(t.Context(), pid, born+"0"); err != nil { // a stranger that got the number
		t.Error(err)
	}
	if again, err := Born(pid); err != nil || again != born {
		t.Fatalf("a stranger was ended: %q, %v", again, err)
	}
	for range 2 { // what is gone is no error
		if err := End(t.Context(), pid, born); err != nil {
			t.Error(err)
		}
	}
	if _, err := Born(pid); !errors.Is(err, ErrGone) {
		t.Errorf("it is still there: %v", err) // as a zombie, since nobody has waited yet
	}
	if err := command.Wait(); err == nil {
		t.Error("it ended by itself")
	}
}

func TestRunning(t *testing.T) {
	for events, want := range map[string]bool{"populated 1\nfrozen 0\n": true, "populated 0\nfrozen 0\n": false} {
		m, host := standIn(t, events)
		if got, err := m.Running(host); got != want || err != nil {
			t.Errorf("%q: %v, %v", events, got, err)
		}
	}
	if got, err := (Machine{Unit: "never"}).Running(Host{Unified: t.TempDir()}); got || err != nil {
		t.Errorf("a machine that never ran: %v, %v", got, err)
	}
}

func TestFrozen(t *testing.T) {
	for events, want := range map[string]bool{"populated 1\nfrozen 1\n": true, "populated 1\nfrozen 0\n": false, "populated 1\n": false} {
		m, host := standIn(t, events)
		if got, err := m.Frozen(host); got != want || err != nil {
			t.Errorf("%q: %v, %v", events, got, err)
		}
	}
	gone, host := Machine{Unit: "never"}, Host{Unified: t.TempDir()}
	if got, err := gone.Frozen(host); got || err != nil {
		t.Errorf("a machine that never ran: %v, %v", got, err)
	}
	if err := gone.Thaw(t.Context(), host); err != nil {
		t.Errorf("thawing what is gone: %v", err)
	}
	if err := gone.Freeze(t.Context(), host); !errors.Is(err, ErrOff) {
		t.Errorf("freezing what is gone: %v", err)
	}
	if _, err := gone.Dial(t.Context(), host, "tcp", "127.0.0.1:22"); !errors.Is(err, ErrOff) {
		t.Errorf("dialling from what is gone: %v", err)
	}
}

func TestFreezeAndThawTellTheKernel(t *testing.T) {
	frozen, host := standIn(t, "populated 1\nfrozen 1\n")
	order := filepath.Join(host.cgroup(frozen.Unit), "cgroup.freeze")
	if err := os.WriteFile(order, []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := frozen.Freeze(t.Context(), host); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(order); err != nil || string(text) != "1" {
		t.Errorf("the kernel was told %q: %v", text, err)
	}
	if err := frozen.Shutdown(t.Context(), host); err == nil || !strings.Contains(err.Error(), "thaw it first") {
		t.Errorf("a frozen machine was shut down: %v", err)
	}
	if err := frozen.orderFrozen(host, false); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(order); err != nil || string(text) != "0" {
		t.Errorf("the kernel was told %q: %v", text, err)
	}
}

func TestWeigh(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	for _, row := range []struct {
		name, in, file, want string
		host                 Host
	}{
		{"version 2", one, "cpu.weight", "25", Host{Unified: one}},
		{"both versions", two, "cpu.shares", "256", Host{Unified: one, CPU: two}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if err := row.host.weigh("m", 25); err != nil {
				t.Errorf("a host that does not share out its processors: %v", err)
			}
			file := filepath.Join(row.in, "m", row.file)
			if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o644)); err != nil {
				t.Fatal(err)
			}
			if err := row.host.weigh("m", 25); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(file); err != nil || string(got) != row.want {
				t.Errorf("the kernel was told %q: %v", got, err)
			}
		})
	}
}

func TestClearRemovesNestedCgroups(t *testing.T) {
	host := Host{Unified: t.TempDir(), Named: t.TempDir(), CPU: t.TempDir()}
	for _, dir := range []string{host.Unified, host.Named, host.CPU} {
		if err := os.MkdirAll(filepath.Join(dir, "m/payload/system.slice"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(host.clear("m"), host.clear("m")); err != nil { // twice: what is not there is no error
		t.Error(err)
	}
	for _, dir := range []string{host.Unified, host.Named, host.CPU} {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
}

func TestPoll(t *testing.T) {
	failure := errors.New("broken")
	for _, row := range []struct {
		name  string
		ask   func(n int) (bool, error)
		want  error
		asked int // at least
	}{
		{"at once", func(int) (bool, error) { return true, nil }, nil, 1},
		{"later", func(n int) (bool, error) { return n == 4, nil }, nil, 4},
		{"never", func(int) (bool, error) { return false, nil }, context.DeadlineExceeded, 60},
		{"fails", func(int) (bool, error) { return false, failure }, failure, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				err := poll(t.Context(), 10*time.Second, func() (bool, error) { n++; return row.ask(n) })
				if !errors.Is(err, row.want) || n < row.asked || n > row.asked+60 {
					t.Errorf("asked %d times: %v", n, err)
				}
			})
		})
	}
}

func TestLastLines(t *testing.T) {
	m := Machine{Dir: t.TempDir()}
	if err := os.WriteFile(m.console(), []byte("first\nsecond\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("    | first\n    | second", m.lastLines()); diff != "" {
		t.Error(diff)
	}
}
