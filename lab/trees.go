package lab

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/images/flock"
	"github.com/cincbake/cincbake/lab/machine"
)

// treeDir is where an image lies unpacked: once, for every machine of every lab that boots it.
func (l *Lab) treeDir(digest string) string {
	return filepath.Join(l.folders.Cache, strings.TrimPrefix(digest, "sha256:")[:12])
}

// unpack makes sure that the images lie unpacked in the cache, and takes away those that no lab is made of any more.
func (l *Lab) unpack(ctx context.Context, from []images.Entry, report func(Event)) (err error) {
	// The trees hold programs that run as root for whoever starts them: nobody else may look in.
	if err := os.MkdirAll(l.folders.Cache, 0o700); err != nil {
		return err
	}
	lock, err := flock.Exclusive(ctx, filepath.Join(l.folders.Cache, ".lock"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()

	if err := l.pruneTrees(); err != nil {
		return err
	}
	slices.SortFunc(from, func(a, b images.Entry) int { return strings.Compare(a.ID, b.ID) })
	for _, image := range from {
		began := time.Now()
		tree := l.treeDir(image.Record.ContentDigest)
		if _, err := os.Stat(tree); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		file, artefact, err := image.File(images.KindRootfs)
		if err != nil {
			return err
		}
		if err := machine.Unpack(ctx, file, artefact.SHA256, tree); err != nil {
			return err
		}
		report(Event{Subject: image.ID, What: "unpacked", Took: time.Since(began)})
	}
	return nil
}

// pruneTrees removes the trees that no lab's record names.
func (l *Lab) pruneTrees() error {
	images, err := UsedImages(l.folders)
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for digest := range images {
		used[l.treeDir(digest)] = true
	}
	trees, err := os.ReadDir(l.folders.Cache)
	if err != nil {
		return err
	}
	for _, tree := range trees {
		if path := filepath.Join(l.folders.Cache, tree.Name()); tree.IsDir() && !used[path] {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}
