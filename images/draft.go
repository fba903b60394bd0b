package images

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// fileNames are the names of the kinds that are files.
var fileNames = map[Kind]string{KindRootfs: "image.tar.zst", KindQCOW2: "image.qcow2"}

// Draft is an image that is being added to the catalogue.
type Draft struct {
	dir       string
	artefacts []Artefact
}

// Make adds an artefact: write makes the file at path, which is not there yet, and the draft measures it.
func (d *Draft) Make(kind Kind, write func(path string) error) error {
	name, ok := fileNames[kind]
	if !ok {
		return fmt.Errorf("an artefact of kind %q is no file", kind)
	}
	path := filepath.Join(d.dir, name)
	if err := write(path); err != nil {
		return err
	}
	if err := syncFile(path); err != nil {
		return err
	}
	artefact, err := measure(path)
	if err != nil {
		return err
	}
	artefact.Kind, artefact.File = kind, name
	d.artefacts = append(d.artefacts, artefact)
	return nil
}

// Stream adds an artefact whose bytes write streams.
func (d *Draft) Stream(kind Kind, write func(io.Writer) error) error {
	return d.Make(kind, func(path string) error {
		file, err := os.Create(path)
		if err != nil {
			return err
		}
		return errors.Join(write(file), file.Close())
	})
}

// InCloud adds an artefact that lies in a cloud.
func (d *Draft) InCloud(a Artefact) { d.artefacts = append(d.artefacts, a) }

// Manifest adds what the content digest is over, for comparing two images: lines of Manifest.
func (d *Draft) Manifest(lines []string) error {
	file, err := os.Create(filepath.Join(d.dir, manifestName))
	if err != nil {
		return err
	}
	packed, err := zstd.NewWriter(file, zstd.WithEncoderConcurrency(1)) // the same bytes on every machine
	if err == nil {
		_, err = io.WriteString(packed, strings.Join(lines, "\n")+"\n")
		err = errors.Join(err, packed.Close())
	}
	return errors.Join(err, file.Sync(), file.Close())
}

// SBOM adds the bill of materials, a CycloneDX document.
func (d *Draft) SBOM(document []byte) error {
	path := filepath.Join(d.dir, sbomName)
	return errors.Join(os.WriteFile(path, document, 0o644), syncFile(path)) //nolint:gosec // images hold nothing secret
}

// measure reads a whole file.
func measure(path string) (Artefact, error) {
	file, err := os.Open(path)
	if err != nil {
		return Artefact{}, err
	}
	defer file.Close()
	sum := sha256.New()
	bytes, err := io.Copy(sum, file)
	return Artefact{SHA256: hex.EncodeToString(sum.Sum(nil)), Bytes: bytes}, err
}

func syncFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
