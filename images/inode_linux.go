package images

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// inode is what one look at a path tells, links not followed.
type inode struct {
	mode     uint32 // type and permission bits, as in stat(2)
	uid, gid uint32
	device   string // major:minor of a device node
	mount    uint64 // id of the mount that the path lies on
}

// lookAt asks the kernel once for everything that counts. The mount's id, and not the device's number, tells a mount point:
// overlayfs gives files other device numbers than directories, and a bind mount has the number of what it shows.
func lookAt(path string) (inode, error) {
	var st unix.Statx_t
	const mask = unix.STATX_BASIC_STATS | unix.STATX_MNT_ID
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, mask, &st); err != nil {
		return inode{}, &os.PathError{Op: "statx", Path: path, Err: err}
	}
	if st.Mask&unix.STATX_MNT_ID == 0 {
		return inode{}, fmt.Errorf("%s: the kernel does not tell which mount it lies on: it needs Linux 5.8 or newer", path)
	}
	node := inode{mode: uint32(st.Mode), uid: st.Uid, gid: st.Gid, mount: st.Mnt_id}
	if t := node.kind(); t == "block" || t == "char" {
		node.device = fmt.Sprintf("%d:%d", st.Rdev_major, st.Rdev_minor)
	}
	return node, nil
}

// kind names the type of what lies at the path.
func (n inode) kind() string {
	switch n.mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "file"
	case unix.S_IFDIR:
		return "dir"
	case unix.S_IFLNK:
		return "link"
	case unix.S_IFBLK:
		return "block"
	case unix.S_IFCHR:
		return "char"
	case unix.S_IFIFO:
		return "fifo"
	default:
		return "socket"
	}
}
