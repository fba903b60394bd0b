package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/images/ec2"
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
		folder shelfFlag
		output outputFlag
		policy images.Policy
		role   string
		apply  bool
		cloud  ec2.Policy
	)
	c := &cobra.Command{
		Use:   "prune",
		Short: "Remove images that nothing needs",
		Long: `Prune says of every image whether it stays, and why. Nothing is removed without --apply.

What a channel points to stays, and so do what a lab on this machine runs on, the newest verified images of each role and
recipe, and what is young. Broken images stay too, unless --broken says otherwise.

With --images ec2, an image also stays for an instance in any state but terminated, for any version of a launch template that an
autoscaling group launches from, for every template's default and latest version and the newest ones of the cluster's own
(--versions), for others who may launch it (unless --shared), and for a protection that somebody else gave it. What nothing needs
goes in all its regions: first the protection that its promotion gave it, then the AMI, then its snapshots.`,
		Example: "  cincbake images prune\n  cincbake images prune --keep 1 --min-age 24h --apply\n  cincbake images prune --images ec2 --regions eu-west-1,eu-central-1",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			aws, err := folder.onAWS(c, "shared", "versions")
			if err != nil {
				return err
			}
			if role != "" && !slices.Contains(cluster.Roles(), cluster.Role(role)) {
				return exit.Errorf(exit.Invalid, "--role: %q is none of %v", role, cluster.Roles())
			}
			if policy.Keep < 0 || policy.MinAge < 0 || cloud.Versions < 0 {
				return exit.Errorf(exit.Invalid, "--keep, --min-age and --versions cannot be below zero")
			}
			policy.Role, policy.Now = cluster.Role(role), time.Now()
			if aws {
				cloud.Role, cloud.Keep, cloud.MinAge, cloud.Broken, cloud.Now = policy.Role, policy.Keep, policy.MinAge, policy.Broken, policy.Now
				return folder.ec2.prune(c, cloud, apply, output.json())
			}
			catalogue, err := folder.open()
			if err != nil {
				return err
			}
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
	c.Flags().BoolVar(&cloud.Shared, "shared", false, "on AWS: remove what other accounts may launch, too")
	c.Flags().IntVar(&cloud.Versions, "versions", 3, "on AWS: how many of the newest versions of each of the cluster's launch templates keep their images")
	c.Flags().BoolVar(&apply, "apply", false, "remove them")
	_ = c.RegisterFlagCompletionFunc("role", fixed(cluster.Roles()...))
	return c
}

// prune prunes the catalogue on AWS.
func (f *ec2Flag) prune(c *cobra.Command, policy ec2.Policy, apply, asJSON bool) error {
	catalogue, err := f.open(c.Context())
	if err != nil {
		return err
	}
	fates, err := catalogue.Plan(c.Context(), policy)
	if err != nil {
		return err
	}
	rows := make([][]string, len(fates))
	going := 0
	for n, fate := range fates {
		word := "stays"
		if !fate.Keep {
			word = "goes"
			going++
		}
		where := strings.Join(placesOf(fate.Places), ", ")
		if where == "" {
			where = fate.Region
		}
		rows[n] = []string{fate.ID, word, where, fate.Why}
	}
	if asJSON {
		err = printJSON(c.OutOrStdout(), fates)
	} else {
		err = printTable(c.OutOrStdout(), []string{"IMAGE", "", "REGIONS", "WHY"}, rows)
	}
	if err != nil {
		return err
	}
	if apply && going > 0 {
		work, err := catalogue.Remove(c.Context(), policy, fates)
		if err != nil {
			return err
		}
		// What is removed is told beside the data.
		if err := work.Do(c.Context(), func(s ec2.Step) { fmt.Fprintln(c.ErrOrStderr(), stepLine(s)) }); err != nil {
			return fmt.Errorf("%w: prune again completes it", err)
		}
	}
	switch {
	case asJSON:
	case going == 0:
		fmt.Fprintln(c.OutOrStdout(), "nothing to remove")
	case apply:
		fmt.Fprintf(c.OutOrStdout(), "removed %d\n", going)
	default:
		fmt.Fprintf(c.OutOrStdout(), "would remove %d: nothing is removed without --apply\n", going)
	}
	return nil
}
