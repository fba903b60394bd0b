package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cincbake/cincbake/images/flock"
)

// draftPrefix begins the name of a folder that an image is being written in.
const draftPrefix = ".new-"

// Add publishes an image: write streams the artefact and then returns its record, of which Add fills in the format, File,
// SHA256 and Bytes. Everything is written in a hidden folder and renamed when it is whole, so nothing half-written is ever
// listed, and bakes of any roles may run at once.
//
// When the catalogue already holds that content, the image there stays and only its record is renewed; unless that image
// is damaged, which the new one then replaces.
func (c *Catalogue) Add(ctx context.Context, write func(artefact io.Writer) (Record, error)) (_ Entry, err error) {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return Entry{}, err
	}
	draft, lock, err := c.draft(ctx)
	if err != nil {
		return Entry{}, fmt.Errorf("catalogue %s: %w", c.dir, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(draft), lock.Release()) }()

	record, err := fill(draft, write)
	if err != nil {
		return Entry{}, err
	}
	if err := ctx.Err(); err != nil { // cancelled while writing: nothing may appear
		return Entry{}, context.Cause(ctx)
	}
	if err := c.publish(draft, record); err != nil {
		return Entry{}, fmt.Errorf("publish %s: %w", id(record), err)
	}
	e := c.entry(record.Role, strings.TrimPrefix(id(record), string(record.Role)+"/"))
	return e, e.Err
}

// draft makes a locked hidden folder and takes away those that a killed bake left.
func (c *Catalogue) draft(ctx context.Context) (dir string, held *flock.Lock, err error) {
	// Between the making of a draft and its lock nobody else may look for stale ones.
	sweep, err := flock.Exclusive(ctx, filepath.Join(c.dir, ".lock"))
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

// fill writes the artefact and its record into the draft.
func fill(draft string, write func(io.Writer) (Record, error)) (Record, error) {
	file, err := os.Create(filepath.Join(draft, imageName))
	if err != nil {
		return Record{}, err
	}
	sum := &measured{to: file, hash: sha256.New()}
	record, err := write(sum)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return Record{}, err
	}
	record.Format = RecordFormat
	record.File, record.SHA256, record.Bytes = imageName, hex.EncodeToString(sum.hash.Sum(nil)), sum.bytes
	return record, putRecord(draft, record)
}

// publish moves the draft to the image's place.
func (c *Catalogue) publish(draft string, record Record) error {
	place := filepath.Join(c.dir, id(record))
	if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
		return err
	}
	err := os.Rename(draft, place)
	if err == nil {
		return syncDir(filepath.Dir(place))
	}
	if _, missing := os.Lstat(place); missing != nil {
		return err
	}
	// The content is there already, maybe since a moment ago.
	old := c.entry(record.Role, filepath.Base(place))
	if old.Err == nil && old.Record.ContentDigest != record.ContentDigest {
		return fmt.Errorf("%s holds %s, whose first %d digits are the same as those of %s: remove one of them",
			place, old.Record.ContentDigest, idDigits, record.ContentDigest)
	}
	if old.Err == nil && old.check() == nil {
		if old.Record.Created.After(record.Created) {
			return nil
		}
		record.File, record.SHA256, record.Bytes = old.Record.File, old.Record.SHA256, old.Record.Bytes
		return putRecord(place, record)
	}
	// A damaged image is nobody's to keep.
	aside := filepath.Join(c.dir, draftPrefix+"damaged-"+filepath.Base(draft))
	if err := os.Rename(place, aside); err != nil {
		return err
	}
	return errors.Join(os.Rename(draft, place), os.RemoveAll(aside), syncDir(filepath.Dir(place)))
}

// check reads the whole image and compares it with its record.
func (e Entry) check() error {
	file, err := os.Open(e.File())
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != e.Record.SHA256 {
		return fmt.Errorf("%s has sha256 %s, its record says %s", e.File(), got, e.Record.SHA256)
	}
	return nil
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

// measured counts and hashes what passes through.
type measured struct {
	to    io.Writer
	hash  hash.Hash
	bytes int64
}

func (m *measured) Write(p []byte) (int, error) {
	n, err := m.to.Write(p)
	_, _ = m.hash.Write(p[:n]) // a hash never fails
	m.bytes += int64(n)
	return n, err
}
