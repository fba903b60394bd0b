//go:build integration && linux

package images

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// needRoot skips the test without root, unless the whole suite must run.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CINCBAKE_REQUIRE") == "1" {
		t.Fatal("needs root")
	}
	t.Skip("needs root: run it with sudo")
}

func TestDigestCountsWhatOnlyRootMakes(t *testing.T) {
	needRoot(t)
	// cap_net_bind_service=ep as setcap writes it
	capability := []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	tests := []struct {
		name   string
		change func(t *testing.T, root string)
	}{
		{"another owner", func(t *testing.T, root string) { must(t, os.Chown(filepath.Join(root, "etc/passwd"), 432, 0)) }},
		{"another group of a link", func(t *testing.T, root string) { must(t, os.Lchown(filepath.Join(root, "bin"), 0, 432)) }},
		{"a capability", func(t *testing.T, root string) {
			must(t, unix.Setxattr(filepath.Join(root, "usr/bin/true"), "security.capability", capability, 0))
		}},
		{"a user's attribute of a folder", func(t *testing.T, root string) {
			must(t, unix.Setxattr(filepath.Join(root, "etc"), "user.note", []byte("x"), 0))
		}},
		{"a device node", func(t *testing.T, root string) {
			must(t, unix.Mknod(filepath.Join(root, "etc/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := plant(t)
			before := digestOf(t, root)
			tt.change(t, root)
			if digestOf(t, root) == before {
				t.Error("the digest is the same")
			}
		})
	}
}

func TestDigestStaysOnItsMount(t *testing.T) {
	needRoot(t)
	root := plant(t)
	put(t, root, "etc/resolv.conf", "")
	before := digestOf(t, root)
	for _, mount := range []string{"var/cache/apt/archives", "etc/resolv.conf"} { // a folder of this file system, and a single file
		source := filepath.Join(root, "etc/passwd")
		if mount == "var/cache/apt/archives" {
			source = filepath.Join(root, "usr")
		}
		target := filepath.Join(root, mount)
		must(t, unix.Mount(source, target, "", unix.MS_BIND, ""))
		t.Cleanup(func() { must(t, unix.Unmount(target, 0)) })
	}
	if digestOf(t, root) != before {
		t.Error("what is mounted below the tree counts")
	}
	// Seen from a bind mount, the tree is the same.
	elsewhere := t.TempDir()
	must(t, unix.Mount(root, elsewhere, "", unix.MS_BIND, ""))
	t.Cleanup(func() { must(t, unix.Unmount(elsewhere, 0)) })
	if digestOf(t, elsewhere) != before {
		t.Error("the digest depends on the mount that the tree is seen through")
	}
}

func TestDigestSeesThroughAnOverlay(t *testing.T) {
	needRoot(t)
	work := t.TempDir()
	for _, dir := range []string{"upper", "work", "merged"} {
		must(t, os.Mkdir(filepath.Join(work, dir), 0o755))
	}
	lower, merged := plant(t), filepath.Join(work, "merged")
	must(t, os.Chmod(lower, 0o755)) // the merged root has the mode of the upper one
	before := digestOf(t, lower)
	options := strings.Join([]string{"lowerdir=" + lower, "upperdir=" + filepath.Join(work, "upper"), "workdir=" + filepath.Join(work, "work")}, ",")
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		t.Fatalf("mount an overlay: %v", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(merged, 0)) })
	if digestOf(t, merged) != before {
		t.Error("the tree differs from its overlay")
	}
	must(t, os.Chmod(filepath.Join(merged, "etc/passwd"), 0o600))
	must(t, os.Chmod(filepath.Join(merged, "etc/passwd"), 0o644)) // copied up, but the same
	if digestOf(t, merged) != before {
		t.Error("a file that was copied up counts as changed")
	}
	must(t, os.Remove(filepath.Join(merged, "etc/passwd"))) // a whiteout
	if digestOf(t, merged) == before {
		t.Error("a removed file does not count")
	}
}
