//go:build !linux

// Package xattr reads and writes the extended attributes that belong to an image, on Linux.
package xattr

import (
	"errors"
	"fmt"
	"os"
)

// Counts tells whether the attribute belongs to an image.
func Counts(string) bool { return false }

// Read needs Linux.
func Read(path string) (map[string]string, error) {
	return nil, fmt.Errorf("%s: reading an image's attributes needs Linux: %w", path, errors.ErrUnsupported)
}

// Write needs Linux.
func Write(f *os.File, name, _ string) error {
	return fmt.Errorf("%s: attribute %s: writing an image's attributes needs Linux: %w", f.Name(), name, errors.ErrUnsupported)
}
