package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cincbake/cincbake/images/flock"
)

// workspace is the folder of one bake: CACHE/work/<role>-<random>. Its lock is held as long as the bake lives, so a folder
// that can be locked belongs to one that was killed.
type workspace struct {
	dir  string
	lock *flock.Lock
}

func (w *workspace) root() string  { return filepath.Join(w.dir, "root") }  // the tree that is baked
func (w *workspace) upper() string { return filepath.Join(w.dir, "upper") } // what differs from the base system

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
	for _, name := range []string{"root", "upper", "overlay"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
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
		if err := errors.Join(removeTree(dir), lock.Release()); err != nil {
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
	err := removeTree(b.work.dir)
	if b.work.lock != nil {
		err = errors.Join(err, b.work.lock.Release())
	}
	return err
}

// mount lays a writable tree over the base system.
func (b *build) mount(context.Context) error {
	options := strings.Join([]string{
		"lowerdir=" + b.base.tree(),
		"upperdir=" + b.work.upper(),
		"workdir=" + filepath.Join(b.work.dir, "overlay"),
		// The tree is thrown away after the bake, so nothing waits for the disk: dpkg asks for that after every file.
		"volatile",
	}, ",")
	if err := mountOverlay(b.work.root(), options); err != nil {
		return fmt.Errorf("mount an overlay below %s: %w: set cache_dir to a folder on ext4, xfs or tmpfs; "+
			"Linux 5.10 or newer is needed", b.config.CacheDir, err)
	}
	return nil
}

// unmountWithin is how long the last program in a tree may take to let go of it.
const unmountWithin = 10 * time.Second

// unmount takes the tree away.
func (b *build) unmount() error {
	ctx, cancel := context.WithTimeout(context.Background(), unmountWithin)
	defer cancel()
	return unmountAll(ctx, b.work.root())
}
