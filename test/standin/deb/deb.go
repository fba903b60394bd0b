// Package deb writes Debian packages in plain Go: the same input makes the same bytes on every machine.
package deb

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5" //nolint:gosec // dpkg's own check sums, not a proof of anything
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Package is what goes into a .deb.
type Package struct {
	Name         string
	Version      string // with the packager's revision
	Architecture string // "amd64", or "all"
	Maintainer   string
	Section      string
	Depends      []string
	// Fields are further control fields, like Conflicts. They are written by name.
	Fields map[string]string
	// Summary is the description's first line; Description the rest, in paragraphs with an empty line between them.
	Summary     string
	Description string
	// Scripts are preinst, postinst, prerm and postrm, whole.
	Scripts map[string]string
	// Conffiles are paths among Files that dpkg keeps when the administrator changed them.
	Conffiles []string
	Files     []File
}

// File is one file, directory or link of a package. Directories above it are made, root's and 0755.
type File struct {
	Path    string // absolute
	Mode    int64  // permission bits; 0 means 0644, and 0755 for a directory
	Content []byte
	// Read, where set, gives the content in place of Content: a large file needs not be in memory. Size is its length.
	Read func() (io.ReadCloser, error)
	Size int64
	Link string // target: the file is a symbolic link
	Dir  bool
	// Owner and Group are numbers that must mean the same on every machine: 0 is root.
	Owner, Group int
}

// epoch is every member's time: a package must not depend on when it was made.
var epoch = time.Unix(1_700_000_000, 0).UTC()

// FileName is the name under which a package is published.
func (p Package) FileName() string {
	_, version, found := strings.Cut(p.Version, ":") // an epoch has no place in a file's name
	if !found {
		version = p.Version
	}
	return p.Name + "_" + version + "_" + p.Architecture + ".deb"
}

// Write writes the package. Its data is compressed while it is written: data must be a file or a buffer to hold that.
func (p Package) Write(w io.Writer, data io.ReadWriteSeeker) error {
	if p.Name == "" || p.Version == "" || p.Architecture == "" || p.Maintainer == "" || p.Summary == "" {
		return errors.New("a package needs name, version, architecture, maintainer and summary")
	}
	files, err := p.sorted()
	if err != nil {
		return err
	}
	sums, installed, err := writeData(data, files)
	if err != nil {
		return fmt.Errorf("data of %s: %w", p.Name, err)
	}
	size, err := data.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := data.Seek(0, io.SeekStart); err != nil {
		return err
	}
	control, err := p.control(sums, installed)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, "!<arch>\n"); err != nil {
		return err
	}
	for _, member := range []struct {
		name string
		size int64
		from io.Reader
	}{
		{"debian-binary", 4, strings.NewReader("2.0\n")},
		{"control.tar.gz", int64(len(control)), bytes.NewReader(control)},
		{"data.tar.gz", size, data},
	} {
		if err := writeMember(w, member.name, member.size, member.from); err != nil {
			return err
		}
	}
	return nil
}

// writeMember writes one member of an ar archive.
func writeMember(w io.Writer, name string, size int64, from io.Reader) error {
	if _, err := fmt.Fprintf(w, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, epoch.Unix(), 0, 0, "100644", size); err != nil {
		return err
	}
	if n, err := io.Copy(w, from); err != nil || n != size {
		return errors.Join(err, checkSize(name, n, size))
	}
	if size%2 == 1 {
		_, err := io.WriteString(w, "\n")
		return err
	}
	return nil
}

func checkSize(name string, got, want int64) error {
	if got != want {
		return fmt.Errorf("%s has %d bytes and was to have %d", name, got, want)
	}
	return nil
}

