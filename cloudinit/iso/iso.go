// Package iso makes the small disk image that a hypervisor attaches to a machine as its NoCloud seed: ISO 9660 with Rock
// Ridge and Joliet, one flat folder, and the same bytes for the same files.
//
// It is our own because the libraries for this write the clock, the user and the inode numbers of the machine they run on
// into the image, and want the files, which are secret, in a folder first.
package iso

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// File is one file of an image.
type File struct {
	Name    string // see names
	Content []byte
}

const (
	sectorSize = 2048
	// maxFile keeps sizes far inside the format's 32 bits; seeds are kilobytes.
	maxFile = 1 << 26
	// filesAt is the first sector behind the two trees.
	filesAt = 25
)

// tree is one of the two sets of names for the same files, and where it is, in sectors. The first 16 are the system's and
// stay empty (ECMA-119 §6.2.1).
type tree struct {
	joliet                                  bool
	descriptor, pathLittle, pathBig, folder uint32
}

var (
	primary = tree{descriptor: 16, pathLittle: 19, pathBig: 20, folder: 23}
	joliet  = tree{joliet: true, descriptor: 17, pathLittle: 21, pathBig: 22, folder: 24}
)

// terminator is the sector behind the descriptors that says so.
const terminator = 18

var (
	// names are those that all three name spaces hold without a change that could make two of them one.
	names  = regexp.MustCompile(`^[a-z0-9-]{1,26}$`)
	labels = regexp.MustCompile(`^[A-Za-z0-9_]{1,16}$`)
)

// Encode returns an image with the given volume label and files. Inside, they are root's and readable by root alone.
func Encode(label string, files []File) ([]byte, error) {
	if err := check(label, files); err != nil {
		return nil, fmt.Errorf("make ISO image: %w", err)
	}
	entries := make([]entry, len(files))
	for i, f := range files {
		entries[i] = entry{name: f.Name, size: uint32(len(f.Content)), content: f.Content} //nolint:gosec // checked above
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) }) // as the format wants them
	end := uint32(filesAt)
	for i := range entries {
		if entries[i].size > 0 { // an empty file is nowhere
			entries[i].sector = end
			end += (entries[i].size + sectorSize - 1) / sectorSize
		}
	}

	image := make([]byte, end*sectorSize)
	sector := func(n uint32) []byte { return image[n*sectorSize:] }
	for _, t := range []tree{primary, joliet} {
		t.writeDescriptor(sector(t.descriptor), label, end)
		t.writePathTables(sector(t.pathLittle), sector(t.pathBig))
		t.writeFolder(sector(t.folder)[:sectorSize], entries)
	}
	copy(sector(terminator), "\xff"+standard)
	for _, e := range entries {
		copy(sector(e.sector), e.content)
	}
	return image, nil
}

// maxFiles always fit into the one sector of a folder: no record is longer than 130 bytes, and two are the folder's own.
const maxFiles = 12

func check(label string, files []File) error {
	switch {
	case !labels.MatchString(label):
		return fmt.Errorf("%q is not a label: letters, digits and underscores, 16 at most", label)
	case len(files) > maxFiles:
		return fmt.Errorf("%d files, and a seed has %d at most", len(files), maxFiles)
	}
	seen := map[string]bool{}
	for _, f := range files {
		switch {
		case !names.MatchString(f.Name):
			return fmt.Errorf("%q is not a file's name: lower-case letters, digits and hyphens, 26 at most", f.Name)
		case seen[f.Name]:
			return fmt.Errorf("two files are called %s", f.Name)
		case len(f.Content) > maxFile:
			return fmt.Errorf("%s has %d bytes, and %d is the most", f.Name, len(f.Content), maxFile)
		}
		seen[f.Name] = true
	}
	return nil
}

// plainName is a file's name for readers that know neither Rock Ridge nor Joliet.
func plainName(name string) string {
	return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + ".;1"
}
