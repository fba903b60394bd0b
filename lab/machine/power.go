package machine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// How long a machine may take. They are far above what it ever takes: they end what would hang.
const (
	startDeadline    = 20 * time.Second // until init runs
	powerOffDeadline = 20 * time.Second
	unplugDeadline   = 10 * time.Second
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
	ended, err := m.launch(ctx, host, m.command(host, device))
	if err != nil {
		return fmt.Errorf("starting %s: %w", m.Unit, err)
	}
	return poll(ctx, startDeadline, func() (bool, error) {
		processes, err := m.Processes(host)
		if err != nil {
			return false, err
		}
		for _, p := range processes {
			if p.Inside == 1 {
				return true, nil
			}
		}
		select {
		case err := <-ended:
			return false, fmt.Errorf("%s ended at once: %w\n%s", m.Unit, err, m.lastLines())
		default:
			return false, nil
		}
	})
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
	processes, err := m.Processes(host)
	if err != nil {
		return err
	}
	for _, p := range processes {
		if p.Inside == 1 { // the kernel kills the rest along with init
			if err := m.Signal(host, p, syscall.SIGKILL); err != nil && !errors.Is(err, ErrGone) {
				return err
			}
		}
	}
	if err := m.untilStopped(ctx, host, powerOffDeadline/2); err == nil {
		return host.clear(m.Unit)
	}
	// It has no init yet, or the program that runs it does not end: kill whatever is in the cgroup.
	if err := os.WriteFile(filepath.Join(host.cgroup(m.Unit), "cgroup.kill"), []byte("1"), 0); err != nil {
		return err
	}
	return errors.Join(m.untilStopped(ctx, host, powerOffDeadline/2), host.clear(m.Unit))
}

// Shutdown stops the machine in good order, as its power button does.
func (m Machine) Shutdown(ctx context.Context, host Host) error {
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
		case <-time.After(pause + rand.N(pause/2)):
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
