package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/internal/exit"
)

// streams are where a command reads and writes: data goes to out, everything said about it to err.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// run runs one command line and returns the exit code that it ends with.
func run(ctx context.Context, args []string, s streams) exit.Code {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)

	began := false
	markBegin(root, &began)
	command, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exit.Done
	case !began: // cobra refused the command line: no such command, flag or argument
		err = exit.Errorf(exit.Invalid, "%w\nsee %s --help", err, command.CommandPath())
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		err = fmt.Errorf("stopped on request: %w", err)
	}
	if !errors.Is(err, errTold) {
		fmt.Fprintf(s.err, "error: %v\n", err)
	}
	return exit.CodeOf(err)
}

// errTold ends a command with a code when what it printed has said all there is to say.
var errTold = errors.New("told already")

// newRoot returns the whole command tree.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "cincbake",
		Short: "Redundant Cinc Server clusters, baked",
		Long: `cincbake makes a redundant Cinc Server cluster a product: one immutable image per role, baked through Packer,
and what wires each machine into its cluster at boot. Nobody logs in to configure a host.

A cluster is one file, cluster.yaml. From there to running machines:

  cincbake init          write cluster.yaml, with a comment on every choice
  cincbake validate      find every mistake in it
  cincbake secrets init  make the cluster's certificates and passwords
  cincbake bake          bake the images
  cincbake render        write the cloud-init seed of every machine, or its user data
  cincbake explain       show everything that a machine will be
  cincbake graph         draw the cluster

Or run the whole cluster on this machine first: cincbake lab up`,
		SilenceErrors: true, // run prints them once, with their exit code
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          showHelp,
	}
	root.AddCommand(
		newInit(),
		newValidate(),
		newCompat(),
		newSchema(),
		newLock(),
		newSecrets(),
		newRender(),
		newExplain(),
		newGraph(),
		newSQL(),
		newBake(),
		newImages(),
		newIAM(),
		newLaunch(),
		newStatus(),
		newDoctor(),
		newSwitchover(),
		newDrain(),
		newReindex(),
		newBackup(),
		newRestore(),
		newRescue(),
		newLab(),
		newVersion(),
	)
	return root
}

// group is a command that only holds others: alone it shows its help, and a word that it does not know is an error.
func group(use, short, long string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.NoArgs, RunE: showHelp}
	c.AddCommand(commands...)
	return c
}

func showHelp(c *cobra.Command, _ []string) error { return c.Help() }

// markBegin makes every command of the tree note that it began, which tells its own errors from a refused command line.
func markBegin(c *cobra.Command, began *bool) {
	if work := c.RunE; work != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			*began = true
			return work(c, args)
		}
	}
	for _, child := range c.Commands() {
		markBegin(child, began)
	}
}
