//go:build unix

// Package disk makes a disk that boots, under BIOS and UEFI, of the tree of a sealed machine.
//
// Nothing is mounted, and nothing in the tree is run: the boot loader's images lie in the tree already, made with its base
// system (Loaders). Of one tree come the same bytes each time, by one version of the host's tools.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cincbake/cincbake/step"
)

// sector is what disks count in.
const sector = 512

// The places of the partitions, in sectors. The root file system comes last, so that it can grow with the disk.
const (
	biosStart, biosSectors = 2048, 2048
	espStart, espSectors   = biosStart + biosSectors, 32 << 20 / sector
	rootStart              = espStart + espSectors
	// tail is kept free at the end: the table's second copy lies there, and partitions end on whole mebibytes.
	tail = 2048
)

// All ids are constant, so that two disks of one tree do not differ; machines never see two of them at once.
const (
	diskID  = "8F1C5C7E-0E1B-4C39-9D5A-6B1E5A3C0001"
	biosID  = "8F1C5C7E-0E1B-4C39-9D5A-6B1E5A3C0002"
	espID   = "8F1C5C7E-0E1B-4C39-9D5A-6B1E5A3C0003"
	rootID  = "8F1C5C7E-0E1B-4C39-9D5A-6B1E5A3C0004"
	ext4ID  = "8f1c5c7e-0e1b-4c39-9d5a-6b1e5a3c0005"
	hashKey = "8f1c5c7e-0e1b-4c39-9d5a-6b1e5a3c0006"
	fatID   = "C15CBA4E"
)

// Tool is a program of the host that Make uses, and the Debian package that it comes in.
type Tool struct{ Program, Package string }

// Tools are all of them.
func Tools() []Tool {
	return []Tool{
		{"sfdisk", "fdisk"}, {"mke2fs", "e2fsprogs"}, {"mkfs.vfat", "dosfstools"}, {"mcopy", "mtools"}, {"qemu-img", "qemu-utils"},
	}
}

// Disk is what is made.
type Disk struct {
	Tree    string    // of a sealed machine; every time in it must be one that the disk may show
	Size    int64     // in bytes
	Time    time.Time // when the disk says that it was made
	Scratch string    // a folder with as much room as the tree takes
}

// Make writes the disk as qcow2. It needs root, to read the tree.
func (d Disk) Make(ctx context.Context, path string) (err error) {
	if err := Check(d.Tree); err != nil {
		return err
	}
	raw, err := os.CreateTemp(d.Scratch, "disk-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, raw.Close(), os.Remove(raw.Name())) }()
	if err := raw.Truncate(d.Size); err != nil {
		return err
	}
	m := maker{tree: d.Tree, raw: raw.Name(), size: d.Size, now: d.Time}
	for _, part := range []struct {
		name string
		make func(context.Context) error
	}{
		{"partition the disk", m.partition},
		{"make its root file system", m.root},
		{"settle its times", m.settle},
		{"make its EFI system partition", m.esp},
		{"make it boot by BIOS", m.bios},
		{"compress it", func(ctx context.Context) error {
			return m.run(ctx, "", "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=zstd,lazy_refcounts=off", m.raw, path)
		}},
	} {
		if err := part.make(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

type maker struct {
	tree string
	raw  string
	size int64
	now  time.Time // what programs are told
}

func (m maker) run(ctx context.Context, stdin string, argv ...string) error {
	epoch := strconv.FormatInt(m.now.Unix(), 10)
	_, err := step.This().Run(ctx, step.Command{
		Argv: argv, Stdin: []byte(stdin),
		Env: []string{
			"SOURCE_DATE_EPOCH=" + epoch, "E2FSPROGS_FAKE_TIME=" + epoch, "TZ=UTC",
			"MKE2FS_CONFIG=/dev/null", // a host's own taste is not the image's
			"MTOOLSRC=/dev/null", "MTOOLS_SKIP_CHECK=1",
		},
	})
	return err
}

func (m maker) partition(ctx context.Context) error {
	table := fmt.Sprintf(`label: gpt
label-id: %s
first-lba: 34
start=%d, size=%d, type=21686148-6449-6E6F-744E-656564454649, uuid=%s, name="bios"
start=%d, size=%d, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=%s, name="esp"
start=%d, size=%d, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid=%s, name="root"
`, diskID, biosStart, biosSectors, biosID, espStart, espSectors, espID, rootStart, m.rootSectors(), rootID)
	return m.run(ctx, table, "sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--wipe=never", m.raw)
}

func (m maker) rootSectors() int64 { return (m.size/sector - rootStart - tail) / tail * tail }

// features are those of the file system: what GRUB of the same Debian reads, whatever the host's own default is.
const features = "none,dir_index,dir_nlink,ext_attr,extent,extra_isize,filetype,flex_bg,has_journal,huge_file,large_file,metadata_csum,resize_inode,sparse_super,64bit"

func (m maker) root(ctx context.Context) error {
	return m.run(ctx, "", "mke2fs", "-q", "-F", "-t", "ext4", "-L", Label, "-U", ext4ID, "-O", features,
		"-b", "4096", "-I", "256", "-i", "16384", "-m", "1", "-J", "size=64", "-e", "remount-ro",
		"-E", fmt.Sprintf("offset=%d,hash_seed=%s,root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard", int64(rootStart)*sector, hashKey),
		"-d", m.tree, m.raw, strconv.FormatInt(m.rootSectors()*sector/4096, 10))
}

func (m maker) esp(ctx context.Context) error {
	if err := m.run(ctx, "", "mkfs.vfat", "--invariant", "-F", "16", "-i", fatID, "-n", "CINCBAKE", "-s", "4",
		"--offset="+strconv.Itoa(espStart), m.raw, strconv.Itoa(espSectors/2)); err != nil {
		return err
	}
	at := m.raw + "@@" + strconv.Itoa(espStart*sector)
	if err := m.run(ctx, "", "mmd", "-i", at, "::/EFI", "::/EFI/BOOT"); err != nil {
		return err
	}
	return m.run(ctx, "", "mcopy", "-m", "-i", at, filepath.Join(m.tree, Folder, uefiName), "::/EFI/BOOT/BOOTX64.EFI")
}

// Check tells what a tree lacks to be a disk.
func Check(tree string) error {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return err
	}
	defer root.Close()
	var missing []string
	for _, name := range []string{Folder + "/" + mbrName, Folder + "/" + coreName, Folder + "/" + uefiName, configFile} {
		if _, err := root.Stat(name); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, "/"+name)
		} else if err != nil {
			return err
		}
	}
	for _, name := range []string{"vmlinuz", "initrd.img"} { // links to /boot, relative to the root
		if _, err := root.Stat(name); err != nil {
			missing = append(missing, "/"+name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the tree does not boot: it lacks %s: start from a base system with kernel and boot loader", strings.Join(missing, ", "))
	}
	return nil
}
