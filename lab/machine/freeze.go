package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// freezeDeadline is how long the kernel may take to stop every process of a machine, or to let them go on.
const freezeDeadline = 10 * time.Second

// Freeze stops every process of the machine where it is, as a hypervisor does that pauses it. Its connections stay open,
// and nobody answers on them.
func (m Machine) Freeze(ctx context.Context, host Host) error {
	running, err := m.Running(host)
	if err != nil {
		return err
	}
	if !running {
		return fmt.Errorf("freezing %s: %w", m.Unit, ErrOff)
	}
	return m.setFrozen(ctx, host, true)
}

// Thaw lets a frozen machine go on. To its programs it is as if the clock had leapt.
func (m Machine) Thaw(ctx context.Context, host Host) error { return m.setFrozen(ctx, host, false) }

// Frozen tells whether the machine is frozen.
func (m Machine) Frozen(host Host) (bool, error) {
	events, err := os.ReadFile(filepath.Join(host.cgroup(m.Unit), "cgroup.events"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return bytes.Contains(events, []byte("frozen 1")), err
}

func (m Machine) setFrozen(ctx context.Context, host Host, wanted bool) error {
	if err := m.orderFrozen(host, wanted); err != nil {
		return err
	}
	err := poll(ctx, freezeDeadline, func() (bool, error) {
		frozen, err := m.Frozen(host)
		return frozen == wanted, err
	})
	if err != nil {
		return fmt.Errorf("freezing or thawing %s: %w", m.Unit, err)
	}
	return nil
}

// orderFrozen tells the kernel, and does not wait until it is so. A machine that is gone is not frozen.
func (m Machine) orderFrozen(host Host, wanted bool) error {
	order := "0"
	if wanted {
		order = "1"
	}
	err := os.WriteFile(filepath.Join(host.cgroup(m.Unit), "cgroup.freeze"), []byte(order), 0)
	if !wanted {
		err = ignoreGone(err)
	}
	return err
}
