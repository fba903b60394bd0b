package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/cluster/official"
	"github.com/cincbake/cincbake/internal/exit"
)

func newLock() *cobra.Command {
	var (
		spec   specFlag
		dryRun bool
	)
	c := &cobra.Command{
		Use:   "lock",
		Short: "Look official packages up and write down which bytes they are",
		Long: `Lock asks the vendors for the packages that the spec calls official, and writes their addresses and digests to the lock file
beside the spec: cluster.lock.json for cluster.yaml. Keep it in version control. A bake takes exactly those bytes, whatever the
vendors say later. What is locked already stays as it is: to look a package up again, remove its row, or the file.`,
		Example: "  cincbake lock\n  cincbake lock --dry-run",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			loaded, _, err := spec.load()
			if err != nil {
				return err
			}
			known, err := readLock(loaded.LockPath())
			if err != nil {
				return err
			}
			lock, err := official.Default().Lock(c.Context(), known, loaded.Official())
			if err != nil {
				return err
			}
			for _, p := range lock.Packages {
				fmt.Fprintf(c.OutOrStdout(), "%s %s for %s %s\n  %s\n  %s\n", p.Name, p.Version, p.OS, p.Arch, p.URL, p.Digest)
			}
			if len(lock.Packages) == 0 {
				fmt.Fprintln(c.ErrOrStderr(), "the spec asks for no official package: there is nothing to lock")
				return nil
			}
			if dryRun {
				return nil
			}
			text, err := json.MarshalIndent(lock, "", "  ")
			if err != nil {
				return err
			}
			return replaceFile(loaded.LockPath(), append(text, '\n'))
		},
	}
	spec.register(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "look up and print, and write nothing")
	return c
}

// readLock returns the lock at path; one that is not there holds nothing.
func readLock(path string) (cluster.Lock, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return cluster.Lock{}, nil
	}
	if err != nil {
		return cluster.Lock{}, err
	}
	lock, err := cluster.DecodeLock(text)
	if err != nil {
		return lock, exit.As(exit.Invalid, fmt.Errorf("%s: %w", path, err))
	}
	return lock, nil
}
