package secrets

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cincbake/cincbake/internal/exit"
)

// ErrReadable is a secrets file that other users of the machine may read.
var ErrReadable = errors.New("others may read it")

// Load reads a cluster's secrets. A missing file is fs.ErrNotExist; one that its group or others may read is refused as
// ErrReadable. Whether it is the right cluster's, and whether it covers every node, is for
// Check to say.
func Load(path string) (*Bundle, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if errors.Is(err, fs.ErrNotExist) {
		return nil, exit.Errorf(exit.Missing, "no secrets at %s: run cincbake secrets init: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, exit.Errorf(exit.Missing, "%s has mode %04o, %w: run chmod 600 %s", path, mode, ErrReadable, path)
	}
	data, err := io.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	b, err := decodeBundle(data)
	if err != nil {
		return nil, exit.Errorf(exit.Invalid, "%s: %w", path, err)
	}
	return b, nil
}

// Save writes a new secrets file, 0600. A file that is already there is fs.ErrExist and stays as it is: it may hold the
// only copy of a running cluster's CA.
func (b *Bundle) Save(path string) error {
	return b.write(path, func(temporary string) error {
		// A link, unlike a rename, never replaces what another process put there a moment ago.
		err := os.Link(temporary, path)
		if errors.Is(err, fs.ErrExist) {
			return exit.Errorf(exit.Unsafe, "%w at %s, and it may hold the only copy of a running cluster's CA: move it away first", fs.ErrExist, path)
		}
		return err
	})
}

// Replace writes the secrets over those they were loaded from, after AddMissing.
func (b *Bundle) Replace(path string) error {
	return b.write(path, func(temporary string) error { return os.Rename(temporary, path) })
}

// write puts the whole file beside path, safe on the disk, and has publish give it its name.
func (b *Bundle) write(path string, publish func(temporary string) error) error {
	data, err := b.encode()
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return fmt.Errorf("write secrets: %w", err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // gone already after a rename
	_, err = temporary.Write(data)
	if err == nil {
		err = temporary.Sync()
	}
	if closeErr := temporary.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = publish(temporary.Name())
	}
	if err != nil {
		return fmt.Errorf("write secrets: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a new name survive a power-off.
func syncDir(path string) error {
	dir, err := os.Open(path) //nolint:gosec // the operator names the folder
	if err != nil {
		return fmt.Errorf("write secrets: %w", err)
	}
	err = dir.Sync()
	if closeErr := dir.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write secrets: %w", err)
	}
	return nil
}
