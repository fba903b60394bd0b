//go:build unix

// Package archive turns the tree of a sealed machine into one file and back: a tar archive, compressed with Zstandard.
//
// The file has everything that the content digest counts (images.Digest): unpacked, it has the digest of the tree that was
// packed. Packing one tree twice gives the same bytes.
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
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/cincbake/cincbake/images/internal/xattr"
)

// threads is how many processors compressing takes: two bakes usually run at once.
const threads = 2

// xattrRecord begins the name of the record that GNU tar and libarchive keep an extended attribute in.
const xattrRecord = "SCHILY.xattr."

// Times tells which times go into an archive. What the bake made (changed at Made or later) gets the time Epoch, so that
// two bakes give the same file; what came out of a package keeps its own, which Python's compiled files depend on.
type Times struct {
	Made  time.Time
	Epoch time.Time
}

// at returns the time that a file's own time becomes, in whole seconds.
func (t Times) at(own time.Time) time.Time {
	if !own.Before(t.Made) {
		own = t.Epoch
	}
	return own.Truncate(time.Second)
}

// emptied are folders that are in the archive without what is below them: each boot fills them.
func emptied() []string {
	return []string{"/dev", "/proc", "/run", "/sys", "/tmp", "/var/tmp", "/lost+found"}
}

// noFiles are folders of which only the folders below are in the archive: what apt can fetch again.
func noFiles() []string { return []string{"/var/cache/apt", "/var/lib/apt/lists"} }

// Pack writes the tree below root to w: sorted, owners by number, hard links and the extended attributes of an image kept.
// Sockets are left out; device nodes outside /dev are an error. Nothing may write to the tree meanwhile.
func Pack(ctx context.Context, root string, w io.Writer, times Times) error {
	compressed, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(threads))
	if err != nil {
		return err
	}
	p := packer{ctx: ctx, root: root, times: times, tar: tar.NewWriter(compressed), links: map[inode]string{}, buffer: make([]byte, 256<<10)}
	err = p.add("/")
	if err == nil {
		err = p.below("/", false)
	}
	if err != nil {
		return errors.Join(err, compressed.Close())
	}
	return errors.Join(p.tar.Close(), compressed.Close())
}

type inode struct{ device, number uint64 }

type packer struct {
	ctx    context.Context // of the one call of Pack that makes the packer
	root   string
	times  Times
	tar    *tar.Writer
	links  map[inode]string // names of files that have several, as written first
	buffer []byte
}

// below writes what is in a directory; with dirsOnly, nothing but directories.
func (p *packer) below(name string, dirsOnly bool) error {
	if slices.Contains(emptied(), name) {
		return nil
	}
	dirsOnly = dirsOnly || slices.Contains(noFiles(), name)
	entries, err := os.ReadDir(path.Join(p.root, name)) // sorted by name
	if err != nil {
		return err
	}
	for _, e := range entries {
		child := path.Join(name, e.Name())
		if dirsOnly && !e.IsDir() {
			continue
		}
		if err := p.add(child); err != nil {
			return err
		}
		if e.IsDir() {
			if err := p.below(child, dirsOnly); err != nil {
				return err
			}
		}
	}
	return nil
}

// add writes one path.
func (p *packer) add(name string) error {
	if err := p.ctx.Err(); err != nil {
		return context.Cause(p.ctx)
	}
	full := path.Join(p.root, name)
	info, err := os.Lstat(full)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: no owner known", full)
	}
	header := &tar.Header{
		Format:  tar.FormatPAX,
		Name:    "." + name,
		Mode:    int64(st.Mode) & 0o7777,
		Uid:     int(st.Uid),
		Gid:     int(st.Gid),
		ModTime: p.times.at(info.ModTime()),
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		header.Typeflag = tar.TypeDir
		header.Name = "." + strings.TrimSuffix(name, "/") + "/" // the root is "./"
	case mode.IsRegular():
		header.Typeflag, header.Size = tar.TypeReg, info.Size()
		id := inode{uint64(st.Dev), st.Ino} // other systems have another type
		if first, seen := p.links[id]; seen {
			header.Typeflag, header.Size, header.Linkname = tar.TypeLink, 0, first
			return p.tar.WriteHeader(header)
		}
		if st.Nlink > 1 {
			p.links[id] = header.Name
		}
	case mode&fs.ModeSymlink != 0:
		header.Typeflag = tar.TypeSymlink
		if header.Linkname, err = os.Readlink(full); err != nil {
			return err
		}
		return p.tar.WriteHeader(header)
	case mode&fs.ModeSocket != 0:
		return nil
	default:
		return fmt.Errorf("%s is a %s: an image holds files, folders and links only", full, mode.Type())
	}
	attributes, err := xattr.Read(full)
	if err != nil {
		return err
	}
	for attribute, value := range attributes {
		if header.PAXRecords == nil {
			header.PAXRecords = map[string]string{}
		}
		header.PAXRecords[xattrRecord+attribute] = value // the writer sorts them
	}
	if err := p.tar.WriteHeader(header); err != nil {
		return fmt.Errorf("%s: %w", full, err)
	}
	if header.Typeflag != tar.TypeReg {
		return nil
	}
	return p.content(full)
}

func (p *packer) content(full string) error {
	file, err := os.Open(full)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.CopyBuffer(struct{ io.Writer }{p.tar}, struct{ io.Reader }{file}, p.buffer); err != nil {
		return fmt.Errorf("%s: %w", full, err)
	}
	return nil
}
