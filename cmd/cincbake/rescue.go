package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/operate"
)

// Of what an operator must know before a rescue, this holds for each.
const rescueCost = `%s would continue alone with the data on its disk, and the other machines would join it with empty ones.
%s This is for disks that will never come back: machines that are
merely down come back by being started, and nothing is lost then.
The machine refuses while another one is silent or still has data. To order it, add --yes`

func newRescue() *cobra.Command {
	return group("rescue", "Bring back what no machine may bring back by itself", "", newRescueOf(rescueEtcd()), newRescueOf(rescueOpenSearch()))
}

// rescue is one kind of data that can continue alone.
type rescue struct {
	name, short, long string
	example           string // a machine
	cost              string // in one sentence
	order             func(operate.Client, context.Context, string) (string, error)
}

func rescueEtcd() rescue {
	return rescue{
		name:  "etcd",
		short: "Let one machine's quorum data continue alone, after the majority's disks were lost",
		long: `When the disks of most voters are lost for good, the quorum cannot come back by itself. This orders the one machine that still
has its data to continue alone; empty replacements of the others, which wait for it, then join. See docs/operations.md.

It costs whatever only the lost disks held, so it is refused with exit code 5 unless --yes is given.`,
		example: "postgres-1",
		cost:    "Writes that only lost disks hold are lost for good.",
		order:   operate.Client.RescueEtcd,
	}
}

func rescueOpenSearch() rescue {
	return rescue{
		name:  "opensearch",
		short: "Let one search node's index continue alone, after the majority's disks were lost",
		long: `When the disks of most search nodes are lost for good, their cluster cannot come back by itself. This orders the one machine that
still has its index to continue alone; empty replacements of the others, which wait for it, then join and copy. See docs/operations.md.

It costs what only the lost disks held, and it makes the cluster another one: a disk of the old cluster that turns up later is
refused. So it is refused with exit code 5 unless --yes is given.`,
		example: "opensearch-1",
		cost: `What only the lost disks hold is gone from the index until Cinc Server writes it again, and a disk of the old cluster that
turns up later is refused.`,
		order: operate.Client.RescueOpenSearch,
	}
}

// rescued is what `rescue -o json` prints.
type rescued struct {
	Node    string `json:"node"`
	Ordered string `json:"ordered"` // what the machine said that it will do
}

func newRescueOf(r rescue) *cobra.Command {
	var (
		operator operatorFlags
		output   outputFlag
		node     string
		yes      bool
	)
	command := "  cincbake rescue " + r.name + " --node " + r.example
	c := &cobra.Command{
		Use:     r.name + " --node MACHINE",
		Short:   r.short,
		Long:    r.long,
		Example: command + "\n" + command + " --yes",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := operator.client(c.Context())
			if err != nil {
				return err
			}
			if _, err := client.Cluster.Node(node); err != nil {
				return exit.As(exit.Invalid, err)
			}
			if !yes {
				return exit.Errorf(exit.Unsafe, rescueCost, node, r.cost)
			}
			ordered, err := r.order(client, c.Context(), node)
			if err != nil {
				return err
			}
			if output.json() {
				return printJSON(c.OutOrStdout(), rescued{node, ordered})
			}
			fmt.Fprintf(c.ErrOrStderr(), "%s: %s\nwatch it with cincbake status\n", node, ordered)
			return nil
		},
	}
	operator.register(c)
	output.register(c)
	c.Flags().StringVar(&node, "node", "", "the machine that kept its data")
	c.Flags().BoolVar(&yes, "yes", false, "order it, at the cost that is told without this")
	_ = c.MarkFlagRequired("node")
	return c
}
