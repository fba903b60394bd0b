//go:build integration && linux

package disk

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var moment = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func needs(t *testing.T) {
	t.Helper()
	missing := []string{}
	for _, tool := range append(Tools(), Tool{"debugfs", "e2fsprogs"}) {
		if _, err := exec.LookPath(tool.Program); err != nil {
			missing = append(missing, tool.Package)
		}
	}
	switch {
	case os.Geteuid() != 0:
		missing = append(missing, "(and root)")
	case len(missing) == 0:
		return
	}
	says := "apt-get install " + strings.Join(missing, " ")
	if os.Getenv("CINCBAKE_REQUIRE") == "1" {
		t.Fatal(says)
	}
	t.Skip(says)
}

func output(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", argv, err, out)
	}
	return string(out)
}

// settled gives everything in the tree one time, as unpacking an image does.
func settled(t *testing.T, tree string) string {
	t.Helper()
	output(t, "find", tree, "-exec", "touch", "--no-dereference", "--date="+moment.Format(time.RFC3339), "{}", "+")
	return tree
}

func TestMake(t *testing.T) {
	needs(t)
	var sums []string
	var image string
	for range 2 {
		tree := plant(t)
		thing := filepath.Join(tree, "thing")
		must(t, os.WriteFile(thing, bytes.Repeat([]byte("thing"), 100000), 0o644))
		must(t, os.Chown(thing, 432, 433))
		must(t, os.Chmod(thing, 0o755|os.ModeSetuid))
		capability := []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		must(t, unix.Setxattr(thing, "security.capability", capability, 0))
		must(t, os.Link(thing, filepath.Join(tree, "same")))

		image = filepath.Join(t.TempDir(), "disk.qcow2")
		scratch := t.TempDir()
		must(t, Disk{Tree: settled(t, tree), Size: 1 << 30, Time: moment, Scratch: scratch}.Make(t.Context(), image))
		content, err := os.ReadFile(image)
		must(t, err)
		sums = append(sums, fmt.Sprintf("%x", sha256.Sum256(content)))
		if left, _ := os.ReadDir(scratch); len(left) > 0 {
			t.Errorf("it left %v", left)
		}
		time.Sleep(1100 * time.Millisecond) // the second disk is made at another second
	}
	if sums[0] != sums[1] {
		t.Errorf("two disks of one tree differ: %v", sums)
	}

	raw := filepath.Join(t.TempDir(), "raw")
	output(t, "qemu-img", "convert", "-O", "raw", image, raw)
	if table := output(t, "sfdisk", "--verify", raw); !strings.Contains(table, "No errors detected") {
		t.Errorf("the partition table: %s", table)
	}
	for _, want := range []string{"BIOS boot", "EFI System", "Linux root (x86-64)", diskID} {
		if table := output(t, "sfdisk", "--list", raw); !strings.Contains(table, want) {
			t.Errorf("the table lacks %s:\n%s", want, table)
		}
	}
	root := filepath.Join(t.TempDir(), "root")
	output(t, "dd", "if="+raw, "of="+root, "bs=1M", fmt.Sprintf("skip=%d", rootStart*sector>>20), "conv=sparse", "status=none")
	output(t, "e2fsck", "-fn", root) // also checks every checksum
	for _, row := range []struct{ ask, want string }{
		{"stat /thing", "User:   432   Group:   433"},
		{"stat /thing", "Mode:  04755"},
		{"stat /thing", "Links: 2"},
		{"stat /vmlinuz", `Fast link dest: "boot/vmlinuz-6"`},
		{"stat /thing", "ctime: 0x677485"},
		{"stat /thing", "crtime: 0x677485"},
		{"ea_list /thing", "security.capability (20)"},
		{"show_super_stats -h", "Filesystem volume name:   " + Label},
		{"show_super_stats -h", "resize_inode"},
	} {
		if got := output(t, "debugfs", "-R", row.ask, root); !strings.Contains(got, row.want) {
			t.Errorf("%s lacks %q:\n%s", row.ask, row.want, got)
		}
	}
	if esp := output(t, "mdir", "-/", "-b", "-i", raw+"@@"+fmt.Sprint(espStart*sector)); !strings.Contains(esp, "::/EFI/BOOT/BOOTX64.EFI") {
		t.Errorf("the EFI system partition holds %s", esp)
	}
	content, err := os.ReadFile(raw)
	must(t, err)
	boot, core := loader(3)
	must(t, locate(boot, core))
	if !bytes.Equal(content[:bootCodeEnd], boot[:bootCodeEnd]) || !bytes.Equal(content[biosStart*sector:][:len(core)], core) {
		t.Error("the boot loader is not where BIOS looks for it")
	}
}

func TestMakeFails(t *testing.T) {
	needs(t)
	scratch, image := t.TempDir(), filepath.Join(t.TempDir(), "disk.qcow2")
	tree := plant(t)
	must(t, os.WriteFile(filepath.Join(tree, "large"), bytes.Repeat([]byte("x"), 100<<20), 0o644))
	err := Disk{Tree: tree, Size: 128 << 20, Time: moment, Scratch: scratch}.Make(t.Context(), image)
	if err == nil || !strings.Contains(err.Error(), "make its root file system") {
		t.Errorf("a disk that is too small: %v", err)
	}
	if left, _ := os.ReadDir(scratch); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}
