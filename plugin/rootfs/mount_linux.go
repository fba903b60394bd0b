package rootfs

import "golang.org/x/sys/unix"

func mountOverlay(at, options string) error { return unix.Mount("cincbake", at, "overlay", 0, options) }

func unmount(at string) error { return unix.Unmount(at, unix.UMOUNT_NOFOLLOW) }