// sorted returns the files with the directories above them, each once, parents first.
func (p Package) sorted() ([]File, error) {
	all := map[string]File{}
	for _, f := range p.Files {
		if f.Path != path.Clean(f.Path) || !path.IsAbs(f.Path) || f.Path == "/" {
			return nil, fmt.Errorf("%q is no clean absolute path", f.Path)
		}
		if _, ok := all[f.Path]; ok {
			return nil, fmt.Errorf("%s is there twice", f.Path)
		}
		all[f.Path] = f
	}
	for _, f := range p.Files {
		for dir := path.Dir(f.Path); dir != "/"; dir = path.Dir(dir) {
			if above, ok := all[dir]; ok && !above.Dir {
				return nil, fmt.Errorf("%s lies below %s, which is no directory", f.Path, dir)
			} else if !ok {
				all[dir] = File{Path: dir, Dir: true}
			}
		}
	}
	for _, conffile := range p.Conffiles {
		if f, ok := all[conffile]; !ok || f.Dir || f.Link != "" {
			return nil, fmt.Errorf("conffile %s is no file of the package", conffile)
		}
	}
	files := slices.Collect(maps.Values(all))
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// writeData writes the tree, and returns its check sums as dpkg keeps them and its size in KiB.
func writeData(w io.Writer, files []File) (sums string, installed int64, err error) {
	zip := gzip.NewWriter(w)
	archive := tar.NewWriter(zip)
	if err := archive.WriteHeader(header(File{Dir: true})); err != nil {
		return "", 0, err
	}
	var list strings.Builder
	for _, f := range files {
		if err := archive.WriteHeader(header(f)); err != nil {
			return "", 0, err
		}
		if f.Dir || f.Link != "" {
			installed++
			continue
		}
		content := io.NopCloser(bytes.NewReader(f.Content))
		if f.Read != nil {
			if content, err = f.Read(); err != nil {
				return "", 0, err
			}
		}
		sum := md5.New() //nolint:gosec // see the import
		n, err := io.Copy(io.MultiWriter(archive, sum), content)
		if err := errors.Join(err, content.Close(), checkSize(f.Path, n, f.size())); err != nil {
			return "", 0, err
		}
		installed += (n + 1023) / 1024
		fmt.Fprintf(&list, "%s  %s\n", hex.EncodeToString(sum.Sum(nil)), f.Path[1:])
	}
	return list.String(), installed, errors.Join(archive.Close(), zip.Close())
}

func (f File) size() int64 {
	if f.Read != nil {
		return f.Size
	}
	return int64(len(f.Content))
}

func header(f File) *tar.Header {
	h := &tar.Header{
		Name: "." + f.Path, Mode: f.Mode, Uid: f.Owner, Gid: f.Group, ModTime: epoch, Format: tar.FormatGNU,
	}
	if f.Owner == 0 {
		h.Uname = "root"
	}
	if f.Group == 0 {
		h.Gname = "root"
	}
	switch {
	case f.Dir:
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		if h.Mode == 0 {
			h.Mode = 0o755
		}
	case f.Link != "":
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, f.Link, 0o777
	default:
		h.Typeflag, h.Size = tar.TypeReg, f.size()
		if h.Mode == 0 {
			h.Mode = 0o644
		}
	}
	return h
}

// control is control.tar.gz.
func (p Package) control(sums string, installed int64) ([]byte, error) {
	files := []File{
		{Path: "/control", Content: []byte(p.fields(installed))},
		{Path: "/md5sums", Content: []byte(sums)},
	}
	if len(p.Conffiles) > 0 {
		files = append(files, File{Path: "/conffiles", Content: []byte(strings.Join(p.Conffiles, "\n") + "\n")})
	}
	for _, name := range slices.Sorted(maps.Keys(p.Scripts)) {
		files = append(files, File{Path: "/" + name, Mode: 0o755, Content: []byte(p.Scripts[name])})
	}
	var b bytes.Buffer
	_, _, err := writeData(&b, files)
	return b.Bytes(), err
}

// fields is the control file.
func (p Package) fields(installed int64) string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			b.WriteString(name + ": " + value + "\n")
		}
	}
	line("Package", p.Name)
	line("Version", p.Version)
	line("Architecture", p.Architecture)
	line("Maintainer", p.Maintainer)
	line("Installed-Size", fmt.Sprint(installed))
	line("Depends", strings.Join(p.Depends, ", "))
	line("Section", p.Section)
	for _, name := range slices.Sorted(maps.Keys(p.Fields)) {
		line(name, p.Fields[name])
	}
	line("Description", p.Summary)
	for text := range strings.Lines(p.Description) {
		if text = strings.TrimRight(text, "\n"); text == "" {
			text = "."
		}
		b.WriteString(" " + text + "\n")
	}
	return b.String()
}
