//go:build unix

package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// settle gives every inode, as the times that no file system lets anybody set (changed, made, read), the one that was set:
// when it was modified. mke2fs takes the others from the tree, where they are different each time.
func (m maker) settle(ctx context.Context) (err error) {
	disk, err := os.OpenFile(m.raw, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	fs, err := openExt4(disk, int64(rootStart)*sector)
	if err != nil {
		return err
	}
	for group := range fs.groups {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fs.settleGroup(group); err != nil {
			return err
		}
	}
	return nil
}

// ext4 is what of a file system's superblock leads to its inodes. The layout is documented in the kernel's tree, below
// Documentation/filesystems/ext4.
type ext4 struct {
	disk                                            *os.File
	at                                              int64
	block, inodes, inodesPerGroup, inodeSize, dsize int64
	groups                                          int64
	seed                                            uint32
}

// Places in the superblock, in a group's descriptor and in an inode.
const (
	superAt = 1024

	superInodes, superBlockSize, superPerGroup, superMagic = 0x00, 0x18, 0x28, 0x38
	superInodeSize, superUUID, superDescSize               = 0x58, 0x68, 0xFE

	descBitmapLow, descTableLow, descBitmapHigh, descTableHigh = 0x04, 0x08, 0x24, 0x28

	inodeATime, inodeCTime, inodeMTime, inodeGeneration         = 0x08, 0x0C, 0x10, 0x64
	inodeChecksumLow, inodeChecksumHigh                         = 0x7C, 0x82
	inodeCTimeExtra, inodeMTimeExtra, inodeATimeExtra, inodeNew = 0x84, 0x88, 0x8C, 0x90
	inodeNewExtra                                               = 0x94
)

func openExt4(disk *os.File, at int64) (ext4, error) {
	super := make([]byte, 1024)
	if _, err := disk.ReadAt(super, at+superAt); err != nil {
		return ext4{}, err
	}
	if binary.LittleEndian.Uint16(super[superMagic:]) != 0xEF53 {
		return ext4{}, errors.New("the file system is no ext4")
	}
	long := func(at int) int64 { return int64(binary.LittleEndian.Uint32(super[at:])) }
	short := func(at int) int64 { return int64(binary.LittleEndian.Uint16(super[at:])) }
	fs := ext4{
		disk: disk, at: at, block: 1024 << long(superBlockSize), inodes: long(superInodes), inodesPerGroup: long(superPerGroup),
		inodeSize: short(superInodeSize), dsize: short(superDescSize), seed: crc32c(^uint32(0), super[superUUID:superUUID+16]),
	}
	if fs.inodesPerGroup == 0 || fs.inodeSize < 256 || fs.dsize < 64 {
		return ext4{}, fmt.Errorf("the file system has inodes of %d bytes and descriptors of %d: it was not made here", fs.inodeSize, fs.dsize)
	}
	fs.groups = fs.inodes / fs.inodesPerGroup
	return fs, nil
}

func (fs ext4) settleGroup(group int64) error {
	// The descriptors follow the superblock's block.
	desc := make([]byte, fs.dsize)
	if _, err := fs.disk.ReadAt(desc, fs.at+fs.block+group*fs.dsize); err != nil {
		return err
	}
	blockAt := func(low, high int) int64 {
		return int64(binary.LittleEndian.Uint32(desc[low:])) + int64(binary.LittleEndian.Uint32(desc[high:]))<<32
	}
	bitmap, table := make([]byte, fs.inodesPerGroup/8), make([]byte, fs.inodesPerGroup*fs.inodeSize)
	tableAt := fs.at + blockAt(descTableLow, descTableHigh)*fs.block
	if _, err := fs.disk.ReadAt(bitmap, fs.at+blockAt(descBitmapLow, descBitmapHigh)*fs.block); err != nil {
		return err
	}
	if _, err := fs.disk.ReadAt(table, tableAt); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	changed := false
	for i := range fs.inodesPerGroup {
		inode := table[i*fs.inodeSize : (i+1)*fs.inodeSize]
		if bitmap[i/8]&(1<<(i%8)) == 0 || binary.LittleEndian.Uint16(inode) == 0 { // free, or one of those that are set aside
			continue
		}
		fs.settleInode(uint32(group*fs.inodesPerGroup+i+1), inode) //nolint:gosec // inodes have 32 bits
		changed = true
	}
	if !changed {
		return nil
	}
	_, err := fs.disk.WriteAt(table, tableAt)
	return err
}

// settleInode changes the times and the checksum that is over them.
func (fs ext4) settleInode(number uint32, inode []byte) {
	for _, other := range []struct{ time, extra int }{{inodeATime, inodeATimeExtra}, {inodeCTime, inodeCTimeExtra}, {inodeNew, inodeNewExtra}} {
		copy(inode[other.time:other.time+4], inode[inodeMTime:])
		copy(inode[other.extra:other.extra+4], inode[inodeMTimeExtra:])
	}
	clear(inode[inodeChecksumLow : inodeChecksumLow+2])
	clear(inode[inodeChecksumHigh : inodeChecksumHigh+2])
	sum := crc32c(fs.seed, binary.LittleEndian.AppendUint32(nil, number))
	sum = crc32c(sum, inode[inodeGeneration:inodeGeneration+4])
	sum = crc32c(sum, inode)
	binary.LittleEndian.PutUint16(inode[inodeChecksumLow:], uint16(sum))      //nolint:gosec // its halves
	binary.LittleEndian.PutUint16(inode[inodeChecksumHigh:], uint16(sum>>16)) //nolint:gosec // its halves
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crc32c is the kernel's, which leaves the inversions at both ends to its callers.
func crc32c(crc uint32, data []byte) uint32 { return ^crc32.Update(^crc, castagnoli, data) }
