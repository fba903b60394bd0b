package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/lab/machine"
)

// Partition cuts a node off from every other one but those that it is with; with nobody, it is alone. What is sent across
// the cut is lost without a word, on open connections too. The operator still reaches every node, so the lab can ask both
// sides what they believe.
//
// It lasts until Heal, also when the node is started or replaced meanwhile; a second Partition takes the first one's place.
func (l *Lab) Partition(ctx context.Context, node string, with []string) error {
	return l.exclusively(ctx, func(machine.Host) error {
		m, err := l.machineOf(node)
		if err != nil {
			return err
		}
		ports := make([]string, len(with))
		for i, other := range with {
			o, err := l.machineOf(other)
			if err != nil {
				return err
			}
			if o.Port == m.Port {
				return exit.Errorf(exit.Invalid, "%s is to be cut off, and can't be its own company", node)
			}
			ports[i] = o.Port
		}
		return l.filtered(node, m.Network.Cut(ctx, m.Port, ports))
	})
}

// Heal takes back what Partition did to a node. What was cut off by another's partition stays so.
func (l *Lab) Heal(ctx context.Context, node string) error {
	return l.with(ctx, node, func(m machine.Machine, _ machine.Host) error {
		return l.filtered(node, m.Network.Heal(ctx, m.Port))
	})
}

func (l *Lab) filtered(node string, err error) error {
	switch {
	case errors.Is(err, machine.ErrNoFilter):
		return exit.As(exit.Missing, err)
	case errors.Is(err, fs.ErrNotExist):
		return l.notUp()
	case err != nil:
		return fmt.Errorf("cutting off %s, or healing it: %w", node, err)
	}
	return nil
}

// partitioned tells for each port whether it is cut off.
func (l *Lab) partitioned(ctx context.Context) (func(port string) bool, error) {
	cuts, err := machine.Network{Path: l.networkFile()}.Cuts(ctx)
	return func(port string) bool { return slices.Contains(cuts, port) }, err
}
