package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/operate"
)

func newDrain() *cobra.Command {
	var (
		operator operatorFlags
		undo     bool
		wait     time.Duration
		yes      bool
		dryRun   bool
	)
	c := &cobra.Command{
		Use:   "drain MACHINE",
		Short: "Keep new clients from an API machine, or let them come again",
		Long: `Drain tells the balancers to send no new clients to an API machine; those that are connected stay until they go. It waits until
every balancer has heard of it, and then for at most --wait until the clients that are connected have gone. A drained
machine stays so over a reboot, and until --undo. When no other machine would get clients it is refused with exit code
5, unless --yes is given.`,
		Example:           "  cincbake drain api-2\n  cincbake drain api-2 --wait 5m\n  cincbake drain api-2 --undo",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: operator.completeMachines,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := operator.client(c.Context())
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
			if !undo && !yes {
				if err := refuseLast(c.Context(), client, args[0]); err != nil {
					return err
				}
			}
			if err := client.Drain(c.Context(), args[0], !undo); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "%s %s\n", args[0], what)
			if undo {
				return nil
			}
			left, err := client.AwaitClientsGone(c.Context(), args[0], wait)
			if err == nil && left > 0 {
				fmt.Fprintf(c.ErrOrStderr(), "%d connections of clients are left there after %v\n", left, wait)
			}
			return err
		},
	}
	operator.register(c)
	c.Flags().BoolVar(&undo, "undo", false, "let clients come again")
	c.Flags().DurationVar(&wait, "wait", time.Minute, "how long to wait for connected clients to go")
	c.Flags().BoolVar(&yes, "yes", false, "drain it also when nobody else would get clients")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done")
	return c
}

// refuseLast refuses to drain the machine that alone gets clients: they would be turned away.
func refuseLast(ctx context.Context, client operate.Client, name string) error {
	if !client.Alone(ctx, name) {
		return nil
	}
	return exit.Errorf(exit.Unsafe, "no other API machine gets clients now, so that without %s they are turned away: see cincbake status; to do it all the same, add --yes", name)
}

func newReindex() *cobra.Command {
	var (
		operator operatorFlags
		node     string
		yes      bool
		dryRun   bool
	)
	c := &cobra.Command{
		Use:   "reindex",
		Short: "Fill the search index anew from the database",
		Long: `Reindex drains an API machine, has it make the search index where it is missing and fill it from the database, and lets clients
come to it again. The other machines serve meanwhile; searches find what is in the index so far. When no other machine
would get clients meanwhile it is refused with exit code 5, unless --yes is given.`,
		Example: "  cincbake reindex\n  cincbake reindex --node api-2",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := operator.client(c.Context())
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
			if !yes {
				if err := refuseLast(c.Context(), client, node); err != nil {
					return err
				}
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
	c.Flags().BoolVar(&yes, "yes", false, "reindex also when nobody else would get clients meanwhile")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done")
	return c
}
