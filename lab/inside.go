package lab

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/lab/machine"
)

// Exec runs a program inside a node, as its root, and waits for it. It has no more capabilities than the node's own
// programs have. What it says on its standard error is part of the error, if it fails.
func (l *Lab) Exec(ctx context.Context, node string, argv []string, stdin io.Reader, stdout io.Writer) error {
	return l.Run(ctx, node, machine.Program{Argv: argv, Stdin: stdin, Stdout: stdout})
}

// Run is Exec for a program that may have a terminal.
func (l *Lab) Run(ctx context.Context, node string, p machine.Program) error {
	host, err := machine.ThisHost()
	if err != nil {
		return exit.As(exit.Missing, err)
	}
	m, err := l.machineOf(node)
	if err != nil {
		return err
	}
	return m.Exec(ctx, host, p) // under no lock: a shell may stay open for hours
}

// Fill leaves no room on a node's data disk, for anyone but its root.
func (l *Lab) Fill(ctx context.Context, node string) error { return l.FillBut(ctx, node, 0) }

// FillBut is Fill that leaves so many bytes.
func (l *Lab) FillBut(ctx context.Context, node string, leave int64) error {
	return l.with(ctx, node, func(m machine.Machine, host machine.Host) error {
		return diskFault(node, m.Fill(ctx, host, leave))
	})
}

// Empty gives the room back that Fill took.
func (l *Lab) Empty(ctx context.Context, node string) error {
	return l.with(ctx, node, func(m machine.Machine, host machine.Host) error { return diskFault(node, m.Empty(ctx, host)) })
}

func diskFault(node string, err error) error {
	switch {
	case errors.Is(err, machine.ErrNoDisk):
		return exit.Errorf(exit.Invalid, "%s can't be filled: %w", node, err)
	case err != nil:
		return fmt.Errorf("the data disk of %s: %w", node, err)
	}
	return nil
}
