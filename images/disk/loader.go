//go:build unix

package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Label is the root file system's, by which boot loader and kernel find it.
const Label = "cincbake-root"

// Folder is where the boot loader's images lie in a tree.
const Folder = "usr/lib/cincbake/boot"

const (
	mbrName    = "boot.img"    // the first sector of the disk
	coreName   = "core.img"    // what it loads
	uefiName   = "bootx64.efi" // what UEFI loads
	earlyName  = "early.cfg"   // how both find the root file system
	configFile = "boot/grub/grub.cfg"
)

// Packages are what a tree must hold, beside a system, to be a disk. The kernel is the one for virtual machines: KVM, and
// the clouds' own.
func Packages() []string {
	return []string{
		"cloud-guest-utils", "fdisk", // a larger disk's root file system grows at the first boot
		"grub-efi-amd64-bin", "grub-pc-bin", "initramfs-tools", "linux-image-cloud-amd64", "zstd",
	}
}

// Files are the files that such a tree has before its packages are installed, and what is in them.
func Files() map[string]string {
	return map[string]string{
		"etc/fstab": "LABEL=" + Label + " / ext4 errors=remount-ro 0 1\n",
		// Without it, the disk would hold what the host that bakes has as its swap.
		"etc/initramfs-tools/conf.d/cincbake": "RESUME=none\n",
		Folder + "/" + earlyName: "search --no-floppy --set=root --label " + Label + "\n" +
			"set prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n",
		// One kernel, always by the same names, which its package keeps: nothing to choose, nothing to wait for. The agent's
		// messages go to the serial line, which is what is left to look at when a machine has no network. Network interfaces
		// keep the kernel's names, so that a spec can name eth0 whatever the hypervisor's idea of a bus is.
		configFile: `set timeout=0
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
linux /vmlinuz root=LABEL=` + Label + ` ro console=tty0 console=ttyS0,115200 net.ifnames=0 quiet
initrd /initrd.img
boot
`,
	}
}

// modules are those of GRUB that find a labelled ext4 file system and start Linux from it.
func modules(more ...string) []string {
	return append([]string{"part_gpt", "ext2", "search", "search_label", "configfile", "normal", "linux", "boot", "serial", "terminal", "minicmd", "gzio"}, more...)
}

// Loaders are the commands that make the boot loader's images, to be run in the tree once its packages are installed.
func Loaders() [][]string {
	image := func(name, format, prefix string, more ...string) []string {
		return append([]string{
			"grub-mkimage", "--format=" + format, "--prefix=" + prefix, "--config=/" + Folder + "/" + earlyName, "--output=/" + Folder + "/" + name,
		}, modules(more...)...)
	}
	return [][]string{
		{"cp", "/usr/lib/grub/i386-pc/boot.img", "/" + Folder + "/" + mbrName},
		image(coreName, "i386-pc", "/boot/grub", "biosdisk"),
		image(uefiName, "x86_64-efi", "/EFI/BOOT", "fat", "efi_gop"),
	}
}

// Places in GRUB's images, from its boot/i386/pc sources: they are what grub-install patches, and have not moved in twenty
// years.
const (
	bootCodeEnd  = 0x1B8 // what follows is the partition table's
	bootCoreAt   = 0x5C  // where boot.img keeps the sector of core.img, 8 bytes
	bootDriveJmp = 0x66  // a jump that trusts the BIOS's drive number; two NOPs instead check it
	coreListAt   = 0x1F4 // where core.img's first sector keeps the first sector of the rest: 8 bytes, then 2 of its length
)

// bios writes boot.img and core.img to their places, and tells each where the next part is.
func (m maker) bios(context.Context) (err error) {
	boot, err := os.ReadFile(filepath.Join(m.tree, Folder, mbrName))
	if err != nil {
		return err
	}
	core, err := os.ReadFile(filepath.Join(m.tree, Folder, coreName))
	if err != nil {
		return err
	}
	if err := locate(boot, core); err != nil {
		return err
	}
	disk, err := os.OpenFile(m.raw, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = disk.WriteAt(boot[:bootCodeEnd], 0)
	if err == nil {
		_, err = disk.WriteAt(core, biosStart*sector)
	}
	return errors.Join(err, disk.Close())
}

// locate tells boot.img where core.img is, and core.img where its rest is.
func locate(boot, core []byte) error {
	if len(boot) != sector || !bytes.Equal(boot[sector-2:], []byte{0x55, 0xAA}) {
		return fmt.Errorf("%s is no boot sector", mbrName)
	}
	if len(core) < 2*sector || len(core) > biosSectors*sector {
		return fmt.Errorf("%s has %d bytes: its partition holds %d", coreName, len(core), biosSectors*sector)
	}
	rest := (len(core) - 1) / sector // sectors behind the first
	if got := binary.LittleEndian.Uint16(core[coreListAt+8:]); int(got) != rest {
		return fmt.Errorf("%s says that it has %d sectors, and has %d: this GRUB is not the one that is known", coreName, got, rest)
	}
	binary.LittleEndian.PutUint64(boot[bootCoreAt:], biosStart)
	boot[bootDriveJmp], boot[bootDriveJmp+1] = 0x90, 0x90
	binary.LittleEndian.PutUint64(core[coreListAt:], biosStart+1)
	return nil
}
