package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/operate"
)

// restored is what `restore -o json` prints.
type restored struct {
	Spec    string `json:"spec"`
	Restore string `json:"restore,omitempty"` // the point as the spec has it now; none: it was taken out
	Written bool   `json:"written"`           // not by a dry run
	// Gone are the machines that are taken for destroyed, with what was heard of each.
	Gone []string `json:"gone"`
}

func newRestore() *cobra.Command { return newRestoreAsking(operate.Client.Status) }

// newRestoreAsking asks the machines in a way of the caller's.
func newRestoreAsking(ask func(operate.Client, context.Context) []operate.NodeStatus) *cobra.Command {
	var (
		operator operatorFlags
		output   outputFlag
		latest   bool
		moment   string
		done     bool
		dryRun   bool
	)
	c := &cobra.Command{
		Use:   "restore (--latest | --time MOMENT | --done)",
		Short: "Have a new cluster begin from a backup",
		Long: `Restore says in the spec that a cluster without data begins from its backup, at the newest point that the repository has or at
the moment that you name. It changes nothing but that file: machines restore when they are launched from seeds that were
rendered after it. One database machine restores, and the others copy from it; Cinc Server's API nodes find their databases,
with the superuser that their secrets know, and join.

It refuses while a machine of the quorum is still there, which is one that takes connections, whether it answers as it should
or not: what it holds would be neither restored nor kept. Destroy all of these, with their data disks, first. Where nobody
takes connections a machine counts as destroyed, and is named: that a firewall is before it only you can know. Once the
cluster is whole, restore --done takes the point out of the spec again, so that it is not gone back to another time.`,
		Example: `  cincbake restore --latest
  cincbake restore --time 2026-11-26T08:00:00Z
  cincbake restore --done`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			point, err := restorePoint(latest, moment, done, time.Now())
			if err != nil {
				return err
			}
			spec, bundle, client, err := operator.clientAndBundle(c.Context())
			if err != nil {
				return err
			}
			if client.Cluster.Backup == nil {
				return exit.Errorf(exit.Invalid, "cluster %s has no backup in its spec: name the repository there first", client.Cluster.Name)
			}
			text, err := os.ReadFile(operator.path)
			if err != nil {
				return err
			}
			changed, err := withRestore(operator.path, text, point)
			if err != nil {
				return err
			}
			result := restored{Spec: operator.path, Restore: point.yaml(), Written: !dryRun, Gone: []string{}}
			var next string
			if !done {
				record, known, err := checkRecord(spec.SecretsPath(), bundle)
				if err != nil {
					return err
				}
				silent, err := gone(ask(client, c.Context()))
				if err != nil {
					return err
				}
				result.Gone = append(result.Gone, silent...)
				fmt.Fprintf(c.ErrOrStderr(), "taken for destroyed, since nobody takes connections there:\n  %s\none that runs all the same, behind a firewall or in a lab (--lab), must be destroyed before others start anew\n",
					strings.Join(silent, "\n  "))
				if !known {
					fmt.Fprintf(c.ErrOrStderr(), "warning: there is no backup.json beside %s, so whether this is the backup's bundle shows when a machine reads it\n", spec.SecretsPath())
				} else if point.after(record.Ended) {
					fmt.Fprintf(c.ErrOrStderr(), "the newest backup that was ordered from here is %s of %s; the log's archive goes on from there\n", record.Label, record.Ended.Format(time.RFC3339))
				}
				next = "next: cincbake render, and launch every machine with its new seed and an empty data disk (or cincbake lab up); when cincbake status is whole, cincbake restore --done"
			}
			verb := "wrote"
			if dryRun {
				verb = "would write"
			} else if err := replaceSpec(operator.path, changed); err != nil {
				return err
			}
			if output.json() {
				return printJSON(c.OutOrStdout(), result)
			}
			fmt.Fprintf(c.ErrOrStderr(), "%s %s: %s\n", verb, operator.path, point)
			if next != "" {
				fmt.Fprintln(c.ErrOrStderr(), next)
			}
			return nil
		},
	}
	operator.register(c)
	output.register(c)
	c.Flags().BoolVar(&latest, "latest", false, "begin from the newest point that the repository has")
	c.Flags().StringVar(&moment, "time", "", "begin from this moment, like 2026-11-26T08:00:00Z")
	c.Flags().BoolVar(&done, "done", false, "take the point out of the spec: the cluster has its data")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "check everything, and leave the spec as it is")
	return c
}

// restorePoint reads the flags.
func restorePoint(latest bool, moment string, done bool, now time.Time) (point, error) {
	given := 0
	for _, yes := range []bool{latest, moment != "", done} {
		if yes {
			given++
		}
	}
	if given != 1 {
		return point{}, exit.Errorf(exit.Invalid, "say one point to go back to: --latest or --time MOMENT; or --done when the cluster is back")
	}
	switch {
	case latest:
		return point{restore: &cluster.Restore{}}, nil
	case done:
		return point{}, nil
	}
	at, err := time.Parse(time.RFC3339, moment)
	if err != nil {
		return point{}, exit.Errorf(exit.Invalid, "--time %s is no moment with its time zone: write it like 2026-11-26T08:00:00Z", moment)
	}
	if at.After(now) {
		return point{}, exit.Errorf(exit.Invalid, "--time %s is yet to come: name a moment that the archive has, or --latest", moment)
	}
	return point{restore: &cluster.Restore{Time: at.UTC().Truncate(time.Second)}}, nil
}

// gone refuses while any machine is there that takes part in deciding whether there is a cluster, and when it can't be asked
// whether it is. It returns what was heard of each that is gone.
func gone(all []operate.NodeStatus) (silent []string, err error) {
	var there, strange, unasked []string
	for _, s := range all {
		if s.Node.Role != cluster.RolePostgres && s.Node.Role != cluster.RoleHeartbeat {
			continue
		}
		switch {
		case s.Answered():
			there = append(there, s.Node.Name)
		case s.Silence == operate.SilenceGone:
			silent = append(silent, s.Error)
		case s.Silence == operate.SilenceThere:
			there, strange = append(there, s.Node.Name), append(strange, s.Error)
		default:
			unasked = append(unasked, s.Error)
		}
	}
	doubt := ""
	if len(strange) > 0 {
		doubt = "\n  " + strings.Join(strange, "\n  ") + "\nare these its bundle, and an operator's certificate that lasts? see cincbake secrets check"
	}
	switch {
	case len(there) > 0:
		return nil, exit.Errorf(exit.Unsafe, "%s still there: a restore is for a cluster that begins anew. If its data is to be given up, destroy the database machines and the heartbeat with their data disks, and ask again%s",
			strings.Join(there, ", ")+map[bool]string{true: " is", false: " are"}[len(there) == 1], doubt)
	case len(unasked) > 0:
		return nil, exit.Errorf(exit.Missing, "whether these are gone is not known, since no question to them left this computer:\n  %s", strings.Join(unasked, "\n  "))
	}
	return silent, nil
}

// replaceSpec keeps the file's mode, and a link that leads to it.
func replaceSpec(path string, content []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := replaceFile(path, content); err != nil {
		return err
	}
	return os.Chmod(path, info.Mode().Perm())
}
