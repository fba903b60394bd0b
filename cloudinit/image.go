package cloudinit

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/cincbake/cincbake/cloudinit/iso"
)

// label is how cloud-init recognises a disk as a NoCloud seed.
const label = "cidata"

// ISO returns the seed as a disk image: the same bytes for the same seed.
func (s Seed) ISO() ([]byte, error) {
	var files []iso.File
	for name, content := range s.files() {
		files = append(files, iso.File{Name: name, Content: content})
	}
	return iso.Encode(label, files)
}

// WriteISO makes path the seed's disk image, for its owner only.
func WriteISO(seed Seed, path string) error {
	image, err := seed.ISO()
	if err == nil {
		err = writeFileAtomic(path, image)
	}
	if err != nil {
		return fmt.Errorf("write seed: %w", err)
	}
	return nil
}

// WriteFile makes path a file with the data that a launch template takes, for its owner only.
func (u UserData) WriteFile(path string) error {
	if err := writeFileAtomic(path, u.Data); err != nil {
		return fmt.Errorf("write user data: %w", err)
	}
	return nil
}

// writeFileAtomic writes beside and renames. A file that is the same already is not touched.
func writeFileAtomic(path string, content []byte) error {
	if isFile(path, content) {
		return nil
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // once renamed, there is nothing of that name
	_, err = f.Write(content)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
