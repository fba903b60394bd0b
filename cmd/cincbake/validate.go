package main

import (
	"errors"
	"fmt"
	"strings"

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
			loaded, resolved, err := spec.load()
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
			for _, advice := range loaded.Advice() {
				fmt.Fprintf(c.ErrOrStderr(), "note: %s\n", advice)
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
	what := []string{string(r.Topology()) + " on " + string(r.Platform), r.Image.OS + " for " + r.Image.Arch}
	if r.Cinc != nil {
		what = append(what, "Cinc Server "+r.Cinc.Version)
	}
	if r.Postgres != nil {
		what = append(what, fmt.Sprintf("PostgreSQL %d", r.Postgres.Version))
	}
	if r.OpenSearch != nil {
		what = append(what, "OpenSearch "+r.OpenSearch.Version)
	}
	fmt.Fprintf(c.OutOrStdout(), "cluster %s is valid: %s, %s\n\n", r.Name, count(len(r.Nodes), "machine"), strings.Join(what, ", "))
	var rows [][]string
	for _, n := range r.Nodes {
		rows = append(rows, []string{n.Name, where(r, n), data(n)})
	}
	return printTable(c.OutOrStdout(), []string{"MACHINE", "WHERE", "DATA"}, rows)
}

// where is a machine's address or, on AWS, its type and subnet.
func where(r *cluster.Resolved, n cluster.Node) string {
	switch {
	case n.Placement == nil:
		return n.Address.String()
	case n.Slot == 0:
		return fmt.Sprintf("%s, %d to %d", n.Placement.InstanceType, r.API.Min, r.API.Max)
	case n.Placement.Subnet == "":
		return n.Placement.InstanceType
	}
	return n.Placement.InstanceType + " in " + n.Placement.Subnet
}

// data is where a machine keeps what outlives its image.
func data(n cluster.Node) string {
	switch {
	case n.Disk != "":
		return n.Disk
	case n.Placement != nil && n.Placement.VolumeGiB > 0:
		return fmt.Sprintf("%d GiB of %s", n.Placement.VolumeGiB, n.Placement.VolumeType)
	}
	return "on the root disk"
}
