//go:build unix

package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/cincbake/cincbake/images/internal/xattr"
)

// Unpack writes the tree of an archive that Pack made into dir, which it makes and which must be empty: with owners, modes,
// times and extended attributes, so it needs root. Nothing is written outside dir whatever the archive says.
// After an error, dir holds a part of the tree.
func Unpack(ctx context.Context, r io.Reader, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { // it gets the mode of the tree's root in the end
		return err
	}
	if entries, err := os.ReadDir(dir); err != nil {
		return err
	} else if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: name a new folder", dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	plain, err := zstd.NewReader(r)
	if err != nil {
		return err
	}
	defer plain.Close()

	u := unpacker{root: root, buffer: make([]byte, 256<<10)}
	archive := tar.NewReader(plain)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return u.finish()
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = u.put(header, archive)
		}
		if err != nil {
			return fmt.Errorf("unpack into %s: %w", dir, err)
		}
	}
}

type unpacker struct {
	root   *os.Root
	dirs   []*tar.Header // they get owner, mode and time once they are full
	buffer []byte
}

// put writes one entry.
func (u *unpacker) put(h *tar.Header, content io.Reader) error {
	name := path.Clean(h.Name)
	switch h.Typeflag {
	case tar.TypeDir:
		u.dirs = append(u.dirs, h)
		if name == "." {
			return nil
		}
		return u.root.Mkdir(name, 0o700)
	case tar.TypeSymlink:
		if err := u.root.Symlink(h.Linkname, name); err != nil {
			return err
		}
		return errors.Join(u.root.Lchown(name, h.Uid, h.Gid), u.linkTime(name, h))
	case tar.TypeLink:
		return u.root.Link(path.Clean(h.Linkname), name)
	case tar.TypeReg:
		return u.file(name, h, content)
	}
	return fmt.Errorf("%s has type %q: an image holds files, folders and links only", h.Name, h.Typeflag)
}

func (u *unpacker) file(name string, h *tar.Header, content io.Reader) error {
	file, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{file}, struct{ io.Reader }{content}, u.buffer)
	return errors.Join(err, u.settle(file, h), file.Close())
}

// settle gives a file or folder its owner, mode, attributes and time, in this order: a new owner takes away set-uid bits and
// capabilities, and every change moves the time.
func (u *unpacker) settle(f *os.File, h *tar.Header) error {
	if err := f.Chown(h.Uid, h.Gid); err != nil {
		return err
	}
	if err := f.Chmod(h.FileInfo().Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)); err != nil {
		return err
	}
	for record, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(record, xattrRecord); ok && xattr.Counts(name) {
			if err := xattr.Write(f, name, value); err != nil {
				return err
			}
		}
	}
	return u.root.Chtimes(path.Clean(h.Name), h.ModTime, h.ModTime)
}

// linkTime gives a link, not what it leads to, its time.
func (u *unpacker) linkTime(name string, h *tar.Header) error {
	dir, err := u.root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	settled := unix.NsecToTimespec(h.ModTime.UnixNano())
	err = unix.UtimesNanoAt(int(dir.Fd()), path.Base(name), []unix.Timespec{settled, settled}, unix.AT_SYMLINK_NOFOLLOW)
	return errors.Join(err, dir.Close())
}

// finish settles the folders, the deepest first, so that none changes again.
func (u *unpacker) finish() error {
	if len(u.dirs) == 0 {
		return errors.New("the archive is empty: it is no image")
	}
	for _, h := range slices.Backward(u.dirs) {
		dir, err := u.root.Open(path.Clean(h.Name))
		if err != nil {
			return err
		}
		if err := errors.Join(u.settle(dir, h), dir.Close()); err != nil {
			return err
		}
	}
	return nil
}
