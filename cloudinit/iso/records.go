package iso

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// standard identifies a volume descriptor: the format's name and version.
const standard = "CD001\x01"

// Every date is 1980-01-01. Nothing reads them, and a true one would give the same seed other bytes on another day.
const (
	volumeDate = "1980010100000000\x00"
	recordDate = "\x50\x01\x01\x00\x00\x00\x00"
	noDate     = "0000000000000000\x00"
)

// entry is a file with its place.
type entry struct {
	name         string
	sector, size uint32
	content      []byte
}

// writeDescriptor writes a volume descriptor (ECMA-119 §8.4, §8.5). Offsets are the standard's, less one.
func (t tree) writeDescriptor(b []byte, label string, sectorCount uint32) {
	text := func(from, to int, s string) { copy(b[from:to], t.padded(s, to-from)) }
	b[0] = 1
	if t.joliet {
		b[0] = 2
		copy(b[88:], "%/E") // UCS-2, level 3
	}
	copy(b[1:], standard)
	text(8, 40, "")
	text(40, 72, label)
	both32(b[80:], sectorCount)
	both16(b[120:], 1) // volumes in the set
	both16(b[124:], 1) // this one's number
	both16(b[128:], sectorSize)
	both32(b[132:], pathTableSize)
	binary.LittleEndian.PutUint32(b[140:], t.pathLittle)
	binary.BigEndian.PutUint32(b[148:], t.pathBig)
	copy(b[156:], record("\x00", t.folder, sectorSize, true))
	text(190, 318, "") // volume set
	text(318, 446, "") // publisher
	text(446, 574, "") // preparer
	text(574, 702, "CINCBAKE")
	text(702, 739, "") // copyright
	text(739, 776, "") // abstract
	text(776, 813, "") // bibliography
	copy(b[813:], volumeDate+volumeDate+noDate+noDate)
	b[881] = 1 // file structure version
}

// pathTableSize is the size of a path table that holds only the root.
const pathTableSize = 10

// writePathTables writes the same table in both byte orders (ECMA-119 §9.4).
func (t tree) writePathTables(little, big []byte) {
	for _, b := range [][]byte{little, big} {
		b[0] = 1 // length of the root's name, one zero byte
	}
	binary.LittleEndian.PutUint32(little[2:], t.folder)
	binary.LittleEndian.PutUint16(little[6:], 1) // the root is its own parent
	binary.BigEndian.PutUint32(big[2:], t.folder)
	binary.BigEndian.PutUint16(big[6:], 1)
}

// writeFolder writes the root's records: itself, its parent (itself again), and the files by name.
func (t tree) writeFolder(b []byte, entries []entry) {
	add := func(r []byte) { b = b[copy(b, r):] }
	self, parent := record("\x00", t.folder, sectorSize, true), record("\x01", t.folder, sectorSize, true)
	if t.joliet {
		add(self)
		add(parent)
		for _, e := range entries {
			add(record(wide(e.name+";1"), e.sector, e.size, false))
		}
		return
	}
	add(extend(self, systemUse, posix(folderMode), rockRidge))
	add(extend(parent, posix(folderMode)))
	for _, e := range entries {
		add(extend(record(plainName(e.name), e.sector, e.size, false), alternateName(e.name), posix(fileMode)))
	}
}

// record is a directory record (ECMA-119 §9.1).
func record(name string, sector, size uint32, folder bool) []byte {
	r := make([]byte, 33, 130)
	both32(r[2:], sector)
	both32(r[10:], size)
	copy(r[18:], recordDate)
	if folder {
		r[25] = 2
	}
	both16(r[28:], 1)       // volume
	r[32] = byte(len(name)) //nolint:gosec // at most 56, see names
	return extend(append(r, name...))
}

// extend puts Rock Ridge's fields behind a record, pads it to an even length and notes that length in it.
func extend(r []byte, fields ...string) []byte {
	r = append(r, strings.Join(fields, "")...)
	if len(r)%2 == 1 {
		r = append(r, 0)
	}
	r[0] = byte(len(r)) //nolint:gosec // at most 130, see maxFiles
	return r
}

const (
	// systemUse says that fields follow the records (SUSP §5.3), rockRidge whose (SUSP §5.5, RRIP §4.3); without texts about it.
	systemUse = "SP\x07\x01\xbe\xef\x00"
	rockRidge = "ER\x12\x01\x0a\x00\x00\x01RRIP_1991A"

	folderMode = 0o040500
	fileMode   = 0o100400
)

// posix gives a record a mode, one link, and root as its owner (RRIP §4.1.1).
func posix(mode uint32) string {
	field := make([]byte, 36)
	copy(field, "PX\x24\x01")
	both32(field[4:], mode)
	both32(field[12:], 1)
	return string(field)
}

// alternateName gives a record its true name (RRIP §4.1.4).
func alternateName(name string) string {
	return "NM" + string([]byte{byte(5 + len(name)), 1, 0}) + name //nolint:gosec // at most 26, see names
}

// padded fills a text with spaces, as wide as the tree's are.
func (t tree) padded(s string, size int) string {
	if !t.joliet {
		return s + strings.Repeat(" ", size-len(s))
	}
	return (wide(s+strings.Repeat(" ", size/2-len(s))) + "\x00")[:size] // fields of an odd size end with a zero
}

// wide encodes a text as Joliet has it, in UCS-2 with the big end first.
func wide(s string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		b = binary.BigEndian.AppendUint16(b, unit)
	}
	return string(b)
}

func both16(b []byte, n uint16) {
	binary.LittleEndian.PutUint16(b, n)
	binary.BigEndian.PutUint16(b[2:], n)
}

func both32(b []byte, n uint32) {
	binary.LittleEndian.PutUint32(b, n)
	binary.BigEndian.PutUint32(b[4:], n)
}
