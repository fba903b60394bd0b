package lab

import (
	"context"

	"github.com/cincbake/cincbake/lab/machine"
)

// Freeze stops every process of a node where it is, until Thaw. Unlike a node that is off, it keeps its connections and its
// locks, and comes back with what it believed before.
func (l *Lab) Freeze(ctx context.Context, node string) error {
	return l.with(ctx, node, func(m machine.Machine, host machine.Host) error { return m.Freeze(ctx, host) })
}

// Thaw lets a frozen node go on.
func (l *Lab) Thaw(ctx context.Context, node string) error {
	return l.with(ctx, node, func(m machine.Machine, host machine.Host) error { return m.Thaw(ctx, host) })
}
