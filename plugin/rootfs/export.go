package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/images/archive"
	"github.com/cincbake/cincbake/images/disk"
	"github.com/cincbake/cincbake/plugin/bake"
	"github.com/cincbake/cincbake/plugin/basetree"
)

// compare checks that the tree is the one that the agent verified and sealed, and that it is the role's.
func (b *build) compare(context.Context) (err error) {
	if b.results, err = bake.ReadResults(b.resultsFolder()); err != nil {
		return err
	}
	report := b.results.Report
	if want := b.config.job.Recipe; report.Recipe != want {
		return fmt.Errorf("the source is for %s, but its provisioner baked %s: give both the same spec and role", want, report.Recipe)
	}
	manifest, err := images.Manifest(b.work.root())
	if err != nil {
		return err
	}
	changed := images.Diff(b.results.Manifest, manifest)
	if len(changed) == 0 {
		return nil
	}
	const enough = 5
	if more := len(changed) - enough; more > 0 {
		changed = append(changed[:enough], fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("the tree is not what the agent sealed; something has changed since:\n    %s\n"+
		`"cincbake-role" must be the last provisioner`, strings.Join(changed, "\n    "))
}

// export writes the tree and its record among the images.
func (b *build) export(ctx context.Context) error {
	if err := dropMountPoint(b.work.root(), "etc/resolv.conf"); err != nil {
		return err
	}
	began := time.Now()
	fill := func(draft *images.Draft) error {
		for _, kind := range formats() { // in this order, whatever the template's
			if !slices.Contains(b.config.kinds, kind) {
				continue
			}
			if err := draft.Make(kind, func(path string) error { return b.form(ctx, kind, path) }); err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
		}
		return nil
	}
	entry, err := bake.Publish(ctx, b.catalogue, b.results, b.base.String(), fill, func() []cluster.Phase { return b.phasesSpent(time.Since(began)) })
	if err != nil {
		return err
	}
	b.entry = entry
	if err := b.packages().Used(ctx, b.results.Report.Packages, time.Now()); err != nil {
		return fmt.Errorf("packages for the next bake: %w", err)
	}
	b.say("image %s: %s, content %s", entry.ID, entry.Record.Recipe, entry.Record.ContentDigest)
	return nil
}

// form writes the image in one of its forms. The disk is made of what the archive holds, so that the two cannot differ.
func (b *build) form(ctx context.Context, kind images.Kind, path string) error {
	if kind == images.KindRootfs {
		b.packed = path
		return b.pack(ctx, path)
	}
	if b.packed == "" {
		b.packed = filepath.Join(b.work.dir, "packed")
		if err := b.pack(ctx, b.packed); err != nil {
			return err
		}
	}
	tree := filepath.Join(b.work.dir, "disk")
	file, err := os.Open(b.packed)
	if err != nil {
		return err
	}
	if err := errors.Join(archive.Unpack(ctx, file, tree), file.Close()); err != nil {
		return err
	}
	return disk.Disk{Tree: tree, Size: b.config.disk, Time: basetree.Epoch, Scratch: b.work.dir}.Make(ctx, path)
}

func (b *build) pack(ctx context.Context, path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(archive.Pack(ctx, b.work.root(), file, archive.Times{Made: basetree.Coarse(b.began), Epoch: basetree.Epoch}), file.Close())
}

// phasesSpent is how long each phase took. How long unmounting takes is not known yet, and small.
func (b *build) phasesSpent(exporting time.Duration) []cluster.Phase {
	phases := slices.Clone(b.spent)
	for _, p := range b.results.Report.Phases { // they are parts of the provisioning
		phases = append(phases, cluster.Phase{Name: "provision/" + p.Name, Seconds: p.Seconds, Waited: p.Waited})
	}
	return append(phases, cluster.Phase{Name: "export", Seconds: seconds(exporting)})
}

// dropMountPoint removes the empty file that nspawn makes to mount one of the host's over.
func dropMountPoint(tree, name string) error {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return err
	}
	defer root.Close()
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || !info.Mode().IsRegular() || info.Size() > 0 {
		return err
	}
	return root.Remove(name)
}
