//go:build integration && linux

package archive

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cincbake/cincbake/images"
)

// What only root can make must come back too: the content digest counts it all.
func TestEverythingComesBack(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CINCBAKE_REQUIRE") == "1" {
			t.Fatal("needs root")
		}
		t.Skip("needs root: run it with sudo")
	}
	root := plant(t)
	for name, owner := range map[string]int{"etc/hosts": 432, "usr/bin/perl": 379, "var/lib/empty": 65534} {
		must(t, os.Chown(filepath.Join(root, name), owner, owner+1))
	}
	must(t, os.Lchown(filepath.Join(root, "bin"), 432, 0))
	must(t, os.Chmod(filepath.Join(root, "usr/bin/perl"), 0o755|os.ModeSetuid|os.ModeSetgid)) // a new owner took them away
	must(t, os.Chmod(filepath.Join(root, "var/lib/empty"), 0o1777|os.ModeSticky))
	capability := []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // cap_net_bind_service=ep
	must(t, unix.Setxattr(filepath.Join(root, "usr/bin/perl"), "security.capability", capability, 0))
	must(t, unix.Setxattr(filepath.Join(root, "var/lib"), "user.note", []byte("a\x00b"), 0))

	before, err := images.Manifest(root)
	must(t, err)
	dir := filepath.Join(t.TempDir(), "tree")
	must(t, Unpack(t.Context(), bytes.NewReader(pack(t, root)), dir))
	after, err := images.Manifest(dir)
	must(t, err)
	for _, difference := range images.Diff(before, after) {
		t.Error(difference)
	}
}
