package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/operate"
)

// drained is what `drain -o json` prints.
type drained struct {
	Node    string `json:"node"`
	Drained bool   `json:"drained"`
	Left    int    `json:"left"` // connections of clients
}

func newDrain() *cobra.Command {
	var (
		operator operatorFlags
		output   outputFlag
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
machine stays so over a reboot, and until --undo. When no other machine would get clients, or a balancer is silent, so that
nobody knows, it is refused with exit code 5, unless --yes is given. A balancer that is still silent in the end is exit code
4: it may lead clients there all the same. Balancers that are not of this cluster are not asked.`,
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
			if err := checkDrain(c.Context(), client, args[0], undo || yes); err != nil {
				return err
			}
			if dryRun {
				fmt.Fprintf(c.ErrOrStderr(), "would see to it that %s %s\n", args[0], what)
				return nil
			}
			if err := client.Drain(c.Context(), args[0], !undo); err != nil {
				return err
			}
			result := drained{Node: args[0], Drained: !undo}
			if !output.json() {
				fmt.Fprintf(c.ErrOrStderr(), "%s %s\n", args[0], what)
			}
			if !undo {
				if result.Left, err = client.AwaitClientsGone(c.Context(), args[0], wait); err != nil {
					return err
				}
			}
			if output.json() {
				return printJSON(c.OutOrStdout(), result)
			}
			if result.Left > 0 {
				fmt.Fprintf(c.ErrOrStderr(), "%d connections of clients are left there after %v\n", result.Left, wait)
			}
			return nil
		},
	}
	operator.register(c)
	output.register(c)
	c.Flags().BoolVar(&undo, "undo", false, "let clients come again")
	c.Flags().DurationVar(&wait, "wait", time.Minute, "how long to wait for connected clients to go")
	c.Flags().BoolVar(&yes, "yes", false, "drain it also when nobody else would get clients, or nobody knows")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done")
	return c
}

// checkDrain refuses what can't be drained, and to drain the machine that alone gets clients: they would be turned away.
func checkDrain(ctx context.Context, client operate.Client, name string, allowLast bool) error {
	if err := client.CheckDrain(ctx, name); err != nil || allowLast {
		return err
	}
	alone, err := client.Alone(ctx, name)
	switch {
	case err != nil:
		return fmt.Errorf("%w; to do it all the same, add --yes", err)
	case alone:
		return exit.Errorf(exit.Unsafe, "no other API machine gets clients now, so that without %s they are turned away: see cincbake status; to do it all the same, add --yes", name)
	}
	return nil
}

// reindexed is what `reindex -o json` prints.
type reindexed struct {
	Node    string  `json:"node"`
	Seconds float64 `json:"seconds"`
}

func newReindex() *cobra.Command {
	var (
		operator operatorFlags
		output   outputFlag
		node     string
		yes      bool
		dryRun   bool
	)
	c := &cobra.Command{
		Use:   "reindex",
		Short: "Fill the search index anew from the database",
		Long: `Reindex drains an API machine, has it make the search index where it is missing and fill it from the database, and lets clients
come to it again. The other machines serve meanwhile; searches find what is in the index so far. When no other machine
would get clients meanwhile, or a balancer is silent, so that nobody knows, it is refused with exit code 5, unless --yes is
given.`,
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
			if err := checkDrain(c.Context(), client, node, yes); err != nil {
				return err
			}
			if dryRun {
				fmt.Fprintf(c.ErrOrStderr(), "would drain %s and reindex there\n", node)
				return nil
			}
			began := time.Now()
			err = client.Drain(c.Context(), node, true)
			if err == nil {
				if !output.json() {
					fmt.Fprintf(c.ErrOrStderr(), "%s is drained, and reindexes\n", node)
				}
				err = client.Reindex(c.Context(), node)
			}
			if err != nil {
				return fmt.Errorf("%w\n%s stays drained: cincbake drain %s --undo", err, node, node)
			}
			if err := client.Drain(c.Context(), node, false); err != nil {
				return err
			}
			took := time.Since(began)
			if output.json() {
				return printJSON(c.OutOrStdout(), reindexed{node, took.Round(100 * time.Millisecond).Seconds()})
			}
			fmt.Fprintf(c.ErrOrStderr(), "the index is whole after %.0f s, and %s gets clients again\n", took.Seconds(), node)
			return nil
		},
	}
	operator.register(c)
	output.register(c)
	c.Flags().StringVar(&node, "node", "", "the API machine that does it (default: one that is well)")
	_ = c.RegisterFlagCompletionFunc("node", operator.completeMachines)
	c.Flags().BoolVar(&yes, "yes", false, "reindex also when nobody else would get clients meanwhile, or nobody knows")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done")
	return c
}
