package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Program is what is to run inside a machine, as root of the machine's.
type Program struct {
	Argv   []string
	Stdin  io.Reader // nil: nothing to read
	Stdout io.Writer
	Stderr io.Writer // nil: what it says there becomes part of the error
	// Term is the kind of terminal that it writes to; empty: none.
	Term string
}

// Exec runs a program inside the machine and waits for it. It has the capabilities that the machine's init has and not
// one more: root of the host who entered with his own could set the host's clock from in there.
func (m Machine) Exec(ctx context.Context, host Host, p Program) error {
	return m.inside(host, func(proc string) error {
		status, err := os.ReadFile(filepath.Join(proc, "status"))
		if err != nil {
			return err
		}
		set, err := bounding(string(status))
		if err != nil {
			return fmt.Errorf("%s/status: %w", proc, err)
		}
		if err := m.still(host, proc); err != nil {
			return err
		}
		argv := enter(filepath.Base(proc), set, p.Argv)
		command := exec.CommandContext(ctx, argv[0], argv[1:]...)
		command.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "USER=root", "LANG=C.UTF-8"}
		if p.Term != "" {
			command.Env = append(command.Env, "TERM="+p.Term)
		}
		command.Dir = "/"
		command.Stdin, command.Stdout, command.Stderr = p.Stdin, p.Stdout, p.Stderr
		var said strings.Builder
		if p.Stderr == nil {
			command.Stderr = &said
		}
		err = command.Run()
		if errors.Is(err, exec.ErrNotFound) {
			return fmt.Errorf("%w: apt-get install util-linux", err)
		}
		if text := strings.TrimSpace(said.String()); err != nil && text != "" {
			return fmt.Errorf("%w: %s", err, text)
		}
		return err
	})
}

// enter returns the command line that runs argv beside the machine's init. The capabilities are let go of out here, by the
// host's own program, before anything of the machine's runs.
func enter(init, set string, argv []string) []string {
	return append([]string{
		"setpriv", "--bounding-set=" + set, "--inh-caps=-all", "--",
		"nsenter", "--target=" + init, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd", "--",
	}, argv...)
}

// bounding makes what setpriv(1) is told of the CapBnd line of /proc/PID/status. Numbers stand for the names, since
// setpriv knows fewer of them than the kernel may.
func bounding(status string) (string, error) {
	for line := range strings.Lines(status) {
		digits, found := strings.CutPrefix(line, "CapBnd:")
		if !found {
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 64)
		if err != nil {
			return "", err
		}
		set := []string{"-all"}
		for bit := range 64 {
			if mask&(1<<bit) != 0 {
				set = append(set, "+cap_"+strconv.Itoa(bit))
			}
		}
		return strings.Join(set, ","), nil
	}
	return "", errors.New("no CapBnd: what the machine may do is not known")
}
