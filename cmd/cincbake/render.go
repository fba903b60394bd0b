package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// rendered is a row of `render -o json`.
type rendered struct {
	Node       string `json:"node"`
	InstanceID string `json:"instanceId"`
	Dir        string `json:"dir"`
}

func newRender() *cobra.Command {
	var (
		spec        specFlag
		output      outputFlag
		out, format string
	)
	c := &cobra.Command{
		Use:   "render --out DIR",
		Short: "Write a cloud-init seed for every machine",
		Long: `Render writes a NoCloud seed for every machine of the cluster, a folder each, readable by its owner alone: a seed holds the
machine's keys and passwords. Every seed is held against cloud-init's own schema before anything is written. The same
spec and secrets give the same bytes.

Hand the folder to the hypervisor as the machine's NoCloud seed, and remove it when the machine has booted.`,
		Example: "  cincbake render --out seeds\n  cincbake render -f staging.yaml --out /tmp/seeds",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch format {
			case "dir":
			case "iso", "user-data":
				return exit.Errorf(exit.Invalid, "format %s is not built yet: use dir", format)
			default:
				return exit.Errorf(exit.Invalid, "%q is not a format: use dir", format)
			}
			wanted, resolved, err := spec.load()
			if err != nil {
				return err
			}
			bundle, err := loadBundle(wanted.SecretsPath(), resolved)
			if err != nil {
				return err
			}
			seeds, err := seedsOf(resolved, bundle)
			if err != nil {
				return err
			}
			summary, err := writeSeeds(resolved, seeds, out)
			if err != nil {
				return err
			}
			if output.json() {
				return printJSON(c.OutOrStdout(), summary)
			}
			var rows [][]string
			for _, r := range summary {
				rows = append(rows, []string{r.Node, r.InstanceID, r.Dir})
			}
			return printTable(c.OutOrStdout(), []string{"MACHINE", "INSTANCE ID", "SEED"}, rows)
		},
	}
	spec.register(c)
	output.register(c)
	c.Flags().StringVar(&out, "out", "", "the folder to write to, with a folder for each machine")
	c.Flags().StringVar(&format, "format", "dir", "the form of the seeds")
	_ = c.MarkFlagRequired("out")
	_ = c.MarkFlagDirname("out")
	return c
}

func writeSeeds(r *cluster.Resolved, seeds map[string]cloudinit.Seed, out string) ([]rendered, error) {
	summary := make([]rendered, 0, len(r.Nodes))
	for _, node := range r.Nodes {
		seed, dir := seeds[node.Name], filepath.Join(out, node.Name)
		if err := cloudinit.WriteDir(seed, dir); err != nil {
			return nil, err
		}
		summary = append(summary, rendered{node.Name, seed.InstanceID, dir})
	}
	return summary, nil
}
