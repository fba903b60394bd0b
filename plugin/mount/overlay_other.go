//go:build unix && !linux

package mount

import "errors"

// Overlay mounts nothing: only Linux has overlays.
func Overlay(string, string) error { return errors.ErrUnsupported }

func unmount(string) error { return errors.ErrUnsupported }
