package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/lab"
)

func newLabStatus() *cobra.Command {
	var (
		spec   specFlag
		output outputFlag
	)
	c := &cobra.Command{
		Use:   "status",
		Short: "Show the lab's machines, as their host sees them",
		Long: `Status shows which machines run. How the cluster is that they make up, "cincbake status --lab" asks the machines
themselves.`,
		Example: "  cincbake lab status\n  cincbake lab status -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := spec.lab()
			if err != nil {
				return err
			}
			machines, err := l.Status(c.Context())
			if err != nil {
				return err
			}
			if output.json() {
				return printJSON(c.OutOrStdout(), machines)
			}
			var rows [][]string
			for _, m := range machines {
				rows = append(rows, []string{m.Node, m.Address.String(), stateOf(m)})
			}
			if err := printTable(c.OutOrStdout(), []string{"MACHINE", "ADDRESS", "STATE"}, rows); err != nil {
				return err
			}
			listen, err := l.Published()
			if err != nil || listen == "" {
				return err
			}
			served, err := l.Cluster()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "\n%s\n", clients(listen, served.Domain))
			return err
		},
	}
	spec.register(c)
	output.register(c)
	return c
}

// stateOf says in a few words how a machine is.
func stateOf(m lab.Machine) string {
	state := "off"
	if m.Running {
		state = "running since " + time.Duration(m.Seconds*float64(time.Second)).Round(time.Second).String()
	}
	if m.Frozen {
		state += ", frozen"
	}
	if m.Partitioned {
		state += ", partitioned"
	}
	return state
}

// newLabPower returns a command that does one thing to one machine of the lab.
func newLabPower(use, short string, do func(*lab.Lab, context.Context, string) error) *cobra.Command {
	var (
		spec   specFlag
		dryRun bool
	)
	c := &cobra.Command{
		Use:     use + " MACHINE",
		Short:   short,
		Example: fmt.Sprintf("  cincbake lab %s postgres-1", use),
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := spec.lab()
			if err != nil {
				return err
			}
			if dryRun {
				fmt.Fprintf(c.ErrOrStderr(), "would %s %s of lab %s\n", use, args[0], l.Name())
				return nil
			}
			if err := requireRoot("the lab runs machines"); err != nil {
				return err
			}
			began := time.Now()
			if err := do(l, c.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "%s %s: done in %.1f s\n", use, args[0], time.Since(began).Seconds())
			return nil
		},
		ValidArgsFunction: spec.completeLab,
	}
	spec.register(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done")
	return c
}

func newLabLogs() *cobra.Command {
	var (
		spec  specFlag
		lines int
	)
	c := &cobra.Command{
		Use:               "logs MACHINE",
		Short:             "Show the last lines of a machine's journal, also of one that is off",
		Example:           "  cincbake lab logs postgres-1 --lines 200",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: spec.completeLab,
		RunE: func(c *cobra.Command, args []string) error {
			l, err := spec.lab()
			if err != nil {
				return err
			}
			return l.Logs(c.Context(), args[0], lines, c.OutOrStdout())
		},
	}
	spec.register(c)
	c.Flags().IntVar(&lines, "lines", 100, "how many")
	return c
}

// completeMachines completes the name of a machine of the cluster. A shell has no use for errors.
func (f *specFlag) completeMachines(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	_, resolved, err := f.load()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := make([]string, len(resolved.Nodes))
	for i, n := range resolved.Nodes {
		names[i] = n.Name
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
