package cloudinit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cincbake/cincbake/internal/exit"
)

// files are the four files of a NoCloud seed. vendor-data is empty but there: without it cloud-init looks for it again
// and again where a seed is served by HTTP.
func (s Seed) files() map[string][]byte {
	return map[string][]byte{
		"meta-data":      s.MetaData,
		"user-data":      s.UserData,
		"network-config": s.NetworkConfig,
		"vendor-data":    nil,
	}
}

// WriteDir makes dir the seed's NoCloud folder, for its owner only. The folder changes as a whole: it is written beside
// and renamed, so a reader never sees files of two seeds. A folder that holds the seed already is not touched, and one
// that holds anything but a seed is refused rather than replaced.
func WriteDir(seed Seed, dir string) error {
	if err := writeDir(seed, filepath.Clean(dir)); err != nil {
		return fmt.Errorf("write seed: %w", err)
	}
	return nil
}

func writeDir(seed Seed, dir string) error {
	files := seed.files()
	existing, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range existing {
		if _, ours := files[entry.Name()]; !ours {
			return exit.Errorf(exit.Unsafe, "%s holds %s, which is no part of a seed: name another folder", dir, entry.Name())
		}
	}
	if len(existing) == len(files) && holds(dir, files) {
		return nil
	}

	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	beside, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+".*") // 0700
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(beside) }() // takes the old seed with it
	fresh, old := filepath.Join(beside, "new"), filepath.Join(beside, "old")
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(fresh, name), content, 0o600); err != nil {
			return err
		}
	}
	return swap(dir, fresh, old)
}

// swap puts fresh in dir's place and what was there at old; when that fails, what was there comes back.
func swap(dir, fresh, old string) error {
	retired := os.Rename(dir, old)
	if retired != nil && !errors.Is(retired, fs.ErrNotExist) {
		return retired
	}
	err := os.Rename(fresh, dir)
	if err != nil && retired == nil {
		return errors.Join(err, os.Rename(old, dir))
	}
	return err
}

// holds tells whether dir has exactly these files, all of them private.
func holds(dir string, files map[string][]byte) bool {
	for name, content := range files {
		if !isFile(filepath.Join(dir, name), content) {
			return false
		}
	}
	return isPrivate(dir)
}

// isFile tells whether path is a private file with this content.
func isFile(path string, content []byte) bool {
	found, err := os.ReadFile(path) //nolint:gosec // below the folder that the operator named
	return err == nil && bytes.Equal(found, content) && isPrivate(path)
}

func isPrivate(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().Perm()&0o077 == 0
}
