package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/lab"
	"github.com/cincbake/cincbake/lab/drill"
)

// databasePrograms are what the drill kills when it is told no more than to kill.
func databasePrograms() []string { return []string{"patroni", "postgres"} }

// faults are what a drill can strike with, by name.
func faults(l *lab.Lab, s site) []drill.Fault {
	return []drill.Fault{
		drill.PowerOff(l),
		drill.Shutdown(l),
		drill.Kill(l, databasePrograms()...),
		drill.Replace(l),
		drill.Partition(l),
		drill.Freeze(l),
		drill.Fill(l),
		drill.Switchover(s.Switchover),
		drill.Rollout(s.Rollout),
	}
}

func faultNames() []string {
	var names []string
	for _, f := range faults(nil, site{}) {
		names = append(names, f.Name)
	}
	return names
}

// drillFlags say what a drill does.
type drillFlags struct {
	spec         specFlag
	folder       imagesFlag
	output       outputFlag
	node         string
	runs         int
	hold         time.Duration
	suite        string
	report       string
	organization string
	dryRun       bool
}

func newLabDrill() *cobra.Command {
	var flags drillFlags
	c := &cobra.Command{
		Use:   "drill [FAULT]",
		Short: "Strike machines while clients work, and measure what they notice",
		Long: `Drill writes to the cluster as its clients do, strikes a machine (the primary, unless another is named), waits until the cluster
is whole again, and tells for how long no write was acknowledged and how many acknowledged writes are lost. It ends with
exit code 1 when one is.

  power-off    pull the machine's plug, and put it back when clients are served again
  shutdown     stop it in good order, and start it again
  kill         kill PostgreSQL and Patroni at once
  replace      boot a new machine with an empty disk in its place
  partition    cut it off from all others, and heal that
  freeze       stop it where it is, and let it go on
  fill         leave no room on its data disk, and give that back
  switchover   move the primary, planned
  rollout      boot a new machine in every one's place, one after the other, from the newest images

With --suite it makes a whole list of strikes, on machines of every role, with one fault or two, while SQL writers, signed
Chef API writers and readers work. A strike that fails its checks is recorded, and the drill goes on. With --report it leaves
drill.json, drill.txt and drill.html, a page with the timeline of every strike, in a folder. With
--report or --hold a single fault too meets all kinds of clients.`,
		Example: `  cincbake lab drill power-off
  cincbake lab drill power-off --runs 5 -o json
  cincbake lab drill replace --node postgres-2
  cincbake lab drill power-off --node all --runs 5
  cincbake lab drill freeze --node lb-1 --hold 15s
  cincbake lab drill --suite reduced --report drill-report`,
		Args: func(c *cobra.Command, args []string) error {
			if flags.suite != "" {
				return cobra.NoArgs(c, args)
			}
			return cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)(c, args)
		},
		ValidArgs: faultNames(),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case flags.suite != "" && (flags.node != "" || c.Flags().Changed("runs") || c.Flags().Changed("hold")):
				return exit.Errorf(exit.Invalid, "a suite says itself whom it strikes, how often and for how long: leave --node, --runs and --hold out")
			case flags.hold < 0:
				return exit.Errorf(exit.Invalid, "--hold %v: name a time that is not less than nothing, like 15s", flags.hold)
			case flags.suite != "":
				suite, err := drill.SuiteCalled(flags.suite)
				if err != nil {
					return err
				}
				return flags.series(c, suite)
			case flags.report != "" || flags.node == drill.Everybody || flags.hold > 0:
				target := flags.node
				if target == "" {
					target = "primary"
				}
				return flags.series(c, drill.Single(args[0], target, flags.runs, flags.hold, databasePrograms()...))
			default:
				return flags.single(c, args[0])
			}
		},
	}
	flags.spec.register(c)
	flags.folder.register(c)
	flags.output.register(c)
	c.Flags().StringVar(&flags.node, "node", "", "the machine to strike, or all of them at once (default: the primary)")
	c.Flags().IntVar(&flags.runs, "runs", 1, "how often")
	c.Flags().DurationVar(&flags.hold, "hold", 0, "mend it no sooner than after that time; 0: when clients are served again")
	c.Flags().StringVar(&flags.suite, "suite", "", "make a list of strikes: "+strings.Join(drill.SuiteNames(), " or "))
	c.Flags().StringVar(&flags.report, "report", "", "write the report into this folder")
	c.Flags().StringVar(&flags.organization, "organization", "", "the organization that Chef API clients work in; empty for a server that has none")
	c.Flags().BoolVar(&flags.dryRun, "dry-run", false, "say what would be struck")
	_ = c.RegisterFlagCompletionFunc("suite", cobra.FixedCompletions(drill.SuiteNames(), cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("node", func(c *cobra.Command, _ []string, start string) ([]string, cobra.ShellCompDirective) {
		return flags.spec.completeMachines(c, nil, start)
	})
	_ = c.MarkFlagDirname("report")
	return c
}

// single strikes with one fault, while SQL writers write.
func (f *drillFlags) single(c *cobra.Command, fault string) error {
	b, err := f.open()
	if err != nil {
		return err
	}
	if f.dryRun {
		target := f.node
		if target == "" {
			target = "the primary"
		}
		fmt.Fprintf(c.ErrOrStderr(), "would strike %s: %s\n", target, fault)
		return nil
	}
	d := drill.Drill{
		Cluster: b.client, Store: b.postgres(), Node: f.node, Runs: f.runs,
		Fault: faults(b.lab, b.site())[slices.Index(faultNames(), fault)],
	}
	report, err := d.Run(c.Context(), func(r drill.Result) {
		if !f.output.json() {
			_ = r.WriteText(c.OutOrStdout())
		}
	})
	switch {
	case err != nil:
		return err
	case f.output.json():
		err = printJSON(c.OutOrStdout(), report)
	case f.runs > 1:
		err = report.WriteText(c.OutOrStdout())
	}
	if err == nil && report.Lost > 0 {
		err = fmt.Errorf("%d acknowledged writes are lost", report.Lost)
	}
	return err
}

// series makes a suite's strikes, while all kinds of clients work.
func (f *drillFlags) series(c *cobra.Command, suite drill.Suite) error {
	if f.dryRun {
		for _, s := range suite.Strikes {
			fmt.Fprintf(c.ErrOrStderr(), "would strike %d times: %s\n", s.Runs, s.Name)
		}
		return nil
	}
	b, err := f.open()
	if err != nil {
		return err
	}
	configuration, err := b.configuration(c.Context())
	if err != nil {
		return err
	}
	progress := newProgress(c.ErrOrStderr())
	series := drill.Series{
		Suite: suite, Cluster: b.cluster, Site: b.site(), Machines: b.lab, Traffic: b.traffic(f.organization), Configuration: configuration,
		Heard: func(s drill.Struck, o drill.Outcome) error {
			progress.say(fmt.Sprintf("%d of %d", s.Number, o.Planned), s.Summary())
			return f.save(o) // what there is survives whatever comes next
		},
	}
	out, err := series.Run(c.Context())
	if saved := f.save(out); err == nil {
		err = saved
	}
	var printed error
	if f.output.json() {
		printed = out.WriteJSON(c.OutOrStdout())
	} else {
		printed = out.WriteText(c.OutOrStdout())
	}
	switch {
	case err != nil:
		return err
	case printed != nil:
		return printed
	case !out.OK():
		return fmt.Errorf("the drill found something wrong: %s", out.Verdict())
	}
	return nil
}

func (f *drillFlags) save(o drill.Outcome) error {
	if f.report == "" {
		return nil
	}
	return o.Save(f.report)
}
