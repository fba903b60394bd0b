package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
)

// ErrOff is a machine that is asked for something that only a running one can do.
var ErrOff = errors.New("it does not run")

// Dial connects as a program of the machine's own does: what listens on its loopback alone can be reached so. The address
// must hold no name to look up.
func (m Machine) Dial(ctx context.Context, host Host, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := m.inside(host, func(proc string) error {
		return inNetwork(filepath.Join(proc, "ns/net"), func() (err error) {
			if err := m.still(host, proc); err != nil {
				return err
			}
			conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
			return err
		})
	})
	return conn, err
}

// inside runs f with the folder that the kernel keeps about the machine's init.
func (m Machine) inside(host Host, f func(proc string) error) error {
	init, booted, err := m.init(host)
	if err != nil {
		return err
	}
	if !booted {
		return fmt.Errorf("%s: %w", m.Unit, ErrOff)
	}
	return f(filepath.Join("/proc", strconv.Itoa(init.PID)))
}

// still makes sure that what was entered by the number of the machine's init is the machine: another process may have got
// that number in the meantime, and its namespaces may be the host's.
func (m Machine) still(host Host, proc string) error {
	processes, err := m.Processes(host)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(processes, func(p Process) bool { return p.Inside == 1 && strconv.Itoa(p.PID) == filepath.Base(proc) }) {
		return fmt.Errorf("%s: %w", m.Unit, ErrOff)
	}
	return nil
}
