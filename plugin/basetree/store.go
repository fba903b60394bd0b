// Package basetree makes and keeps base systems: a minimal Debian that can boot, the same for every role.
package basetree

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images/flock"
	"github.com/cincbake/cincbake/plugin/mount"
)

// Store is a folder of base systems.
//
//	STORE/<os>-<arch>-<key>/lock                held while one is made
//	STORE/<os>-<arch>-<key>/<time>/tree         the system itself
//	STORE/<os>-<arch>-<key>/<time>/origin.json  where its packages came from
//	STORE/<os>-<arch>-<key>/<time>/lock         held, shared, by each bake that uses it
type Store struct {
	Dir string
	Say func(format string, args ...any)
}

// Wanted is the base system that a bake asks for.
type Wanted struct {
	Recipe  Recipe
	Site    cluster.Site
	Tarball string        // the archive on this host, for a recipe from one
	MaxAge  time.Duration // an older one is made again
}

// Base is a base system in use.
type Base struct {
	dir  string
	made time.Time
	from origin
	os   string
	held *flock.Lock
}

// Tree is the folder of the system. It must not be changed.
func (b *Base) Tree() string { return filepath.Join(b.dir, "tree") }

// String says what it is, for an image's record.
func (b *Base) String() string {
	text := b.os + ", made " + b.made.Format(time.DateOnly)
	if b.from.Snapshot != "" {
		text += ", as of " + b.from.Snapshot
	}
	if b.from.Tarball != "" {
		text = b.os + ", from " + b.from.Tarball
	}
	return text
}

// Leave lets others remove it.
func (b *Base) Leave() error { return b.held.Release() }

// origin is where a base system's packages came from.
type origin struct {
	Mirror   string `json:"mirror,omitempty"`
	Snapshot string `json:"snapshot,omitempty"`
	Tarball  string `json:"tarball,omitempty"` // its file's name, for people
}

// timeForm is how a base system's folder is named: when it was made.
const timeForm = "20060102T150405Z"

const (
	// makeWithin is how long a bake waits for another one's base system.
	makeWithin = 30 * time.Minute
	// keepUnused is how long a base system is kept that no bake asks for.
	keepUnused = 90 * 24 * time.Hour
)

// Take finds the base system or makes it, and keeps others from removing it.
func (s Store) Take(ctx context.Context, w Wanted) (_ *Base, err error) {
	home := filepath.Join(s.Dir, w.Recipe.home())
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	// Two bakes that start at once need one base system: the second waits for the first one's.
	waiting, stop := context.WithTimeoutCause(ctx, makeWithin, fmt.Errorf("another bake has been making it for %s", makeWithin))
	defer stop()
	making, err := flock.Exclusive(waiting, filepath.Join(home, "lock"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, making.Release()) }()

	found, old, err := s.basesIn(home, w.Recipe.OS)
	if err != nil {
		return nil, err
	}
	taken, fits := newest(found, w)
	if !fits {
		if taken, err = s.make(ctx, home, w); err != nil {
			return nil, err
		}
		for _, one := range found { // the new one takes their place
			if one.from == taken.from {
				old = append(old, one.dir)
			}
		}
	}
	s.Say("from %s: %s", taken.Tree(), taken)
	if taken.held, err = flock.Shared(ctx, taken.lock()); err != nil {
		return nil, err
	}
	now := time.Now()
	if err := os.Chtimes(taken.lock(), now, now); err != nil {
		return nil, errors.Join(err, taken.Leave())
	}
	if err := removeUnused(append(old, s.forgotten(now)...)); err != nil {
		return nil, errors.Join(err, taken.Leave())
	}
	return taken, nil
}

func (b *Base) lock() string { return filepath.Join(b.dir, "lock") }

// newest returns the youngest base system that will do. Without a network, any that is of the wanted moment does, from
// whatever mirror.
func newest(found []*Base, w Wanted) (*Base, bool) {
	var best *Base
	for _, one := range found {
		young := time.Since(one.made) < w.MaxAge || w.Site.Snapshot != "" || w.Recipe.Tarball != "" // these two never change
		same := one.from.Mirror == w.Site.Mirror || w.Recipe.Tarball != ""
		if one.from.Snapshot == w.Site.Snapshot && (w.Site.Offline || young && same) && (best == nil || one.made.After(best.made)) {
			best = one
		}
	}
	return best, best != nil
}

// basesIn returns the base systems of a recipe, and the folders of those that were never finished.
func (s Store) basesIn(home, system string) (found []*Base, unfinished []string, err error) {
	entries, err := os.ReadDir(home)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		one := &Base{dir: filepath.Join(home, e.Name()), os: system}
		text, err := os.ReadFile(filepath.Join(one.dir, originName))
		if err == nil {
			err = json.Unmarshal(text, &one.from)
		}
		if err == nil {
			one.made, err = time.Parse(timeForm, e.Name())
		}
		if err != nil {
			unfinished = append(unfinished, one.dir)
			continue
		}
		found = append(found, one)
	}
	return found, unfinished, nil
}

// originName is written last but for the folder's name.
const originName = "origin.json"

// forgotten are the base systems, of any recipe, that no bake has asked for in a long time.
func (s Store) forgotten(now time.Time) []string {
	locks, _ := filepath.Glob(filepath.Join(s.Dir, "*", "[0-9]*", "lock")) // the pattern is good
	var dirs []string
	for _, lock := range locks {
		if info, err := os.Stat(lock); err == nil && now.Sub(info.ModTime()) > keepUnused {
			dirs = append(dirs, filepath.Dir(lock))
		}
	}
	return slices.Compact(dirs)
}

// removeUnused takes away folders that nobody works with.
func removeUnused(folders []string) error {
	for _, dir := range folders {
		lock, err := flock.Try(filepath.Join(dir, "lock"))
		if errors.Is(err, flock.ErrHeld) {
			continue // a bake that started earlier still uses it; a later one removes it
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		err = mount.RemoveTree(dir)
		if lock != nil {
			err = errors.Join(err, lock.Release())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
