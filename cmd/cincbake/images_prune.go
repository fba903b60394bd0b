package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/lab"
)

// pruned is a row of `images prune -o json`.
type pruned struct {
	ID    string `json:"id"`
	Keep  bool   `json:"keep"`
	Why   string `json:"why"`
	Bytes int64  `json:"bytes"` // of its files
}

func newImagesPrune() *cobra.Command {
	var (
		folder imagesFlag
		output outputFlag
		policy images.Policy
		role   string
		apply  bool
	)
	c := &cobra.Command{
		Use:   "prune",
		Short: "Remove images that nothing needs",
		Long: `Prune says of every image whether it stays, and why. Nothing is removed without --apply.

What a channel points to stays, and so do what a lab on this machine runs on, the newest verified images of each role and
recipe, and what is young. Broken images stay too, unless --broken says otherwise.`,
		Example: "  cincbake images prune\n  cincbake images prune --keep 1 --min-age 24h --apply",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			catalogue, err := folder.open()
			if err != nil {
				return err
			}
			if role != "" && !slices.Contains(cluster.Roles(), cluster.Role(role)) {
				return exit.Errorf(exit.Invalid, "--role: %q is none of %v", role, cluster.Roles())
			}
			if policy.Keep < 0 || policy.MinAge < 0 {
				return exit.Errorf(exit.Invalid, "--keep and --min-age cannot be below zero")
			}
			policy.Role, policy.Now = cluster.Role(role), time.Now()
			if policy.Used, err = lab.UsedImages(lab.DefaultFolders()); err != nil {
				return fmt.Errorf("which images labs run on: %w", err)
			}
			fates, err := catalogue.Plan(c.Context(), policy)
			if err != nil {
				return err
			}
			report := []pruned{}
			rows := [][]string{}
			var doomed []images.Entry
			var freed int64
			for _, fate := range fates {
				row := pruned{ID: fate.Entry.ID, Keep: fate.Keep, Why: fate.Why}
				for _, a := range fate.Entry.Record.Artefacts {
					row.Bytes += a.Bytes
				}
				word := "stays"
				if !fate.Keep {
					word = "goes"
					doomed = append(doomed, fate.Entry)
					freed += row.Bytes
				}
				report = append(report, row)
				rows = append(rows, []string{row.ID, word, megabytes(row.Bytes), row.Why})
			}
			if apply {
				if err := catalogue.Remove(c.Context(), doomed); err != nil {
					return err
				}
			}
			if output.json() {
				return printJSON(c.OutOrStdout(), report)
			}
			if err := printTable(c.OutOrStdout(), []string{"IMAGE", "", "SIZE", "WHY"}, rows); err != nil {
				return err
			}
			switch {
			case len(doomed) == 0:
				fmt.Fprintln(c.OutOrStdout(), "nothing to remove")
			case apply:
				fmt.Fprintf(c.OutOrStdout(), "removed %d images, %s\n", len(doomed), megabytes(freed))
			default:
				fmt.Fprintf(c.OutOrStdout(), "would remove %d images, %s: nothing is removed without --apply\n", len(doomed), megabytes(freed))
			}
			return nil
		},
	}
	folder.register(c)
	output.register(c)
	c.Flags().StringVar(&role, "role", "", "only images of this role")
	c.Flags().IntVar(&policy.Keep, "keep", 3, "how many of the newest verified images of each role and recipe stay")
	c.Flags().DurationVar(&policy.MinAge, "min-age", 7*24*time.Hour, "what is younger stays")
	c.Flags().BoolVar(&policy.Broken, "broken", false, "remove broken images too")
	c.Flags().BoolVar(&apply, "apply", false, "remove them")
	_ = c.RegisterFlagCompletionFunc("role", fixed(cluster.Roles()...))
	return c
}
