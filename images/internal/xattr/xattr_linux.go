// Package xattr reads and writes the extended attributes that belong to an image: file capabilities, access control lists
// and what users set. The rest is the host's business: SELinux labels come from its policy, trusted ones from overlayfs.
package xattr

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Counts tells whether the attribute belongs to an image.
func Counts(name string) bool {
	return name == "security.capability" || strings.HasPrefix(name, "system.posix_acl_") || strings.HasPrefix(name, "user.")
}

// Read returns the path's own attributes that belong to an image; it follows no link. None is nil.
func Read(path string) (map[string]string, error) {
	size, err := unix.Llistxattr(path, nil)
	if size == 0 || errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "llistxattr", Path: path, Err: err}
	}
	list := make([]byte, size)
	if size, err = unix.Llistxattr(path, list); err != nil {
		return nil, &os.PathError{Op: "llistxattr", Path: path, Err: err}
	}
	var found map[string]string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:size]), "\x00"), "\x00") {
		if !Counts(name) {
			continue
		}
		value, err := get(path, name)
		if err != nil {
			return nil, fmt.Errorf("%s: attribute %s: %w", path, name, err)
		}
		if found == nil {
			found = map[string]string{}
		}
		found[name] = value
	}
	return found, nil
}

func get(path, name string) (string, error) {
	size, err := unix.Lgetxattr(path, name, nil)
	if err != nil || size == 0 {
		return "", err
	}
	value := make([]byte, size)
	size, err = unix.Lgetxattr(path, name, value)
	if err != nil {
		return "", err
	}
	return string(value[:size]), nil
}

// Write sets an attribute of an open file or directory.
func Write(f *os.File, name, value string) error {
	if err := unix.Fsetxattr(int(f.Fd()), name, []byte(value), 0); err != nil {
		return fmt.Errorf("%s: attribute %s: %w", f.Name(), name, err)
	}
	return nil
}
