package images

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/images/flock"
)

// lockName is the file that is locked while the catalogue changes.
const lockName = ".lock"

// draftPrefix begins the name of a folder that an image is being written in.
const draftPrefix = ".new-"

// Add publishes an image: write puts the artefacts into the draft and then returns the record, of which Add fills in the
// format and the artefacts. Everything is written in a hidden folder and renamed when it is whole, so nothing half-written
// is ever listed, and bakes of any roles may run at once.
//
// When the catalogue already holds that content, what is there stays, less what is damaged; forms that it lacks are added,
// and its record is renewed.
func (c *Catalogue) Add(ctx context.Context, write func(*Draft) (Record, error)) (_ Entry, err error) {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return Entry{}, err
	}
	dir, lock, err := c.draft(ctx)
	if err != nil {
		return Entry{}, fmt.Errorf("catalogue %s: %w", c.dir, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir), lock.Release()) }()

	draft := &Draft{dir: dir}
	record, err := write(draft)
	if err != nil {
		return Entry{}, err
	}
	if err := ctx.Err(); err != nil { // cancelled while writing: nothing may appear
		return Entry{}, context.Cause(ctx)
	}
	record.Format, record.Artefacts = RecordFormat, draft.artefacts
	if err := c.publish(ctx, dir, record); err != nil {
		return Entry{}, fmt.Errorf("publish: %w", err)
	}
	e := c.entry(record.Role, strings.TrimPrefix(id(record), string(record.Role)+"/"))
	return e, e.Err
}

// draft makes a locked hidden folder and takes away those that a killed bake left.
func (c *Catalogue) draft(ctx context.Context) (dir string, held *flock.Lock, err error) {
	// Between the making of a draft and its lock nobody else may look for stale ones.
	sweep, err := flock.Exclusive(ctx, filepath.Join(c.dir, lockName))
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, sweep.Release()) }()

	stale, err := filepath.Glob(filepath.Join(c.dir, draftPrefix+"*"))
	if err != nil {
		return "", nil, err
	}
	for _, old := range stale {
		lock, err := flock.Try(old)
		if errors.Is(err, flock.ErrHeld) || errors.Is(err, fs.ErrNotExist) {
			continue // another bake is writing in it, or has just finished
		}
		if err != nil {
			return "", nil, err
		}
		if err := errors.Join(os.RemoveAll(old), lock.Release()); err != nil {
			return "", nil, err
		}
	}
	if dir, err = os.MkdirTemp(c.dir, draftPrefix); err != nil {
		return "", nil, err
	}
	if err = os.Chmod(dir, 0o755); err == nil { //nolint:gosec // images hold nothing secret
		held, err = flock.Try(dir)
	}
	if err != nil {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return dir, held, err
}

// publish moves the draft to the image's place.
func (c *Catalogue) publish(ctx context.Context, draft string, record Record) (err error) {
	if err := putRecord(draft, record); err != nil {
		return err
	}
	// Two bakes may come to the same content at the same moment.
	lock, err := flock.Exclusive(ctx, filepath.Join(c.dir, lockName))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()

	place := filepath.Join(c.dir, id(record))
	if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
		return err
	}
	if _, err := os.Lstat(place); errors.Is(err, fs.ErrNotExist) {
		return errors.Join(os.Rename(draft, place), syncDir(filepath.Dir(place)))
	}
	old := c.entry(record.Role, filepath.Base(place))
	switch {
	case old.Err != nil:
		// What is left of an image is nobody's to keep.
		aside := filepath.Join(c.dir, draftPrefix+"damaged-"+filepath.Base(draft))
		if err := os.Rename(place, aside); err != nil {
			return err
		}
		return errors.Join(os.Rename(draft, place), os.RemoveAll(aside), syncDir(filepath.Dir(place)))
	case old.Record.ContentDigest != record.ContentDigest:
		return fmt.Errorf("%s holds %s, whose first %d digits are the same as those of %s: remove one of them",
			place, old.Record.ContentDigest, idDigits, record.ContentDigest)
	}
	return merge(old, draft, record)
}

// merge adds to an image what a draft of the same content has and it lacks.
func merge(old Entry, draft string, record Record) error {
	kept := old.Record
	if record.Created.After(kept.Created) {
		kept = record
		kept.Artefacts, kept.Booted = old.Record.Artefacts, old.Record.Booted
	}
	artefacts := slices.Clone(kept.Artefacts)
	for _, added := range record.Artefacts {
		i := slices.IndexFunc(artefacts, func(a Artefact) bool { return a.Kind == added.Kind && a.Region == added.Region })
		if i >= 0 && (artefacts[i].File == "" || old.Check(artefacts[i]) == nil) && added.ID == artefacts[i].ID {
			continue
		}
		if added.File != "" {
			if err := os.Rename(filepath.Join(draft, added.File), filepath.Join(old.Dir, added.File)); err != nil {
				return err
			}
		}
		if i >= 0 {
			artefacts[i] = added
		} else {
			artefacts = append(artefacts, added)
		}
	}
	for _, name := range []string{sbomName, manifestName} {
		if err := os.Rename(filepath.Join(draft, name), filepath.Join(old.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	kept.Artefacts = artefacts
	return putRecord(old.Dir, kept)
}

// putRecord writes the record whole or not at all.
func putRecord(dir string, record Record) error {
	text, err := record.Encode()
	if err != nil {
		return err
	}
	beside, err := os.CreateTemp(dir, ".record-")
	if err != nil {
		return err
	}
	_, err = beside.Write(text)
	err = errors.Join(err, beside.Chmod(0o644), beside.Sync(), beside.Close())
	if err == nil {
		err = os.Rename(beside.Name(), filepath.Join(dir, recordName))
	}
	if err != nil {
		return errors.Join(err, os.Remove(beside.Name()))
	}
	return syncDir(dir)
}

// syncDir makes renames in a folder survive a power failure.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
