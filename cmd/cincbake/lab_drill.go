package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/lab"
	"github.com/cincbake/cincbake/lab/drill"
	"github.com/cincbake/cincbake/operate"
)

// faults are what a drill can strike with, by name.
func faults(l *lab.Lab, client operate.Client) []drill.Fault {
	return []drill.Fault{
		drill.PowerOff(l),
		drill.Shutdown(l),
		drill.Kill(l, "patroni", "postgres"),
		drill.Replace(l),
		drill.Switchover(func(ctx context.Context) error {
			_, err := client.Switchover(ctx, "")
			return err
		}),
	}
}

func faultNames() []string {
	var names []string
	for _, f := range faults(nil, operate.Client{}) {
		names = append(names, f.Name)
	}
	return names
}

func newLabDrill() *cobra.Command {
	var (
		spec   specFlag
		output outputFlag
		node   string
		runs   int
		dryRun bool
	)
	c := &cobra.Command{
		Use:   "drill FAULT",
		Short: "Strike a machine while clients write, and measure what they notice",
		Long: `Drill writes to the cluster as its clients do, strikes a machine (the primary, unless another is named), waits until the cluster
is whole again, and tells for how long no write was acknowledged and how many acknowledged writes are lost. It ends with
exit code 1 when one is.

  power-off    pull the machine's plug, and put it back when clients are served again
  shutdown     stop it in good order, and start it again
  kill         kill PostgreSQL and Patroni at once
  replace      boot a new machine with an empty disk in its place
  switchover   move the primary, planned`,
		Example:   "  cincbake lab drill power-off\n  cincbake lab drill power-off --runs 5 -o json\n  cincbake lab drill replace --node postgres-2",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: faultNames(),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := newDrill(spec, args[0])
			if err != nil {
				return err
			}
			if d.Node, d.Runs = node, runs; dryRun {
				target := node
				if node == "" {
					target = "the primary"
				}
				fmt.Fprintf(c.ErrOrStderr(), "would strike %s: %s\n", target, args[0])
				return nil
			}
			report, err := d.Run(c.Context(), func(r drill.Result) {
				if !output.json() {
					_ = r.WriteText(c.OutOrStdout())
				}
			})
			switch {
			case err != nil:
				return err
			case output.json():
				err = printJSON(c.OutOrStdout(), report)
			case runs > 1:
				err = report.WriteText(c.OutOrStdout())
			}
			if err == nil && report.Lost > 0 {
				err = fmt.Errorf("%d acknowledged writes are lost", report.Lost)
			}
			return err
		},
	}
	spec.register(c)
	output.register(c)
	c.Flags().StringVar(&node, "node", "", "the machine to strike (default: the primary)")
	c.Flags().IntVar(&runs, "runs", 1, "how often")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be struck")
	return c
}

// newDrill returns a drill of the lab's cluster with the fault of that name, which is one of faultNames.
func newDrill(flag specFlag, name string) (drill.Drill, error) {
	spec, resolved, err := flag.load()
	if err != nil {
		return drill.Drill{}, err
	}
	bundle, err := loadBundle(spec.SecretsPath(), resolved)
	if err != nil {
		return drill.Drill{}, err
	}
	l, err := openLab(resolved)
	if err != nil {
		return drill.Drill{}, err
	}
	client, err := labClient(l, resolved, bundle)
	if err != nil {
		return drill.Drill{}, err
	}
	return drill.Drill{
		Cluster: client,
		Store:   &drill.Postgres{Cluster: resolved, CA: bundle.CA.Certificate, Password: bundle.Postgres.Owner, Dial: l.Dial},
		Fault:   faults(l, client)[slices.Index(faultNames(), name)],
	}, nil
}
