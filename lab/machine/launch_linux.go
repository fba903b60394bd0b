package machine

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// launch starts the command in its own namespaces and cgroups, detached from this process.
func (m Machine) launch(ctx context.Context, host Host, argv []string) (launched, error) {
	console, err := os.OpenFile(m.console(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return launched{}, err
	}
	defer console.Close()

	command := exec.CommandContext(context.WithoutCancel(ctx), argv[0], argv[1:]...)
	command.Env = append(os.Environ(), environment()...)
	command.Dir = "/"
	command.Stdout, command.Stderr = console, console
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal's hang-up or Ctrl-C reaches it

	err = inNewNamespaces(func() error {
		if err := mountOverlay(m.Tree, m.upper(), m.work(), m.root()); err != nil {
			return err
		}
		if err := m.plug(ctx); err != nil {
			return err
		}
		unified, old := host.ours(m.Unit)
		for _, dir := range old {
			if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "tasks"), []byte("0"), 0)); err != nil {
				return err // version 1 moves this one thread, and what it starts is born there
			}
		}
		if unified != "" {
			if err := os.MkdirAll(unified, 0o755); err != nil {
				return err
			}
			dir, err := os.OpenFile(unified, unix.O_DIRECTORY|unix.O_PATH, 0)
			if err != nil {
				return err
			}
			defer dir.Close()
			if err := host.weigh(m.Unit, m.weight()); err != nil {
				return err
			}
			command.SysProcAttr.UseCgroupFD, command.SysProcAttr.CgroupFD = true, int(dir.Fd())
		}
		return command.Start()
	})
	if err != nil {
		return launched{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	return launched{ended: ended, kill: func() error {
		if err := command.Process.Kill(); !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		return nil
	}}, nil
}
