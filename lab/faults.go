package lab

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/lab/machine"
)

// Start boots a stopped node. It finds its disks as it left them.
func (l *Lab) Start(ctx context.Context, node string) error {
	return l.with(ctx, node, func(m machine.Machine, host machine.Host) error { return m.Start(ctx, host) })
}

// PowerOff pulls a node's plug. The host's page cache survives, so this is no test of what was flushed to a disk.
func (l *Lab) PowerOff(ctx context.Context, node string) error {
	return l.with(ctx, node, func(m machine.Machine, host machine.Host) error { return m.PowerOff(ctx, host) })
}

// PowerOffAll pulls the plugs of several nodes at the same moment. One after the other, those that still run would notice.
func (l *Lab) PowerOffAll(ctx context.Context, nodes []string) error {
	return l.together(ctx, nodes, func(m machine.Machine, host machine.Host) error { return m.PowerOff(ctx, host) })
}

// StartAll boots several stopped nodes together, as when the power comes back.
func (l *Lab) StartAll(ctx context.Context, nodes []string) error {
	return l.together(ctx, nodes, func(m machine.Machine, host machine.Host) error { return m.Start(ctx, host) })
}

// Shutdown stops a node in good order.
func (l *Lab) Shutdown(ctx context.Context, node string) error {
	return l.with(ctx, node, func(m machine.Machine, host machine.Host) error { return m.Shutdown(ctx, host) })
}

// Reboot stops a node in good order and starts it again.
func (l *Lab) Reboot(ctx context.Context, node string) error {
	return l.with(ctx, node, func(m machine.Machine, host machine.Host) error {
		if err := m.Shutdown(ctx, host); err != nil {
			return err
		}
		return m.Start(ctx, host)
	})
}

// Replace powers a node off and boots another machine in its place: the same image, the same seed to the byte, the same
// network address, an empty disk.
func (l *Lab) Replace(ctx context.Context, node string) error {
	return l.with(ctx, node, func(m machine.Machine, host machine.Host) error {
		if err := m.PowerOff(ctx, host); err != nil {
			return err
		}
		if err := m.Renew(); err != nil {
			return err
		}
		return m.Start(ctx, host)
	})
}

// RemoveSeed takes the seed off a stopped node's root disk, as when the medium that it came on is pulled out.
func (l *Lab) RemoveSeed(ctx context.Context, node string) error {
	return l.with(ctx, node, func(m machine.Machine, host machine.Host) error {
		running, err := m.Running(host)
		if err != nil {
			return err
		}
		if running {
			return exit.Errorf(exit.Invalid, "%s runs, and its disk must not change beneath it: stop it first", node)
		}
		return m.DropSeed()
	})
}

// KillPrograms kills every process of a node that has one of these names (at most 15 characters each, as the kernel keeps
// them), all at once and without a chance to end in order. It returns how many there were.
func (l *Lab) KillPrograms(ctx context.Context, node string, names ...string) (int, error) {
	killed := 0
	err := l.with(ctx, node, func(m machine.Machine, host machine.Host) error {
		processes, err := m.Processes(host)
		if err != nil {
			return err
		}
		for _, p := range processes {
			if p.Inside == 0 || !slices.Contains(names, p.Name) {
				continue
			}
			switch err := m.Signal(host, p, syscall.SIGKILL); {
			case errors.Is(err, machine.ErrGone): // went down with one that was killed before it
			case err != nil:
				return err
			default:
				killed++
			}
		}
		if killed == 0 {
			return exit.Errorf(exit.Failed, "%s runs none of %q", node, names)
		}
		return nil
	})
	return killed, err
}

// Down powers every machine off and takes away the lab with all that its machines ever wrote. A lab that is not there is
// no error. Unpacked images stay in the cache for the next lab.
func (l *Lab) Down(ctx context.Context) error {
	return l.exclusively(ctx, func(host machine.Host) error {
		if err := l.unpublish(ctx); err != nil {
			return err
		}
		// By what is there, not by the record: it may be the part of a lab that an interrupted Up left.
		folders, err := os.ReadDir(l.machinesDir())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		var working sync.WaitGroup
		failures := make([]error, len(folders))
		for i, folder := range folders {
			working.Go(func() {
				m := l.machineCalled(folder.Name())
				if failures[i] = m.PowerOff(ctx, host); failures[i] == nil {
					failures[i] = m.Remove()
				}
			})
		}
		working.Wait()
		if err := errors.Join(failures...); err != nil {
			return err
		}
		if err := (machine.Network{Path: l.networkFile()}).Down(); err != nil {
			return err
		}
		return os.RemoveAll(l.dir())
	})
}

// with runs f on a node's machine while no other command changes a lab.
func (l *Lab) with(ctx context.Context, node string, f func(machine.Machine, machine.Host) error) error {
	return l.exclusively(ctx, func(host machine.Host) error {
		m, err := l.machineOf(node)
		if err != nil {
			return err
		}
		return f(m, host)
	})
}

// together is with for several nodes at once. When one of them is none, nothing is done to any.
func (l *Lab) together(ctx context.Context, nodes []string, f func(machine.Machine, machine.Host) error) error {
	return l.exclusively(ctx, func(host machine.Host) error {
		machines := make([]machine.Machine, len(nodes))
		for i, node := range nodes {
			var err error
			if machines[i], err = l.machineOf(node); err != nil {
				return err
			}
		}
		failures := make([]error, len(machines))
		var working sync.WaitGroup
		for i, m := range machines {
			working.Go(func() { failures[i] = f(m, host) })
		}
		working.Wait()
		return errors.Join(failures...)
	})
}
