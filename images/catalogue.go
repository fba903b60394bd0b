package images

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

	"github.com/klauspost/compress/zstd"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images/flock"
)

const (
	recordName   = "record.json"
	sbomName     = "sbom.cdx.json"
	manifestName = "manifest.zst"
	// idDigits is how much of the content digest names an image's folder.
	idDigits = 12
)

// ErrNotFound is an image that the catalogue does not hold.
var ErrNotFound = errors.New("no such image")

// Catalogue is a folder of images: DIR/<role>/<12 digits of the content digest>/ holds record.json, the image in one or more
// forms (image.tar.zst, image.qcow2), what is installed (sbom.cdx.json) and what each path is (manifest.zst).
// What a bake is still writing has a name that starts with a dot, so it is never taken for an image.
type Catalogue struct{ dir string }

// Entry is an image of the catalogue, or what is left of one: then Err says what is wrong with it and Record is zero.
type Entry struct {
	ID     string // role and 12 hexadecimal digits, like postgres/0123456789ab
	Dir    string
	Record Record
	Err    error
}

// File returns the path of the image in that form, and what it must be. None is ErrNotFound.
func (e Entry) File(kind Kind) (string, Artefact, error) {
	a, ok := e.Record.Artefact(kind)
	if !ok || a.File == "" {
		return "", a, fmt.Errorf("%w: %s is not there as %s", ErrNotFound, e.ID, kind)
	}
	return filepath.Join(e.Dir, a.File), a, nil
}

// Open returns the catalogue in a folder. The first image that is added makes the folder; a path that is no folder is an
// error.
func Open(dir string) (*Catalogue, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("%s is no folder: name the folder that holds the images", dir)
	}
	return &Catalogue{dir: abs}, nil
}

// List returns every image, newest first, and behind them the broken ones by name. A broken image is no error of List: it
// must not hide the others.
func (c *Catalogue) List(ctx context.Context) ([]Entry, error) {
	var whole, broken []Entry
	for _, role := range cluster.Roles() {
		folders, err := os.ReadDir(filepath.Join(c.dir, string(role)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, folder := range folders {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if strings.HasPrefix(folder.Name(), ".") {
				continue
			}
			if e := c.entry(role, folder.Name()); e.Err == nil {
				whole = append(whole, e)
			} else {
				broken = append(broken, e)
			}
		}
	}
	slices.SortStableFunc(whole, func(a, b Entry) int { return b.Record.Created.Compare(a.Record.Created) })
	return append(whole, broken...), nil
}

// Find returns the newest verified image of the role that was made from the recipe with that digest. None is ErrNotFound.
func (c *Catalogue) Find(ctx context.Context, role cluster.Role, recipeDigest string) (Entry, error) {
	all, err := c.List(ctx)
	if err != nil {
		return Entry{}, err
	}
	for _, e := range all {
		if e.Err == nil && e.Record.Role == role && e.Record.RecipeDigest == recipeDigest && e.Record.Verified {
			return e, nil
		}
	}
	return Entry{}, fmt.Errorf("%w: %s holds no verified %s image of this cluster's recipe: run cincbake bake %s",
		ErrNotFound, c.dir, role, role)
}

// Show returns the one image that is meant: by its id, the beginning of its digits, its whole content digest, or a role's
// channel, like postgres@stable. None is ErrNotFound; several are an error that names them.
func (c *Catalogue) Show(ctx context.Context, name string) (Entry, error) {
	if role, channel, ok := strings.Cut(name, "@"); ok {
		return c.Channel(cluster.Role(role), channel)
	}
	all, err := c.List(ctx)
	if err != nil {
		return Entry{}, err
	}
	var meant []Entry
	for _, e := range all {
		_, digits, _ := strings.Cut(e.ID, "/")
		if name != "" && (strings.HasPrefix(e.ID, name) && strings.Contains(name, "/") || strings.HasPrefix(digits, name) || e.Record.ContentDigest == name) {
			meant = append(meant, e)
		}
	}
	switch len(meant) {
	case 0:
		return Entry{}, fmt.Errorf("%w: %q in %s: cincbake images list shows what there is", ErrNotFound, name, c.dir)
	case 1:
		return meant[0], nil
	}
	ids := make([]string, len(meant))
	for i, e := range meant {
		ids[i] = e.ID
	}
	return Entry{}, fmt.Errorf("%q means several images: %s: give more digits", name, strings.Join(ids, ", "))
}

// entry reads the image in a folder and checks what can be checked without reading all of it.
func (c *Catalogue) entry(role cluster.Role, folder string) Entry {
	e := Entry{ID: string(role) + "/" + folder, Dir: filepath.Join(c.dir, string(role), folder)}
	text, err := os.ReadFile(filepath.Join(e.Dir, recordName))
	if err != nil {
		e.Err = fmt.Errorf("no record: %w", err)
		return e
	}
	record, err := Decode(text)
	if err != nil {
		e.Err = err
		return e
	}
	for _, a := range record.Artefacts {
		if a.File == "" {
			continue
		}
		file, err := os.Stat(filepath.Join(e.Dir, a.File))
		if err != nil {
			e.Err = fmt.Errorf("no image: %w", err)
			return e
		}
		if file.Size() != a.Bytes {
			e.Err = fmt.Errorf("%s has %d bytes, its record says %d", a.File, file.Size(), a.Bytes)
			return e
		}
	}
	if id(record) != e.ID {
		e.Err = fmt.Errorf("its record is of %s", id(record))
		return e
	}
	e.Record = record
	return e
}

// Check reads an artefact's whole file and compares it with its record.
func (e Entry) Check(a Artefact) error {
	got, err := measure(filepath.Join(e.Dir, a.File))
	if err == nil && got.SHA256 != a.SHA256 {
		err = fmt.Errorf("%s has sha256 %s, its record says %s", filepath.Join(e.Dir, a.File), got.SHA256, a.SHA256)
	}
	return err
}

// id is where the catalogue keeps the image of a record.
func id(r Record) string {
	return string(r.Role) + "/" + strings.TrimPrefix(r.ContentDigest, "sha256:")[:idDigits]
}

// Manifest returns what the image's content digest is over. An image that came without one is ErrNotFound.
func (e Entry) Manifest() ([]string, error) {
	packed, err := os.Open(filepath.Join(e.Dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s has no manifest: bake it again", ErrNotFound, e.ID)
	}
	if err != nil {
		return nil, err
	}
	defer packed.Close()
	reader, err := zstd.NewReader(packed, zstd.WithDecoderMaxMemory(1<<30))
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	text, err := io.ReadAll(reader)
	if err != nil {
		return nil, fmt.Errorf("the manifest of %s: %w", e.ID, err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if digest := DigestOf(lines); digest != e.Record.ContentDigest {
		return nil, fmt.Errorf("the manifest of %s is of content %s, its record says %s", e.ID, digest, e.Record.ContentDigest)
	}
	return lines, nil
}

// SetBooted writes down when the image booted on trial.
func (c *Catalogue) SetBooted(ctx context.Context, image Entry, when time.Time) (_ Entry, err error) {
	lock, err := flock.Exclusive(ctx, filepath.Join(c.dir, lockName))
	if err != nil {
		return Entry{}, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	e := c.entry(image.Record.Role, filepath.Base(image.Dir)) // it may have changed meanwhile
	if e.Err != nil {
		return e, e.Err
	}
	e.Record.Booted = when.UTC().Truncate(time.Second)
	return e, putRecord(e.Dir, e.Record)
}
