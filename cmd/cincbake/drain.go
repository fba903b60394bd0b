package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func newDrain() *cobra.Command {
	var (
		operator operatorFlags
		undo     bool
		dryRun   bool
	)
	c := &cobra.Command{
		Use:   "drain MACHINE",
		Short: "Keep new clients from an API machine, or let them come again",
		Long: `Drain tells the balancers to send no new clients to an API machine; those that are connected stay until they go. It waits until
every balancer has heard of it. A drained machine stays so over a reboot, and until --undo.`,
		Example:           "  cincbake drain api-2\n  cincbake drain api-2 --undo",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: operator.completeMachines,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := operator.client()
			if err != nil {
				return err
			}
			what := "gets no new clients"
			if undo {
				what = "gets clients again"
			}
			if dryRun {
				fmt.Fprintf(c.ErrOrStderr(), "would see to it that %s %s\n", args[0], what)
				return nil
			}
			if err := client.Drain(c.Context(), args[0], !undo); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "%s %s\n", args[0], what)
			return nil
		},
	}
	operator.register(c)
	c.Flags().BoolVar(&undo, "undo", false, "let clients come again")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done")
	return c
}

func newReindex() *cobra.Command {
	var (
		operator operatorFlags
		node     string
		dryRun   bool
	)
	c := &cobra.Command{
		Use:   "reindex",
		Short: "Fill the search index anew from the database",
		Long: `Reindex drains an API machine, has it make the search index where it is missing and fill it from the database, and lets clients
come to it again. The other machines serve meanwhile; searches find what is in the index so far.`,
		Example: "  cincbake reindex\n  cincbake reindex --node api-2",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := operator.client()
			if err != nil {
				return err
			}
			if node == "" {
				if node, err = client.AnyAPI(c.Context()); err != nil {
					return err
				}
			}
			if dryRun {
				fmt.Fprintf(c.ErrOrStderr(), "would drain %s and reindex there\n", node)
				return nil
			}
			began := time.Now()
			if err := client.Drain(c.Context(), node, true); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "%s is drained, and reindexes\n", node)
			if err := client.Reindex(c.Context(), node); err != nil {
				return fmt.Errorf("%w\n%s stays drained: cincbake drain %s --undo", err, node, node)
			}
			if err := client.Drain(c.Context(), node, false); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "the index is whole after %.0f s, and %s gets clients again\n", time.Since(began).Seconds(), node)
			return nil
		},
	}
	operator.register(c)
	c.Flags().StringVar(&node, "node", "", "the API machine that does it (default: one that is well)")
	_ = c.RegisterFlagCompletionFunc("node", operator.completeMachines)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done")
	return c
}
