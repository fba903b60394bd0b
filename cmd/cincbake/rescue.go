package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/internal/exit"
)

// rescueCost is what an operator must know before a rescue.
const rescueCost = `%s would continue alone with the data on its disk, and the other machines would join it with empty ones.
Writes that only lost disks hold are lost for good. This is for disks that will never come back: machines that are
merely down come back by being started, and nothing is lost then.
The machine refuses while another one is silent or still has data. To order it, add --yes`

func newRescue() *cobra.Command {
	return group("rescue", "Bring back what no machine may bring back by itself", "", newRescueEtcd())
}

func newRescueEtcd() *cobra.Command {
	var (
		operator operatorFlags
		node     string
		yes      bool
	)
	c := &cobra.Command{
		Use:   "etcd --node MACHINE",
		Short: "Let one machine's quorum data continue alone, after the majority's disks were lost",
		Long: `When the disks of most voters are lost for good, the quorum cannot come back by itself. This orders the one machine that still
has its data to continue alone; empty replacements of the others, which wait for it, then join. See docs/operations.md.

It costs whatever only the lost disks held, so it is refused with exit code 5 unless --yes is given.`,
		Example: "  cincbake rescue etcd --node postgres-1\n  cincbake rescue etcd --node postgres-1 --yes",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := operator.client()
			if err != nil {
				return err
			}
			if _, err := client.Cluster.Node(node); err != nil {
				return exit.As(exit.Invalid, err)
			}
			if !yes {
				return exit.Errorf(exit.Unsafe, rescueCost, node)
			}
			ordered, err := client.RescueEtcd(c.Context(), node)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "%s: %s\nwatch it with cincbake status\n", node, ordered)
			return nil
		},
	}
	operator.register(c)
	c.Flags().StringVar(&node, "node", "", "the machine that kept its data")
	c.Flags().BoolVar(&yes, "yes", false, "order it, at the cost that is told without this")
	_ = c.MarkFlagRequired("node")
	return c
}
