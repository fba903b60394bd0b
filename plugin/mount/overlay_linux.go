package mount

import "golang.org/x/sys/unix"

// Overlay mounts an overlay at a folder.
func Overlay(at, options string) error { return unix.Mount("cincbake", at, "overlay", 0, options) }

func unmount(at string) error { return unix.Unmount(at, unix.UMOUNT_NOFOLLOW) }
