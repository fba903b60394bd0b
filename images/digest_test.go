//go:build linux

package images

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// plant makes a small tree that has something of everything that any user may make.
func plant(tb testing.TB) string {
	tb.Helper()
	root := tb.TempDir()
	for _, dir := range []string{"etc/ssh", "usr/bin", "usr/lib/cincbake", "var/log/postgresql", "var/cache/apt/archives", "var/tmp", "proc"} {
		must(tb, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	put(tb, root, "etc/passwd", "root:x:0:0\n")
	put(tb, root, "usr/bin/true", "#!/bin/sh\n")
	put(tb, root, "usr/bin/odd \"name\"\n", "odd")
	must(tb, os.Symlink("usr/bin", filepath.Join(root, "bin")))
	must(tb, os.Link(filepath.Join(root, "usr/bin/true"), filepath.Join(root, "usr/bin/yes")))
	return root
}

func put(tb testing.TB, root, name, content string) {
	tb.Helper()
	full := filepath.Join(root, name)
	must(tb, os.MkdirAll(filepath.Dir(full), 0o755))
	must(tb, os.WriteFile(full, []byte(content), 0o644))
}

func digestOf(tb testing.TB, root string) string {
	tb.Helper()
	digest, err := Digest(root)
	must(tb, err)
	return digest
}

func TestDigestCounts(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, root string)
		differ string // what Diff says, up to the first colon
	}{
		{"another content of the same length", func(t *testing.T, root string) { put(t, root, "etc/passwd", "root:x:0:1\n") }, "~ /etc/passwd"},
		{"a new file", func(t *testing.T, root string) { put(t, root, "etc/new", "") }, "+ /etc/new"},
		{"a file less", func(t *testing.T, root string) { must(t, os.Remove(filepath.Join(root, "usr/bin/yes"))) }, "- /usr/bin/yes"},
		{"another mode", func(t *testing.T, root string) { must(t, os.Chmod(filepath.Join(root, "usr/bin/true"), 0o755)) }, "~ /usr/bin/true"},
		{"another mode of a folder", func(t *testing.T, root string) { must(t, os.Chmod(filepath.Join(root, "etc"), 0o700)) }, "~ /etc"},
		{"another mode of a log's folder", func(t *testing.T, root string) { must(t, os.Chmod(filepath.Join(root, "var/log/postgresql"), 0o700)) }, "~ /var/log/postgresql"},
		{"a set-uid bit", func(t *testing.T, root string) {
			must(t, os.Chmod(filepath.Join(root, "usr/bin/true"), 0o644|os.ModeSetuid))
		}, "~ /usr/bin/true"},
		{"another target", func(t *testing.T, root string) {
			must(t, os.Remove(filepath.Join(root, "bin")))
			must(t, os.Symlink("usr/lib", filepath.Join(root, "bin")))
		}, "~ /bin"},
		{"a folder in a link's place", func(t *testing.T, root string) {
			must(t, os.Remove(filepath.Join(root, "bin")))
			must(t, os.Mkdir(filepath.Join(root, "bin"), 0o755))
		}, "~ /bin"},
		{"an empty folder", func(t *testing.T, root string) { must(t, os.Mkdir(filepath.Join(root, "etc/empty"), 0o755)) }, "+ /etc/empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := plant(t)
			before, err := Manifest(root)
			must(t, err)
			tt.change(t, root)
			after, err := Manifest(root)
			must(t, err)
			if DigestOf(before) == DigestOf(after) {
				t.Error("the digest is the same")
			}
			differences := Diff(before, after)
			for i, d := range differences {
				differences[i], _, _ = strings.Cut(d, ":")
			}
			// Changing a hard-linked file changes both of its names.
			if tt.differ == "~ /usr/bin/true" {
				differences = slices.DeleteFunc(differences, func(d string) bool { return d == "~ /usr/bin/yes" })
			}
			if diff := cmp.Diff([]string{tt.differ}, differences); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDigestLeavesOut(t *testing.T) {
	for _, e := range exclusions() {
		t.Run(strings.TrimPrefix(e.pattern, "/"), func(t *testing.T) {
			root := plant(t)
			name := strings.ReplaceAll(e.pattern, "*", "ed25519_key")
			if e.reach != whole {
				must(t, os.MkdirAll(filepath.Join(root, name), 0o755))
			}
			must(t, os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755))
			before := digestOf(t, root)

			put(t, root, filepath.Join(name, "file"), "made by the bake")
			if after := digestOf(t, root); after != before {
				t.Errorf("%s below it counts", name)
			}
			if e.reach == whole {
				must(t, os.RemoveAll(filepath.Join(root, name)))
				put(t, root, name, "made by the bake")
				if after := digestOf(t, root); after != before {
					t.Errorf("%s counts", name)
				}
			} else {
				must(t, os.Chmod(filepath.Join(root, name), 0o700))
				if after := digestOf(t, root); after == before {
					t.Errorf("%s itself does not count", name)
				}
			}
			if e.why == "" {
				t.Error("no reason")
			}
		})
	}
}

func TestDigestLeavesOutTimes(t *testing.T) {
	root := plant(t)
	before := digestOf(t, root)
	old := time.Unix(1, 0)
	must(t, filepath.WalkDir(root, func(name string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := os.Stat(name); err != nil || info.Mode()&os.ModeSymlink != 0 {
			return err
		}
		return os.Chtimes(name, old, old)
	}))
	if after := digestOf(t, root); after != before {
		t.Error("times count")
	}
}

func TestDigestIsKnown(t *testing.T) {
	// The lines are the format: whoever changes them changes every digest there is, and must change digestHeader.
	root := t.TempDir()
	put(t, root, "a \"b\"", "content")
	must(t, os.Chmod(root, 0o755))
	must(t, os.Symlink("a b", filepath.Join(root, "link")))
	lines, err := Manifest(root)
	must(t, err)
	for i, line := range lines { // whoever runs the test owns the files
		lines[i] = strings.ReplaceAll(line, ownerOf(t, root), "UID:GID")
	}
	want := []string{
		`"/" dir 0755 UID:GID`,
		`"/a \"b\"" file 0644 UID:GID sha256:ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73`,
		`"/link" link 0777 UID:GID "a b"`,
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}

func ownerOf(t *testing.T, path string) string {
	t.Helper()
	node, err := lookAt(path)
	must(t, err)
	return (item{node: node}).owner()
}

func TestDigestFails(t *testing.T) {
	root := plant(t)
	if _, err := Digest(filepath.Join(root, "none")); err == nil {
		t.Error("a missing root has a digest")
	}
	if _, err := Digest(filepath.Join(root, "etc/passwd")); err == nil {
		t.Error("a file is a root")
	}
}

// BenchmarkDigest reports the speed over a tree like a small image's: many small files and a few large ones.
func BenchmarkDigest(b *testing.B) {
	root := b.TempDir()
	large := strings.Repeat("x", 8<<20)
	for i := range 4000 {
		put(b, root, filepath.Join("usr", string(rune('a'+i%26)), "f"+strings.Repeat("i", i/26)), strings.Repeat("y", i*4))
	}
	for i := range 8 {
		put(b, root, filepath.Join("lib", string(rune('a'+i))), large)
	}
	b.SetBytes(8*8<<20 + 4000*4000*2)
	for b.Loop() {
		digestOf(b, root)
	}
}
