package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newSwitchover() *cobra.Command {
	var (
		operator operatorFlags
		output   outputFlag
		to       string
		dryRun   bool
	)
	c := &cobra.Command{
		Use:   "switchover",
		Short: "Move the primary to another machine, planned",
		Long: `Switchover makes another database machine the primary: the one that is named, or the synchronous standby. Nothing is lost;
clients reconnect after a moment.`,
		Example: "  cincbake switchover\n  cincbake switchover --to postgres-2",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := operator.client(c.Context())
			if err != nil {
				return err
			}
			if dryRun {
				primary, err := client.CheckSwitchover(c.Context(), to)
				if err != nil {
					return err
				}
				target := to
				if target == "" {
					target = "the synchronous standby"
				}
				fmt.Fprintf(c.ErrOrStderr(), "would move the primary from %s to %s\n", primary, target)
				return nil
			}
			done, err := client.Switchover(c.Context(), to)
			if err != nil {
				return err
			}
			if output.json() {
				return printJSON(c.OutOrStdout(), done)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s is primary now, %s was; it took %.1f s\n", done.To, done.From, done.Seconds)
			return err
		},
	}
	operator.register(c)
	output.register(c)
	c.Flags().StringVar(&to, "to", "", "the machine that becomes primary (default: the synchronous standby)")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would move")
	return c
}
