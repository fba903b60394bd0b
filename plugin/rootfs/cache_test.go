package rootfs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func put(t *testing.T, name, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, []byte(content), 0o600))
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestDropMountPoint(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(t *testing.T, path string)
		want []string
	}{
		"nothing there": {func(*testing.T, string) {}, nil},
		"empty":         {func(t *testing.T, path string) { t.Helper(); put(t, path, "") }, nil},
		"a role's own":  {func(t *testing.T, path string) { t.Helper(); put(t, path, "nameserver ::1") }, []string{"resolv.conf"}},
		"a link":        {func(t *testing.T, path string) { t.Helper(); must(t, os.Symlink("../run/resolv.conf", path)) }, []string{"resolv.conf"}},
	} {
		t.Run(name, func(t *testing.T) {
			tree := t.TempDir()
			must(t, os.Mkdir(filepath.Join(tree, "etc"), 0o755))
			tt.make(t, filepath.Join(tree, "etc/resolv.conf"))
			must(t, dropMountPoint(tree, "etc/resolv.conf"))
			if diff := cmp.Diff(tt.want, names(t, filepath.Join(tree, "etc"))); diff != "" {
				t.Error(diff)
			}
		})
	}
}
