// Package store keeps a cluster's bundle of secrets in a file: plain, for its owner's eyes alone, or encrypted with age. It
// stands apart from the package secrets because the boot agent needs that one, and none of this.
package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/secrets"
)

// ErrReadable is a file of secrets that other users of the machine may read.
var ErrReadable = errors.New("others may read it")

// Load reads a cluster's secrets; those at a path that Encrypted names with the identities of IdentityPath. A missing file
// is fs.ErrNotExist; one that its group or others may read is refused as ErrReadable. Whether it is the right
// cluster's, and whether it covers every node, is for the bundle's Check to say.
func Load(path string) (*secrets.Bundle, error) {
	data, err := readPrivate(path, "secrets")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, exit.Errorf(exit.Missing, "no secrets at %s: run cincbake secrets init: %w", path, err)
	}
	if err != nil {
		return nil, err
	}
	if Encrypted(path) {
		if data, err = decrypt(path, data); err != nil {
			return nil, err
		}
	}
	b, err := secrets.DecodeBundle(data)
	if err != nil {
		return nil, exit.Errorf(exit.Invalid, "%s: %w", path, err)
	}
	return b, nil
}

// readPrivate reads a file that nobody but its owner may read.
func readPrivate(path, what string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, exit.Errorf(exit.Missing, "%s has mode %04o, %w: run chmod 600 %s", path, mode, ErrReadable, path)
	}
	data, err := io.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return data, nil
}

// Save writes a new secrets file, 0600, encrypted to the bundle's recipients if Encrypted names its path. A file that is
// already there is fs.ErrExist and stays as it is: it may hold the only copy of a running cluster's CA.
func Save(b *secrets.Bundle, path string) error {
	return write(b, path, func(temporary string) error {
		// A link, unlike a rename, never replaces what another process put there a moment ago.
		err := os.Link(temporary, path)
		if errors.Is(err, fs.ErrExist) {
			return exit.Errorf(exit.Unsafe, "%w at %s, and it may hold the only copy of a running cluster's CA: move it away first", fs.ErrExist, path)
		}
		return err
	})
}

// Replace writes the secrets over those they were loaded from, encrypted to the bundle's recipients if those were.
func Replace(b *secrets.Bundle, path string) error {
	return write(b, path, func(temporary string) error { return os.Rename(temporary, path) })
}

// write puts the whole file beside path, safe on the disk, and has publish give it its name.
func write(b *secrets.Bundle, path string, publish func(temporary string) error) error {
	if err := checkRecipients(path, b.Recipients); err != nil {
		return err
	}
	data, err := b.Encode()
	if err != nil {
		return err
	}
	if Encrypted(path) {
		if data, err = encrypt(data, b.Recipients); err != nil {
			return err
		}
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
