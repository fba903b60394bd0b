package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a process of a machine.
type Process struct {
	PID  int    // on this host
	Name string // the kernel's name for it: at most 15 characters of its program's name
	// Inside is its number inside the machine, where 1 is init; 0: it is outside, as the one that runs the machine is.
	Inside int
}

// Running tells whether the machine has any process.
func (m Machine) Running(host Host) (bool, error) {
	events, err := os.ReadFile(filepath.Join(host.cgroup(m.Unit), "cgroup.events"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return bytes.Contains(events, []byte("populated 1")), err
}

// Processes returns the machine's processes by number.
func (m Machine) Processes(host Host) ([]Process, error) {
	var found []Process
	err := filepath.WalkDir(host.cgroup(m.Unit), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a cgroup of the machine's own that went away meanwhile
		}
		if err != nil || entry.Name() != "cgroup.procs" {
			return err
		}
		pids, err := os.ReadFile(path) //nolint:gosec // a file of the kernel's, and no links among them
		if err != nil {
			return ignoreGone(err)
		}
		for _, field := range strings.Fields(string(pids)) {
			status, err := os.ReadFile(filepath.Join("/proc", field, "status")) //nolint:gosec // a number that the kernel wrote
			if err != nil {
				if err := ignoreGone(err); err != nil {
					return err
				}
				continue
			}
			process, err := parseStatus(string(status))
			if err != nil {
				return fmt.Errorf("/proc/%s/status: %w", field, err)
			}
			found = append(found, process)
		}
		return nil
	})
	slices.SortFunc(found, func(a, b Process) int { return a.PID - b.PID })
	return found, err
}

// ignoreGone drops the errors of reading about a process or a cgroup that has just ended.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.ENODEV) {
		return nil
	}
	return err
}

// parseStatus reads /proc/PID/status, see proc(5).
func parseStatus(text string) (Process, error) {
	var p Process
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch key {
		case "Name":
			p.Name = strings.TrimSpace(value)
		case "NSpid": // its number in each process namespace, from ours to its own
			numbers := strings.Fields(value)
			for i, into := range []*int{&p.PID, &p.Inside} {
				if i >= len(numbers) {
					break
				}
				n, err := strconv.Atoi(numbers[i])
				if err != nil {
					return Process{}, err
				}
				*into = n
			}
		}
	}
	if p.PID == 0 {
		return Process{}, errors.New("no NSpid: a kernel of version 4.1 or newer has it")
	}
	return p, nil
}

// ErrGone is a process that ended before it could be signalled.
var ErrGone = errors.New("the process is gone")

// Signal sends a signal to one of the machine's processes, and to no other that may have got its number since.
func (m Machine) Signal(host Host, p Process, s syscall.Signal) error {
	handle, err := os.FindProcess(p.PID) // holds on to this very process: a pidfd
	if err != nil {
		return err
	}
	defer func() { _ = handle.Release() }()
	now, err := m.Processes(host)
	if err != nil {
		return err
	}
	if !slices.Contains(now, p) {
		return ErrGone
	}
	if err := handle.Signal(s); errors.Is(err, os.ErrProcessDone) {
		return ErrGone
	} else {
		return err
	}
}

// Uptime is how long ago the machine's init started; 0 while it has none.
func (m Machine) Uptime(host Host) (time.Duration, error) {
	init, booted, err := m.init(host)
	if !booted || err != nil {
		return 0, err
	}
	started, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(init.PID), "stat"))
	if err != nil {
		return 0, ignoreGone(err)
	}
	now, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, err
	}
	return uptime(string(started), string(now))
}

// uptime reads the age of a process from its /proc/PID/stat and the host's /proc/uptime.
func uptime(stat, now string) (time.Duration, error) {
	const ticks = 100 // a second, on every architecture that Linux's userland sees
	_, born, err := readStat(stat)
	if err != nil {
		return 0, err
	}
	started, err := strconv.ParseFloat(born, 64)
	if err != nil {
		return 0, err
	}
	seconds, _, _ := strings.Cut(now, " ")
	host, err := strconv.ParseFloat(seconds, 64)
	if err != nil {
		return 0, err
	}
	return time.Duration((host - started/ticks) * float64(time.Second)), nil
}

// readStat reads the state of a process and when it started, in ticks since the host did, from its /proc/PID/stat.
func readStat(stat string) (state, born string, err error) {
	// The second field is a name in brackets that may hold anything; state is the third, starttime the 22nd.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return "", "", fmt.Errorf("a process's stat has too few fields: %q", stat)
	}
	return fields[0], fields[19], nil
}

// Born tells when a process of this host's started, in words that mean nothing but the same again: together with its
// number they name this very process. One that has ended is ErrGone, also while nobody has asked how it ended.
func Born(pid int) (string, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		if ignoreGone(err) == nil {
			return "", ErrGone
		}
		return "", err
	}
	state, born, err := readStat(string(stat))
	if err == nil && (state == "Z" || state == "X") {
		return "", ErrGone
	}
	return born, err
}

// End ends the process of this host's that has this number and started then, and waits until it is gone. One that is gone
// is no error.
func End(ctx context.Context, pid int, born string) error {
	handle, err := os.FindProcess(pid) // holds on to whichever process has the number now
	if err != nil {
		return err
	}
	defer func() { _ = handle.Release() }()
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		now, err := Born(pid)
		if errors.Is(err, ErrGone) || (err == nil && now != born) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := handle.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		err = poll(ctx, endDeadline, func() (bool, error) {
			now, err := Born(pid)
			return errors.Is(err, ErrGone) || now != born, nil
		})
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	return fmt.Errorf("process %d does not end", pid)
}
