package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
)

// verdict is what `validate -o json` prints. Cluster is what follows from a spec without mistakes.
type verdict struct {
	Valid    bool              `json:"valid"`
	Problems cluster.Problems  `json:"problems"`
	Cluster  *cluster.Resolved `json:"cluster,omitempty"`
}

func newValidate() *cobra.Command {
	var (
		spec   specFlag
		output outputFlag
	)
	c := &cobra.Command{
		Use:   "validate",
		Short: "Find every mistake in a cluster's spec",
		Long: `Validate reads the spec and reports every mistake in it at once, in the order of the file: each with its line and
column, its path, and what to do about it. It ends with exit code 2 when there is one.`,
		Example: "  cincbake validate\n  cincbake validate -f staging.yaml -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, resolved, err := spec.load()
			var problems cluster.Problems
			if errors.As(err, &problems) && output.json() {
				return errors.Join(err, printJSON(c.OutOrStdout(), verdict{Problems: problems}))
			}
			if err != nil {
				return err
			}
			if output.json() {
				return printJSON(c.OutOrStdout(), verdict{Valid: true, Problems: cluster.Problems{}, Cluster: resolved})
			}
			return describe(c, resolved)
		},
	}
	spec.register(c)
	output.register(c)
	return c
}

// describe tells what the spec comes to, so that a reader can see that it says what was meant.
func describe(c *cobra.Command, r *cluster.Resolved) error {
	fmt.Fprintf(c.OutOrStdout(), "cluster %s is valid: %s, %s on %s, PostgreSQL %d\n\n",
		r.Name, count(len(r.Nodes), "machine"), r.Image.OS, r.Image.Arch, r.Postgres.Version)
	var rows [][]string
	for _, n := range r.Nodes {
		disk := n.Disk
		if disk == "" {
			disk = "on the root disk"
		}
		rows = append(rows, []string{n.Name, n.Address.String(), disk})
	}
	return printTable(c.OutOrStdout(), []string{"MACHINE", "ADDRESS", "DATA"}, rows)
}
