package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/operate"
	"github.com/cincbake/cincbake/roles/pgbackrest"
	"github.com/cincbake/cincbake/secrets"
)

// backupRecordFormat is the format of backup.json.
const backupRecordFormat = 1

// backupRecord is what the newest backup was made with, in backup.json beside the bundle. Neither is worth anything without
// the other, and only the bundle can be lost without a machine's noticing.
type backupRecord struct {
	Format  int             `json:"format"`
	Cluster string          `json:"cluster"`
	Label   string          `json:"label"`
	Type    pgbackrest.Type `json:"type"`
	Ended   time.Time       `json:"ended"`
	Bundle  string          `json:"bundle"`  // the file's name
	Digest  string          `json:"digest"`  // sha256 of the file, as sha256sum prints it
	Secrets string          `json:"secrets"` // digest of what the backup needs of it: another copy of the bundle may do, too
}

// backedUp is what `backup -o json` prints.
type backedUp struct {
	pgbackrest.Backup
	Seconds float64      `json:"seconds"`
	Record  backupRecord `json:"record"`
}

func backupRecordPath(bundle string) string {
	return filepath.Join(filepath.Dir(bundle), "backup.json")
}

func newBackup() *cobra.Command {
	var (
		operator operatorFlags
		output   outputFlag
		of       string
		within   time.Duration
		dryRun   bool
	)
	c := &cobra.Command{
		Use:   "backup",
		Short: "Back up the databases, all of them together",
		Long: `Backup has the primary copy the whole database, all of Cinc Server's databases at one moment, into the repository that the
spec names under backup, and waits for its end. Without it machines do so by themselves, every night.

A backup opens only with the bundle of secrets that the cluster runs with, which is on no machine. So this refuses to back
up when the bundle at hand is another one, and writes backup.json beside it: which backup, and which bundle. Keep a copy of
cluster.yaml, the bundle and backup.json wherever the machines are not.`,
		Example: "  cincbake backup\n  cincbake backup --type full\n  cincbake backup list",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			kind := pgbackrest.Type(of)
			if !slices.Contains(pgbackrest.Types(), kind) {
				return exit.Errorf(exit.Invalid, "there is no backup of type %q: full, diff or incr", of)
			}
			spec, bundle, client, err := operator.clientAndBundle(c.Context())
			if err != nil {
				return err
			}
			if client.Cluster.Backup == nil {
				return exit.Errorf(exit.Invalid, "cluster %s keeps no backups: add backup to the spec, and replace the database machines", client.Cluster.Name)
			}
			if err := client.Belongs(c.Context(), bundle); err != nil {
				return err
			}
			if dryRun {
				primary, err := client.Primary(c.Context())
				if err != nil {
					return err
				}
				fmt.Fprintf(c.ErrOrStderr(), "would have %s make a backup of type %s, and write %s\n", primary, kind, backupRecordPath(spec.SecretsPath()))
				return nil
			}
			ctx, cancel := context.WithTimeout(c.Context(), within)
			defer cancel()
			made, err := client.Backup(ctx, kind)
			if err != nil {
				return err
			}
			record, err := keepRecord(spec, bundle, made)
			if err != nil {
				return fmt.Errorf("backup %s was made, but: %w", made.Label, err)
			}
			if output.json() {
				return printJSON(c.OutOrStdout(), backedUp{made, made.Seconds(), record})
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s (%s): %s in the databases, %s added to the repository, %.0f s\n",
				made.Label, made.Type, operate.Size(made.Bytes), operate.Size(made.Stored), made.Seconds())
			if err == nil {
				fmt.Fprintf(c.ErrOrStderr(), "it opens with %s only: keep a copy of that and of backup.json where the machines are not\n", spec.SecretsPath())
			}
			return err
		},
	}
	operator.register(c)
	output.register(c)
	c.Flags().StringVar(&of, "type", string(pgbackrest.Differential), "what to copy: full, diff (what changed since the last full one) or incr (since the last one); the first is full")
	c.Flags().DurationVar(&within, "timeout", 6*time.Hour, "how long to wait for it; it goes on without us")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done")
	_ = c.RegisterFlagCompletionFunc("type", cobra.FixedCompletions([]string{"full", "diff", "incr"}, cobra.ShellCompDirectiveNoFileComp))
	c.AddCommand(newBackupList())
	return c
}

func newBackupList() *cobra.Command {
	var (
		operator operatorFlags
		output   outputFlag
	)
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the backups in the repository",
		Example: "  cincbake backup list\n  cincbake backup list -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := operator.client(c.Context())
			if err != nil {
				return err
			}
			backups, err := client.Backups(c.Context())
			if err != nil {
				return err
			}
			if output.json() {
				return printJSON(c.OutOrStdout(), backups)
			}
			rows := make([][]string, len(backups))
			for i, b := range backups {
				state := "good"
				if b.Damaged {
					state = "DAMAGED"
				}
				rows[i] = []string{
					b.Label, string(b.Type), b.Ended.Format(time.RFC3339), operate.Size(b.Bytes), operate.Size(b.Stored), fmt.Sprintf("%.0f", b.Seconds()), state,
				}
			}
			return printTable(c.OutOrStdout(), []string{"LABEL", "TYPE", "ENDED", "DATABASES", "ADDED", "SECONDS", "STATE"}, rows)
		},
	}
	operator.register(c)
	output.register(c)
	return c
}

// keepRecord writes backup.json.
func keepRecord(spec *cluster.Spec, bundle *secrets.Bundle, made pgbackrest.Backup) (backupRecord, error) {
	path := spec.SecretsPath()
	file, err := os.ReadFile(path)
	if err != nil {
		return backupRecord{}, err
	}
	lasting, err := bundle.LastingDigest()
	if err != nil {
		return backupRecord{}, err
	}
	record := backupRecord{
		Format: backupRecordFormat, Cluster: bundle.Cluster, Label: made.Label, Type: made.Type, Ended: made.Ended,
		Bundle: filepath.Base(path), Digest: strings.TrimPrefix(secrets.Digest(file), "sha256:"), Secrets: lasting,
	}
	text, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return record, err
	}
	return record, replaceFile(backupRecordPath(path), append(text, '\n'))
}

// checkRecord refuses a bundle that is not the newest backup's; without a record nothing is known, and known is false.
func checkRecord(path string, bundle *secrets.Bundle) (record backupRecord, known bool, err error) {
	at := backupRecordPath(path)
	text, err := os.ReadFile(at)
	if errors.Is(err, fs.ErrNotExist) {
		return record, false, nil
	}
	if err != nil {
		return record, false, err
	}
	if err := json.Unmarshal(text, &record); err != nil {
		return record, false, exit.Errorf(exit.Invalid, "%s: %w: bring the copy that was kept with the bundle, or move it away", at, err)
	}
	if record.Format != backupRecordFormat || record.Cluster != bundle.Cluster {
		return record, false, exit.Errorf(exit.Invalid, "%s is of cluster %s in format %d, which does not fit: move it away", at, record.Cluster, record.Format)
	}
	lasting, err := bundle.LastingDigest()
	if err != nil {
		return record, false, err
	}
	if lasting != record.Secrets {
		return record, true, exit.Errorf(exit.Unsafe, "%s is not the bundle that backup %s was made with: bring the %s whose sha256 is %s, or a later copy of it",
			path, record.Label, record.Bundle, record.Digest)
	}
	return record, true, nil
}
