package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cincbake/cincbake/images/flock"
	"github.com/cincbake/cincbake/plugin/mount"
)

// workspace is the folder of one bake: CACHE/work/<role>-<random>. Its lock is held as long as the bake lives, so a folder
// that can be locked belongs to one that was killed.
type workspace struct {
	dir  string
	lock *flock.Lock
}

func (w *workspace) root() string  { return filepath.Join(w.dir, "root") }  // the tree that is baked
func (w *workspace) upper() string { return filepath.Join(w.dir, "upper") } // what differs from the base system

// fetched holds what earlier bakes have fetched, as a layer between the two.
func (w *workspace) fetched() string { return filepath.Join(w.dir, "fetched") }

// openWorkspace makes the folder, and takes away those that killed bakes left.
func (b *build) openWorkspace(ctx context.Context) (err error) {
	home := filepath.Join(b.config.CacheDir, "work")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	// Between the making of a folder and its lock nobody else may look for left ones.
	sweep, err := flock.Exclusive(ctx, filepath.Join(home, ".lock"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sweep.Release()) }()
	if err := b.sweep(home); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(home, b.config.Role+"-")
	if err != nil {
		return err
	}
	b.work = &workspace{dir: dir}
	if b.work.lock, err = flock.Try(dir); err != nil {
		return err
	}
	for _, name := range []string{"root", "upper", "overlay", "fetched"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	if err := os.Chmod(b.work.fetched(), 0o755); err != nil { //nolint:gosec // a part of the / of every machine
		return err
	}
	// The mounted root has the mode of the upper folder.
	return os.Chmod(b.work.upper(), 0o755) //nolint:gosec // the / of every machine
}

// sweep removes the folders of killed bakes.
func (b *build) sweep(home string) error {
	entries, err := os.ReadDir(home)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		dir := filepath.Join(home, e.Name())
		lock, err := flock.Try(dir)
		if errors.Is(err, flock.ErrHeld) || errors.Is(err, fs.ErrNotExist) {
			continue // a bake that runs, or one that has just ended
		}
		if err != nil {
			return err
		}
		b.say("removing %s, which a killed bake left", dir)
		if err := errors.Join(mount.RemoveTree(dir), lock.Release()); err != nil {
			return err
		}
	}
	return nil
}

// closeWorkspace removes the folder.
func (b *build) closeWorkspace() error {
	if b.work == nil {
		return nil
	}
	err := mount.RemoveTree(b.work.dir)
	if b.work.lock != nil {
		err = errors.Join(err, b.work.lock.Release())
	}
	return err
}

// mount lays a writable tree over the base system, and between them what earlier bakes have fetched.
func (b *build) mount(ctx context.Context) error {
	if err := b.packages().Layer(ctx, b.work.fetched(), b.base.Tree()); err != nil {
		return fmt.Errorf("packages of earlier bakes: %w", err)
	}
	if err := errors.Join(b.cached(), b.placePackage()); err != nil {
		return err
	}
	options := strings.Join([]string{
		"lowerdir=" + b.work.fetched() + ":" + b.base.Tree(),
		"upperdir=" + b.work.upper(),
		"workdir=" + filepath.Join(b.work.dir, "overlay"),
		// The tree is thrown away after the bake, so nothing waits for the disk: dpkg asks for that after every file.
		"volatile",
	}, ",")
	if err := mount.Overlay(b.work.root(), options); err != nil {
		return fmt.Errorf("mount an overlay below %s: %w: set cache_dir to a folder on ext4, xfs or tmpfs; "+
			"Linux 5.10 or newer is needed", b.config.CacheDir, err)
	}
	return nil
}

// cached tells what a bake without a network would miss: the lists of the system's suites. Which packages it needs, only apt
// can tell.
func (b *build) cached() error {
	site := b.config.job.Site
	if !site.Offline {
		return nil
	}
	var suites [][2]string
	for _, suite := range b.config.system.Suites {
		suites = append(suites, [2]string{site.URI(suite.Archive), suite.Name})
	}
	if missing := b.packages().Missing(suites); len(missing) > 0 {
		return fmt.Errorf("offline: %s holds no lists of the packages of %s: bake once without offline, from the same mirror",
			b.packages().Dir, strings.Join(missing, ", "))
	}
	return nil
}

// unmount takes the tree away.
func (b *build) unmount() error {
	ctx, cancel := context.WithTimeout(context.Background(), mount.Within)
	defer cancel()
	return mount.UnmountAll(ctx, b.work.root())
}
