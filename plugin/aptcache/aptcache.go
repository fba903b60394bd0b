//go:build unix

// Package aptcache keeps what apt has fetched for the bakes to come: packages, and the signed lists that lead to them. apt
// checks each package by a list, and took each list by its signature, so nothing here is trusted because it is here.
package aptcache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/images/flock"
)

// Where apt has packages and lists in a tree.
const (
	archives = "var/cache/apt/archives"
	lists    = "var/lib/apt/lists"
)

// KeepUnused is how long a package is kept that no bake uses.
const KeepUnused = 90 * 24 * time.Hour

// Cache is the folder of one OS and processor: DIR/*.deb and DIR/lists/*. It and all trees that it is used for must lie on
// one file system, for nothing is ever copied.
type Cache struct{ Dir string }

func (c Cache) lists() string { return filepath.Join(c.Dir, "lists") }
func (c Cache) lock() string  { return filepath.Join(c.Dir, ".lock") }

// Layer makes a tree of what there is, to be laid over the tree of a base system: what it holds lies where apt looks. The
// folders on the way look like those of the base.
func (c Cache) Layer(ctx context.Context, layer, base string) (err error) {
	if err := os.MkdirAll(c.lists(), 0o700); err != nil {
		return err
	}
	reading, err := flock.Shared(ctx, c.lock())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reading.Release()) }()
	for _, part := range []struct{ from, to string }{{c.Dir, archives}, {c.lists(), lists}} {
		to := filepath.Join(layer, part.to)
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		if err := link(part.from, to); err != nil {
			return err
		}
	}
	for _, to := range []string{archives, lists} {
		for dir := to; dir != "."; dir = filepath.Dir(dir) {
			if err := resemble(filepath.Join(layer, dir), filepath.Join(base, dir)); err != nil {
				return err
			}
		}
	}
	return nil
}

// resemble gives a folder the owner, mode and time of another; one that is not there is nothing to resemble.
func resemble(dir, other string) error {
	info, err := os.Lstat(other)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := os.Chown(dir, int(stat.Uid), int(stat.Gid)); err != nil {
			return err
		}
	}
	return errors.Join(os.Chmod(dir, info.Mode().Perm()), os.Chtimes(dir, info.ModTime(), info.ModTime()))
}

// Keep takes what apt has fetched into the upper folder of an overlay: packages, and with withLists the lists too. The upper
// folder is a machine's, and no link in it leads out of it.
func (c Cache) Keep(ctx context.Context, upper string, withLists bool) (err error) {
	if err := os.MkdirAll(c.lists(), 0o700); err != nil {
		return err
	}
	writing, err := flock.Exclusive(ctx, c.lock())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, writing.Release()) }()
	err = takeOver(upper, archives, c.Dir)
	if withLists {
		err = errors.Join(err, takeOver(upper, lists, c.lists()))
	}
	return err
}

// takeOver links the files in a folder of a tree into another folder.
func takeOver(tree, dir, to string) error {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return err
	}
	defer root.Close()
	info, err := root.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() { // sealing leaves an overlay's mark of what is gone
		return nil
	}
	if err != nil {
		return err
	}
	from, err := root.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer from.Close()
	source, err := from.Open(".")
	if err != nil {
		return err
	}
	defer source.Close()
	return linkFiles(source, to)
}

func link(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	return linkFiles(source, to)
}

// linkFiles gives the files of a folder a second name in another. A file there gives way to another one of its name.
func linkFiles(source *os.File, to string) error {
	entries, err := source.ReadDir(-1)
	if err != nil {
		return err
	}
	target, err := os.Open(to)
	if err != nil {
		return err
	}
	defer target.Close()
	for _, e := range entries {
		if !e.Type().IsRegular() || e.Name() == "lock" || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		// Beside and renamed: whoever has the other file in use goes on using it.
		beside := ".new-" + e.Name()
		err := unix.Linkat(int(source.Fd()), e.Name(), int(target.Fd()), beside, 0)
		if errors.Is(err, fs.ErrExist) { // a bake was killed here
			if err = unix.Unlinkat(int(target.Fd()), beside, 0); err == nil {
				err = unix.Linkat(int(source.Fd()), e.Name(), int(target.Fd()), beside, 0)
			}
		}
		if err == nil {
			err = unix.Renameat(int(target.Fd()), beside, int(target.Fd()), e.Name())
		}
		if err != nil {
			return fmt.Errorf("link %s into %s: %w", e.Name(), to, err)
		}
		// Two names of one file are left as they are by the renaming.
		if err := unix.Unlinkat(int(target.Fd()), beside, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Missing names the suites whose lists are not there. Suites are pairs of an archive's address and a suite's name.
func (c Cache) Missing(suites [][2]string) []string {
	var missing []string
	for _, suite := range suites {
		if _, err := os.Stat(filepath.Join(c.lists(), listName(suite[0], suite[1]))); err != nil {
			missing = append(missing, suite[0]+" "+suite[1])
		}
	}
	return missing
}

// listName is the name that apt gives the signed list of a suite.
func listName(address, suite string) string {
	_, rest, found := strings.Cut(address, "://")
	if !found {
		rest = strings.TrimPrefix(address, "file:")
	}
	var b strings.Builder
	for _, r := range []byte(strings.TrimSuffix(rest, "/") + "/dists/" + suite + "/InRelease") {
		switch {
		case r == '/':
			b.WriteByte('_')
		case r <= ' ' || r >= 0x7f || strings.IndexByte(`\|{}[]<>"^~_=!@#$%&*`, r) >= 0:
			fmt.Fprintf(&b, "%%%02x", r)
		default:
			b.WriteByte(r)
		}
	}
	return b.String()
}

// Used tells which packages a bake has installed, and removes what none has used for long.
func (c Cache) Used(ctx context.Context, packages []images.Package, now time.Time) (err error) {
	writing, err := flock.Exclusive(ctx, c.lock())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, writing.Release()) }()
	for _, p := range packages {
		name := filepath.Join(c.Dir, fmt.Sprintf("%s_%s_%s.deb", p.Name, strings.ReplaceAll(p.Version, ":", "%3a"), p.Arch))
		if err := os.Chtimes(name, now, now); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return c.prune(now)
}

// prune removes packages by when they were used last. Lists stay: there are a few for each mirror.
func (c Cache) prune(now time.Time) error {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || filepath.Ext(e.Name()) != ".deb" {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if now.Sub(info.ModTime()) > KeepUnused {
			if err := os.Remove(filepath.Join(c.Dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
