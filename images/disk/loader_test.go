//go:build unix

package disk

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// loader returns images like GRUB's, with core.img in so many sectors.
func loader(sectors int) (boot, core []byte) {
	boot, core = make([]byte, sector), make([]byte, sectors*sector)
	for i := range boot {
		boot[i] = 0xB0
	}
	boot[sector-2], boot[sector-1] = 0x55, 0xAA
	for i := range core {
		core[i] = 0xC0
	}
	binary.LittleEndian.PutUint16(core[coreListAt+8:], uint16(sectors-1))
	return boot, core
}

func TestLocate(t *testing.T) {
	boot, core := loader(3)
	must(t, locate(boot, core))
	if at := binary.LittleEndian.Uint64(boot[0x5C:]); at != 2048 {
		t.Errorf("boot.img looks for core.img in sector %d", at)
	}
	if at := binary.LittleEndian.Uint64(core[0x1F4:]); at != 2049 {
		t.Errorf("core.img looks for its rest in sector %d", at)
	}
	if boot[0x66] != 0x90 || boot[0x67] != 0x90 {
		t.Error("boot.img trusts the BIOS's drive number")
	}
}

func TestLocateRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(boot, core []byte) ([]byte, []byte)
		says   string
	}{
		"no boot sector":  {func(boot, core []byte) ([]byte, []byte) { boot[511] = 0; return boot, core }, "boot.img is no boot sector"},
		"another length":  {func(boot, core []byte) ([]byte, []byte) { return boot, append(core, core...) }, "core.img says that it has 2 sectors, and has 5"},
		"nothing to load": {func(boot, _ []byte) ([]byte, []byte) { return boot, nil }, "core.img has 0 bytes"},
		"too large":       {func(boot, _ []byte) ([]byte, []byte) { return boot, make([]byte, 2<<20) }, "its partition holds 1048576"},
	} {
		boot, core := tt.change(loader(3))
		if err := locate(boot, core); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want it to say %q", name, err, tt.says)
		}
	}
}

// plant makes a tree that passes for one that boots.
func plant(t *testing.T) string {
	t.Helper()
	tree := t.TempDir()
	boot, core := loader(3)
	files := map[string]string{
		Folder + "/" + mbrName: string(boot), Folder + "/" + coreName: string(core), Folder + "/" + uefiName: strings.Repeat("EFI", 1000),
		"boot/vmlinuz-6": "kernel", "boot/initrd.img-6": "initrd",
	}
	for name, content := range Files() {
		files[name] = content
	}
	for name, content := range files {
		must(t, os.MkdirAll(filepath.Join(tree, filepath.Dir(name)), 0o755))
		must(t, os.WriteFile(filepath.Join(tree, name), []byte(content), 0o644))
	}
	must(t, os.Symlink("boot/vmlinuz-6", filepath.Join(tree, "vmlinuz")))
	must(t, os.Symlink("boot/initrd.img-6", filepath.Join(tree, "initrd.img")))
	return tree
}

func TestCheck(t *testing.T) {
	must(t, Check(plant(t)))
	for _, gone := range []string{Folder + "/core.img", "boot/grub/grub.cfg", "vmlinuz", "boot/initrd.img-6"} {
		tree := plant(t)
		must(t, os.Remove(filepath.Join(tree, gone)))
		if err := Check(tree); err == nil || !strings.Contains(err.Error(), "start from a base system with kernel and boot loader") {
			t.Errorf("without %s: %v", gone, err)
		}
	}
	tree := plant(t)
	must(t, os.Remove(filepath.Join(tree, "vmlinuz")))
	must(t, os.Symlink("/etc/passwd", filepath.Join(tree, "vmlinuz")))
	if err := Check(tree); err == nil || !strings.Contains(err.Error(), "/vmlinuz") {
		t.Errorf("a kernel outside the tree: %v", err)
	}
}

func TestWhatIsSaidFitsTogether(t *testing.T) {
	files := Files()
	for _, name := range []string{"etc/fstab", configFile, Folder + "/" + earlyName} {
		if !strings.Contains(files[name], Label) {
			t.Errorf("%s does not name the root file system", name)
		}
	}
	if len(Label) > 16 {
		t.Errorf("ext4 cuts the label %s off", Label)
	}
	for _, command := range Loaders() {
		if line := strings.Join(command, " "); strings.ContainsAny(line, `'"$`) {
			t.Errorf("a shell would change %s", line)
		}
	}
}
