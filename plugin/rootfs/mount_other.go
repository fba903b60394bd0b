//go:build unix && !linux

package rootfs

import "errors"

func mountOverlay(string, string) error { return errors.ErrUnsupported }

func unmount(string) error { return errors.ErrUnsupported }
