package machine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// How long a machine may take. They are far above what it ever takes: they end what would hang.
const (
	startDeadline    = 20 * time.Second // until init runs
	powerOffDeadline = 20 * time.Second
	unplugDeadline   = 10 * time.Second
	endDeadline      = 5 * time.Second // a program of the lab's own
	shutdownDeadline = 2 * time.Minute // services get 90 seconds from systemd
)

// Start boots the machine, unless it runs already. It goes on running when the calling process ends.
func (m Machine) Start(ctx context.Context, host Host) error {
	running, err := m.Running(host)
	if running || err != nil {
		return err
	}
	if err := host.clear(m.Unit); err != nil {
		return err
	}
	var device string
	if m.Disk != "" {
		if device, err = attachDisk(m.disk()); err != nil {
			return fmt.Errorf("the data disk of %s: %w", m.Unit, err)
		}
	}
	if err := m.Share.prepare(); err != nil {
		return fmt.Errorf("the share of %s: %w", m.Unit, err)
	}
	program, err := m.launch(ctx, host, m.command(host, device))
	if err != nil {
		return fmt.Errorf("starting %s: %w", m.Unit, err)
	}
	if err := m.untilBooting(ctx, host, program.ended); err != nil {
		// Nobody waits for it any longer: a machine that did not come up must not come up later.
		err = fmt.Errorf("starting %s: %w", m.Unit, err)
		return errors.Join(err, program.kill(), m.PowerOff(context.WithoutCancel(ctx), host))
	}
	return nil
}

// launched is the program that runs a machine, as long as the process lives that started it.
type launched struct {
	ended <-chan error // gets the reason once it has ended
	kill  func() error
}

// untilBooting waits until the machine's init runs.
func (m Machine) untilBooting(ctx context.Context, host Host, ended <-chan error) error {
	return poll(ctx, startDeadline, func() (bool, error) {
		if _, booting, err := m.init(host); booting || err != nil {
			return booting, err
		}
		select {
		case err := <-ended:
			return false, fmt.Errorf("it ended at once: %w\n%s", err, m.lastLines())
		default:
			return false, nil
		}
	})
}

// init returns the machine's first process, if it has one.
func (m Machine) init(host Host) (Process, bool, error) {
	processes, err := m.Processes(host)
	at := slices.IndexFunc(processes, func(p Process) bool { return p.Inside == 1 })
	if at < 0 || err != nil {
		return Process{}, false, err
	}
	return processes[at], true, nil
}

// PowerOff stops the machine as pulling the plug does: nothing inside gets to know. What the host holds in its page
// cache survives, so this says nothing about what a database has flushed to its disk.
func (m Machine) PowerOff(ctx context.Context, host Host) error {
	if err := m.powerOff(ctx, host); err != nil {
		return fmt.Errorf("powering off %s: %w", m.Unit, err)
	}
	return nil
}

func (m Machine) powerOff(ctx context.Context, host Host) error {
	running, err := m.Running(host)
	if err != nil {
		return err
	}
	if !running {
		return host.clear(m.Unit)
	}
	init, booted, err := m.init(host)
	if err != nil {
		return err
	}
	if booted { // the kernel kills the rest along with it
		if err := m.Signal(host, init, syscall.SIGKILL); err != nil && !errors.Is(err, ErrGone) {
			return err
		}
		// The signal reaches a frozen machine too, but the program that runs it must go on to see the end. In this order
		// nothing inside gets another moment.
		if err := m.orderFrozen(host, false); err != nil {
			return err
		}
		if m.untilStopped(ctx, host, powerOffDeadline/2) == nil {
			return host.clear(m.Unit)
		}
	}
	// It has no init yet, or the program that runs it does not end: kill whatever is in the cgroup.
	if err := os.WriteFile(filepath.Join(host.cgroup(m.Unit), "cgroup.kill"), []byte("1"), 0); err != nil {
		return err
	}
	if err := m.orderFrozen(host, false); err != nil {
		return err
	}
	return errors.Join(m.untilStopped(ctx, host, powerOffDeadline/2), host.clear(m.Unit))
}

// Shutdown stops the machine in good order, as its power button does. (One that reboots itself stays off: systemd-nspawn
// leaves starting it again to whoever gave it its cgroup.)
func (m Machine) Shutdown(ctx context.Context, host Host) error {
	if frozen, err := m.Frozen(host); err != nil || frozen {
		return errors.Join(err, fmt.Errorf("shutting down %s: it is frozen, and would never hear of it: thaw it first", m.Unit))
	}
	processes, err := m.Processes(host)
	if err != nil {
		return err
	}
	for _, p := range processes {
		if p.Inside == 0 && p.Name == "systemd-nspawn" { // passes it on to init as an order to halt
			if err := m.Signal(host, p, syscall.SIGTERM); err != nil && !errors.Is(err, ErrGone) {
				return err
			}
		}
	}
	if err := m.untilStopped(ctx, host, shutdownDeadline); err != nil {
		return fmt.Errorf("shutting down %s: %w; power it off instead", m.Unit, err)
	}
	return host.clear(m.Unit)
}

func (m Machine) untilStopped(ctx context.Context, host Host, within time.Duration) error {
	return poll(ctx, within, func() (bool, error) {
		running, err := m.Running(host)
		return !running, err
	})
}

// poll asks until the answer is yes, more seldom as it goes on: every 10 to 15 ms at first, every 100 to 150 ms later.
func poll(ctx context.Context, within time.Duration, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		if done, err := ask(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it took longer than %v: %w", within, ctx.Err())
		case <-time.After(pause + rand.N(pause/2)): //nolint:gosec // jitter, not a secret
		}
	}
}

// lastLines returns the end of what was printed on the machine's console, for an error.
func (m Machine) lastLines() string {
	const most = 1500
	text, err := os.ReadFile(m.console())
	if err != nil {
		return err.Error()
	}
	return "    | " + strings.ReplaceAll(strings.TrimSpace(string(text[max(0, len(text)-most):])), "\n", "\n    | ")
}
