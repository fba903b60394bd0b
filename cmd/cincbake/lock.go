package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/cluster/official"
	"github.com/cincbake/cincbake/internal/exit"
)

// lockFlags are what lock is told on the command line.
type lockFlags struct {
	spec     specFlag
	folder   imagesFlag
	update   []string
	release  []string
	snapshot string
	check    bool
	dryRun   bool
}

func newLock() *cobra.Command {
	var f lockFlags
	c := &cobra.Command{
		Use:   "lock",
		Short: "Write down exactly what images are made of",
		Long: `Lock writes the lock file beside the spec: cluster.lock.json for cluster.yaml. Keep it in version control.

It asks the vendors for the packages that the spec calls official, and writes down their addresses and digests: a bake takes
exactly those bytes, whatever the vendors say later. And it writes down every package of the newest verified image of each role, as
the images' folder has it: a bake that comes to anything else fails and names each difference. A role without an image of its
present recipe is named, and is locked by the next lock after a bake.

The lock's moment is when the newest of the images was baked that a row was taken from. Packages do not leave Debian's archive
before something newer takes their place, so snapshot.debian.org has all of them as of then. "bake --snapshot" takes Debian as
it was at that moment. --snapshot names another one.

What is locked stays as it is, and a second lock changes nothing. A row goes when the cluster no longer has the role, or makes it
by another recipe. To take what Debian has now, let go of a role with --release, bake it, and lock again; --update takes an image
that is there already. To look an official package up again, remove its row.`,
		Example: `  cincbake lock
  cincbake lock --release postgres,heartbeat && cincbake bake postgres heartbeat && cincbake lock
  cincbake lock --update lb
  cincbake lock --check
  cincbake lock --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.spec.register(c)
	f.folder.register(c)
	c.Flags().StringSliceVar(&f.update, "update", nil, "roles to lock anew, from the newest image of each")
	c.Flags().StringSliceVar(&f.release, "release", nil, "roles whose rows go, or all, so that the next bake may come to other packages")
	c.Flags().StringVar(&f.snapshot, "snapshot", "", "the lock's moment, like 20261126T120000Z (default: by the images)")
	c.Flags().BoolVar(&f.check, "check", false, "compare the lock with spec and images, ask nobody, write nothing, and end with 1 when they differ")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "look up and print, and write nothing")
	c.MarkFlagsMutuallyExclusive("check", "dry-run")
	c.MarkFlagsMutuallyExclusive("check", "update")
	c.MarkFlagsMutuallyExclusive("check", "release", "snapshot")
	c.MarkFlagsMutuallyExclusive("update", "release")
	_ = c.RegisterFlagCompletionFunc("update", completeRolesOf(&f.spec))
	_ = c.RegisterFlagCompletionFunc("release", completeRolesOf(&f.spec))
	return c
}

func (f *lockFlags) run(c *cobra.Command) error {
	loaded, resolved, err := f.spec.load()
	if err != nil {
		return err
	}
	known, err := readLock(loaded.LockPath())
	if err != nil {
		return err
	}
	if err := (cluster.Site{Snapshot: f.snapshot}).Validate(); err != nil {
		return exit.As(exit.Invalid, err)
	}
	if f.check {
		return f.compare(c, loaded, resolved, known)
	}
	lock, err := official.Default().Lock(c.Context(), known, loaded.Official())
	if err != nil {
		return err
	}
	for _, p := range lock.Packages {
		fmt.Fprintf(c.OutOrStdout(), "%s %s for %s %s\n  %s\n  %s\n", p.Name, p.Version, p.OS, p.Arch, p.URL, p.Digest)
	}
	if !f.dryRun && !slices.Equal(lock.Packages, known.Packages) {
		// What an image is made of depends on these, so the rest is about the spec as it is with them.
		if err := writeLock(loaded.LockPath(), lock); err != nil {
			return err
		}
		if _, resolved, err = f.spec.load(); err != nil {
			return err
		}
	}
	found, err := f.survey(c.Context(), resolved, lock)
	if err != nil {
		return err
	}
	for _, note := range found.notes {
		fmt.Fprintln(c.ErrOrStderr(), note)
	}
	lock.Images, lock.Snapshot = found.rows, found.moment
	return f.finish(c, loaded.LockPath(), known, lock)
}

// finish writes the lock, if there is anything to write.
func (f *lockFlags) finish(c *cobra.Command, path string, known, lock cluster.Lock) error {
	for _, image := range lock.Images {
		fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", image.Role, count(len(image.Packages), "package"))
	}
	if lock.Snapshot != "" {
		fmt.Fprintf(c.OutOrStdout(), "Debian as of %s\n", lock.Snapshot)
	}
	switch {
	case sameLock(known, lock):
		fmt.Fprintln(c.ErrOrStderr(), "nothing to change")
		return nil
	case f.dryRun:
		return nil
	}
	if err := writeLock(path, lock); err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "wrote %s\n", path)
	return nil
}

// compare tells how the lock differs from what it is of.
func (f *lockFlags) compare(c *cobra.Command, loaded *cluster.Spec, r *cluster.Resolved, known cluster.Lock) error {
	wanted := loaded.Official()
	var differences []string
	for _, w := range wanted {
		if _, ok := known.Find(w); !ok {
			differences = append(differences, fmt.Sprintf("%s %s for %s %s: not looked up yet", w.Name, w.Version, w.OS, w.Arch))
		}
	}
	for _, p := range known.Packages {
		if !slices.Contains(wanted, p.Wanted) {
			differences = append(differences, fmt.Sprintf("%s %s for %s %s: the spec does not ask for it", p.Name, p.Version, p.OS, p.Arch))
		}
	}
	found, err := f.survey(c.Context(), r, known)
	if err != nil {
		return err
	}
	for _, line := range append(differences, found.differences...) {
		fmt.Fprintln(c.OutOrStdout(), line)
	}
	for _, note := range found.notes {
		fmt.Fprintln(c.ErrOrStderr(), note)
	}
	if len(differences)+len(found.differences) > 0 {
		return exit.As(exit.Failed, errTold)
	}
	fmt.Fprintf(c.ErrOrStderr(), "the lock is as spec and images are\n")
	return nil
}

func sameLock(a, b cluster.Lock) bool {
	return len(a.Packages) == len(b.Packages) && len(a.Images) == len(b.Images) && a.Snapshot == b.Snapshot &&
		slices.Equal(a.Packages, b.Packages) && slices.EqualFunc(a.Images, b.Images, func(x, y cluster.LockedImage) bool {
		return x.Role == y.Role && x.RecipeDigest == y.RecipeDigest && slices.Equal(x.Packages, y.Packages)
	})
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

// packageRow is an installed package as JSON spreads it over lines.
var packageRow = regexp.MustCompile(`\{\s+("name": "[^"]*"),\s+("version": "[^"]*"),\s+("arch": "[^"]*")\s+\}`)

// writeLock writes the lock with a line for each installed package, so that a change of one is a change of one line.
func writeLock(path string, lock cluster.Lock) error {
	text, err := json.MarshalIndent(lock, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(path, append(packageRow.ReplaceAll(text, []byte("{$1, $2, $3}")), '\n'))
}
