package ec2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/images/sbom"
	"github.com/cincbake/cincbake/internal/exit"
)

// store is the files of images in a bucket.
type store struct {
	objects        Objects
	bucket, prefix string
}

func (s store) key(id, name string) string { return path.Join(s.prefix, id, name) }

// where names a file as people do.
func (s store) where(id, name string) string { return "s3://" + s.bucket + "/" + s.key(id, name) }

// mostBytes is more than any file of an image has.
const mostBytes = 64 << 20

// get reads a file, with the mark of its version. One that is not there is images.ErrNotFound.
func (s store) get(ctx context.Context, id, name string) (text []byte, version string, err error) {
	reply, err := s.objects.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(s.bucket), Key: aws.String(s.key(id, name))})
	if codeOf(err) == "NoSuchKey" {
		return nil, "", fmt.Errorf("%w: there is no %s", images.ErrNotFound, s.where(id, name))
	}
	if err != nil {
		return nil, "", in(s.where(id, name), err)
	}
	defer reply.Body.Close()
	text, err = io.ReadAll(io.LimitReader(reply.Body, mostBytes))
	return text, value(reply.ETag), in(s.where(id, name), err)
}

// put writes a file that is not there; with a version, it replaces that one. Otherwise written is false: another one is
// there.
func (s store) put(ctx context.Context, id, name, version string, text []byte) (written bool, err error) {
	input := &s3.PutObjectInput{Bucket: aws.String(s.bucket), Key: aws.String(s.key(id, name)), Body: bytes.NewReader(text), ContentType: aws.String(mediaTypes[path.Ext(name)])}
	if version == "" {
		input.IfNoneMatch = aws.String("*")
	} else {
		input.IfMatch = aws.String(version)
	}
	_, err = s.objects.PutObject(ctx, input)
	switch codeOf(err) {
	case "PreconditionFailed", "ConditionalRequestConflict": // somebody else writes it at this moment, or this call's answer was lost
		return false, nil
	}
	return err == nil, in(s.where(id, name), err)
}

var mediaTypes = map[string]string{".json": "application/json", ".zst": "application/zstd"}

// record reads an image's record.
func (s store) record(ctx context.Context, id string) (r images.Record, version string, err error) {
	text, version, err := s.get(ctx, id, images.RecordFile)
	if err != nil {
		return r, "", err
	}
	if r, err = images.Decode(text); err != nil {
		return r, "", fmt.Errorf("%s: %w", s.where(id, images.RecordFile), err)
	}
	return r, version, nil
}

// keep writes what says what an image is, the record last: where it is, the others are. A record that is there stays, but
// for the moment of the last trial boot, which may be a later one.
func (s store) keep(ctx context.Context, e images.Entry) (Work, error) {
	var work Work
	there, _, err := s.record(ctx, e.ID)
	switch {
	case errors.Is(err, images.ErrNotFound):
		files, err := beside(e)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			work.add("", func(ctx context.Context) error {
				_, err := s.put(ctx, e.ID, file.name, "", file.text) // what is there is of the same content
				return err
			}, "write %s", s.where(e.ID, file.name))
		}
	case err != nil:
		return nil, err
	default:
		if _, later, err := s.merge(e, there); err != nil || !later {
			return nil, err
		}
	}
	work.add("", func(ctx context.Context) error { return s.putRecord(ctx, e) }, "write %s", s.where(e.ID, images.RecordFile))
	return work, nil
}

// merge returns the record that is there with what an image's own one says later.
func (s store) merge(e images.Entry, there images.Record) (merged images.Record, later bool, err error) {
	if there.ContentDigest != e.Record.ContentDigest {
		return there, false, exit.Errorf(exit.Unsafe, "%s is of content %s, whose first digits are the same as those of %s", s.where(e.ID, images.RecordFile), there.ContentDigest, e.Record.ContentDigest)
	}
	later = e.Record.Booted.After(there.Booted)
	if later {
		there.Booted = e.Record.Booted
	}
	return there, later, nil
}

// putRecord writes a record, or into one that is there what is later.
func (s store) putRecord(ctx context.Context, e images.Entry) error {
	for range 3 { // once more when somebody else writes at the same moment
		there, version, err := s.record(ctx, e.ID)
		switch {
		case errors.Is(err, images.ErrNotFound):
			there = e.Record
			there.Artefacts = slices.DeleteFunc(slices.Clone(e.Record.Artefacts), func(a images.Artefact) bool {
				return a.Kind != images.KindAMI // files stay where they are
			})
		case err != nil:
			return err
		default:
			var later bool
			if there, later, err = s.merge(e, there); err != nil || !later {
				return err
			}
		}
		text, err := there.Encode()
		if err != nil {
			return err
		}
		if written, err := s.put(ctx, e.ID, images.RecordFile, version, text); written || err != nil {
			return err
		}
	}
	return errors.New("it changes again and again: somebody else writes it, try later")
}

// file is something that lies beside an image.
type file struct {
	name string
	text []byte
}

// beside returns an image's manifest, which one that came from elsewhere lacks, and its bill of materials.
func beside(e images.Entry) ([]file, error) {
	manifest, err := e.Beside(images.ManifestFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	bill, err := e.Beside(images.SBOMFile)
	if errors.Is(err, fs.ErrNotExist) {
		bill, err = sbom.Of(e.Record)
	}
	files := []file{{images.ManifestFile, manifest}, {images.SBOMFile, bill}}
	return slices.DeleteFunc(files, func(f file) bool { return len(f.text) == 0 }), err
}

// Record reads what an image holds. Its artefacts are the AMIs that there are now.
func (c *Catalogue) Record(ctx context.Context, i Image) (images.Record, error) {
	r, _, err := c.records.record(ctx, i.ID)
	if err != nil {
		return r, i.unrecorded(err)
	}
	return i.of(r)
}

// of puts the AMIs that there are into a record, which must be this image's.
func (i Image) of(r images.Record) (images.Record, error) {
	if r.ContentDigest != i.ContentDigest || r.Role != i.Role {
		return r, exit.Errorf(exit.Unsafe, "the record of %s is of content %s, and its tags say %s: somebody changed one of them", i.ID, r.ContentDigest, i.ContentDigest)
	}
	r.Artefacts = nil
	for _, region := range i.regions() {
		p, _ := i.In(region)
		r.Artefacts = append(r.Artefacts, images.Artefact{Kind: images.KindAMI, Region: region, ID: p.AMI})
	}
	return r, nil
}

func (i Image) unrecorded(err error) error {
	if errors.Is(err, images.ErrNotFound) && !i.Recorded {
		return fmt.Errorf("%s is not recorded yet: cincbake images push completes it: %w", i.ID, err)
	}
	return err
}

// Fetch brings what lies beside an image into a folder, to compare it with others. It writes nothing else.
func (c *Catalogue) Fetch(ctx context.Context, i Image, dir string) (images.Entry, error) {
	r, err := c.Record(ctx, i)
	if err != nil {
		return images.Entry{}, err
	}
	text, err := r.Encode()
	if err != nil {
		return images.Entry{}, err
	}
	if err := os.WriteFile(filepath.Join(dir, images.RecordFile), text, 0o600); err != nil {
		return images.Entry{}, err
	}
	for _, name := range []string{images.SBOMFile, images.ManifestFile} {
		text, _, err := c.records.get(ctx, i.ID, name)
		if errors.Is(err, images.ErrNotFound) {
			continue // who asks for it is told
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			return images.Entry{}, err
		}
	}
	return images.EntryIn(dir)
}

// join writes a list as people do.
func join(words []string) string { return strings.Join(words, ", ") }
