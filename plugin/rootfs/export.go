package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/images/archive"
)

// digestFile is where the agent writes the digest when it seals: nothing that counts may be younger.
const digestFile = "usr/lib/cincbake/content-digest"

// compare checks that the tree is the one that the agent verified and sealed, and that it is the role's.
func (b *build) compare(context.Context) error {
	text, err := os.ReadFile(b.reportFile())
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New(`nothing sealed the machine: the build needs a provisioner "cincbake-role", as the last one`)
	}
	if err != nil {
		return err
	}
	if b.report, err = images.DecodeReport(text); err != nil {
		return err
	}
	if b.report.Recipe != b.config.recipe {
		return fmt.Errorf("the source is for %s, but its provisioner baked %s: give both the same spec and role", b.config.recipe, b.report.Recipe)
	}
	manifest, err := images.Manifest(b.work.root())
	if err != nil {
		return err
	}
	if digest := images.DigestOf(manifest); digest != b.report.ContentDigest {
		return fmt.Errorf("the tree has content %s, but the agent sealed %s: something changed it since: %s; "+
			`"cincbake-role" must be the last provisioner`, digest, b.report.ContentDigest, b.changedSinceSeal())
	}
	return nil
}

// changedSinceSeal names some files that are younger than the seal.
func (b *build) changedSinceSeal() string {
	const enough = 5
	seal, err := os.Lstat(filepath.Join(b.work.root(), digestFile))
	if err != nil {
		return "even the seal is gone"
	}
	var found []string
	err = filepath.WalkDir(b.work.upper(), func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.ModTime().After(seal.ModTime()) && len(found) < enough {
			found = append(found, strings.TrimPrefix(name, b.work.upper()))
		}
		return nil
	})
	if err != nil || len(found) == 0 {
		return "no younger file is left to tell which"
	}
	return strings.Join(found, ", ")
}

// export writes the tree and its record among the images.
func (b *build) export(ctx context.Context) error {
	if err := dropMountPoint(b.work.root(), "etc/resolv.conf"); err != nil {
		return err
	}
	began := time.Now()
	entry, err := b.catalogue.Add(ctx, func(file io.Writer) (images.Record, error) {
		err := archive.Pack(ctx, b.work.root(), file, archive.Times{Made: coarse(b.began), Epoch: epoch})
		return b.record(time.Since(began)), err
	})
	if err != nil {
		return err
	}
	b.entry = entry
	b.say("image %s: %s, %.1f MB, content %s", entry.ID, entry.Record.Recipe, float64(entry.Record.Bytes)/1e6, entry.Record.ContentDigest)
	return nil
}

// record is what the image is. How long unmounting takes is not known yet, and small.
func (b *build) record(exporting time.Duration) images.Record {
	phases := slices.Clone(b.spent)
	for _, p := range b.report.Phases { // they are parts of the provisioning
		phases = append(phases, cluster.Phase{Name: "provision/" + p.Name, Seconds: p.Seconds, Waited: p.Waited})
	}
	phases = append(phases, cluster.Phase{Name: "export", Seconds: exporting.Round(time.Millisecond).Seconds()})
	return images.Record{
		Role:           b.report.Recipe.Role,
		Recipe:         b.report.Recipe,
		RecipeDigest:   b.report.Recipe.Digest(),
		ContentDigest:  b.report.ContentDigest,
		Packages:       b.report.Packages,
		AgentVersion:   b.report.AgentVersion,
		DocumentFormat: b.report.DocumentFormat,
		Created:        time.Now().UTC().Truncate(time.Second),
		Verified:       true, // there is no report of a machine that did not pass
		Phases:         phases,
	}
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
