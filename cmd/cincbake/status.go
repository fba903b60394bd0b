package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/operate"
)

// clusterStatus is what `status -o json` prints. Lacks is what a whole cluster would have besides.
type clusterStatus struct {
	Whole bool                 `json:"whole"`
	Lacks []string             `json:"lacks"`
	Nodes []operate.NodeStatus `json:"nodes"`
}

func newStatus() *cobra.Command {
	var (
		operator operatorFlags
		output   outputFlag
	)
	c := &cobra.Command{
		Use:   "status",
		Short: "Ask every machine how it is",
		Long: `Status asks every machine of the cluster and draws one table: how far each has come and why it waits, who is primary, how far
the others are behind, how the quorum is, and how long certificates last. It ends with exit code 1 when the cluster is
not whole.`,
		Example: "  cincbake status\n  cincbake status --lab\n  cincbake status -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := operator.client()
			if err != nil {
				return err
			}
			all := client.Status(c.Context())
			lacks := operate.Whole(all)
			if output.json() {
				report := clusterStatus{Whole: lacks == nil, Lacks: []string{}, Nodes: all}
				if lacks != nil {
					report.Lacks = strings.Split(lacks.Error(), "\n")
				}
				err = printJSON(c.OutOrStdout(), report)
			} else {
				err = operate.Table(c.OutOrStdout(), client.Cluster, all, time.Now())
			}
			if err == nil && lacks != nil {
				err = errTold
			}
			return err
		},
	}
	operator.register(c)
	output.register(c)
	return c
}
