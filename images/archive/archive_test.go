//go:build unix

package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

var (
	epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	made  = time.Date(2025, 11, 1, 0, 0, 0, 0, time.UTC)
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, root, name, content string) {
	t.Helper()
	full := filepath.Join(root, name)
	must(t, os.MkdirAll(filepath.Dir(full), 0o755))
	must(t, os.WriteFile(full, []byte(content), 0o644))
}

// plant makes a tree with something of everything, and with what must not get into an image.
func plant(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	put(t, root, "usr/lib/python3/a.py", "print()")
	must(t, os.Chtimes(filepath.Join(root, "usr/lib/python3/a.py"), made, made.Add(-48*time.Hour)))
	put(t, root, "etc/hosts", "127.0.0.1 localhost")
	put(t, root, "usr/bin/perl", strings.Repeat("perl", 1<<18))
	must(t, os.Chmod(filepath.Join(root, "usr/bin/perl"), 0o755|os.ModeSetuid))
	must(t, os.Link(filepath.Join(root, "usr/bin/perl"), filepath.Join(root, "usr/bin/perl5")))
	must(t, os.Symlink("/usr/bin", filepath.Join(root, "bin")))
	must(t, os.MkdirAll(filepath.Join(root, "var/lib"), 0o755))
	must(t, os.Mkdir(filepath.Join(root, "var/lib/empty"), 0o700))
	for _, junk := range []string{"run/lock/x", "tmp/x", "var/tmp/x", "var/cache/apt/archives/x.deb", "var/cache/apt/pkgcache.bin", "proc/1/stat", "dev/null"} {
		put(t, root, junk, "junk")
	}
	return root
}

func pack(t *testing.T, root string) []byte {
	t.Helper()
	var file bytes.Buffer
	must(t, Pack(t.Context(), root, &file, Times{Made: made, Epoch: epoch}))
	return file.Bytes()
}

func TestPackIsDeterministic(t *testing.T) {
	root := plant(t)
	first := pack(t, root)
	if !bytes.Equal(first, pack(t, root)) {
		t.Error("packing one tree twice gives two files")
	}
	// The same things made later are still the same file.
	later := time.Now().Add(time.Hour)
	must(t, os.Chtimes(filepath.Join(root, "etc/hosts"), later, later))
	if !bytes.Equal(first, pack(t, root)) {
		t.Error("the time of what the bake made shows")
	}
}

func TestPackedEntries(t *testing.T) {
	plain, err := zstd.NewReader(bytes.NewReader(pack(t, plant(t))))
	must(t, err)
	defer plain.Close()
	var got []string
	for archive := tar.NewReader(plain); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		row := strings.Join([]string{h.Name, h.FileInfo().Mode().String(), h.ModTime.UTC().Format(time.DateOnly)}, " ")
		if h.Linkname != "" {
			row += " → " + h.Linkname
		}
		got = append(got, row)
		if h.Uname != "" || h.Gname != "" {
			t.Errorf("%s names its owner", h.Name)
		}
	}
	want := []string{
		"./ drwxr-xr-x 2025-01-01",
		"./bin Lrwxrwxrwx 2025-01-01 → /usr/bin",
		"./dev/ drwxr-xr-x 2025-01-01",
		"./etc/ drwxr-xr-x 2025-01-01",
		"./etc/hosts -rw-r--r-- 2025-01-01",
		"./proc/ drwxr-xr-x 2025-01-01",
		"./run/ drwxr-xr-x 2025-01-01",
		"./tmp/ drwxr-xr-x 2025-01-01",
		"./usr/ drwxr-xr-x 2025-01-01",
		"./usr/bin/ drwxr-xr-x 2025-01-01",
		"./usr/bin/perl urwxr-xr-x 2025-01-01",
		"./usr/bin/perl5 urwxr-xr-x 2025-01-01 → ./usr/bin/perl",
		"./usr/lib/ drwxr-xr-x 2025-01-01",
		"./usr/lib/python3/ drwxr-xr-x 2025-01-01",
		"./usr/lib/python3/a.py -rw-r--r-- 2025-10-30",
		"./var/ drwxr-xr-x 2025-01-01",
		"./var/cache/ drwxr-xr-x 2025-01-01",
		"./var/cache/apt/ drwxr-xr-x 2025-01-01",
		"./var/cache/apt/archives/ drwxr-xr-x 2025-01-01",
		"./var/lib/ drwxr-xr-x 2025-01-01",
		"./var/lib/empty/ drwx------ 2025-01-01",
		"./var/tmp/ drwxr-xr-x 2025-01-01",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUnpack(t *testing.T) {
	root := plant(t)
	dir := filepath.Join(t.TempDir(), "tree")
	// Whoever packs owns the files, so that anybody may give them the same owner again.
	must(t, Unpack(t.Context(), bytes.NewReader(pack(t, root)), dir))

	info, err := os.Lstat(filepath.Join(dir, "usr/bin/perl"))
	must(t, err)
	if want := 0o755 | fs.ModeSetuid; info.Mode() != want || !info.ModTime().Equal(epoch) {
		t.Errorf("perl has mode %v and time %v, want %v and %v", info.Mode(), info.ModTime(), want, epoch)
	}
	second, err := os.Lstat(filepath.Join(dir, "usr/bin/perl5"))
	must(t, err)
	if !os.SameFile(info, second) {
		t.Error("the hard link became a second file")
	}
	folder, err := os.Lstat(filepath.Join(dir, "usr/bin"))
	must(t, err)
	if !folder.ModTime().Equal(epoch) {
		t.Errorf("a folder's time is %v, want %v", folder.ModTime(), epoch)
	}
	for name, want := range map[string][]string{"": names(t, root, ""), "usr/bin": names(t, root, "usr/bin"), "tmp": nil, "var/cache/apt": {"archives"}, "var/cache/apt/archives": nil} {
		if diff := cmp.Diff(want, names(t, dir, name)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if link, err := os.Lstat(filepath.Join(dir, "bin")); err != nil || !link.ModTime().Equal(epoch) {
		t.Errorf("the link is %v, %v, want it of %s", link, err, epoch) // a disk shows it
	}
	if target, err := os.Readlink(filepath.Join(dir, "bin")); err != nil || target != "/usr/bin" {
		t.Errorf("bin points to %q, %v", target, err)
	}
	if !bytes.Equal(pack(t, dir), pack(t, root)) {
		t.Error("packed again, it is another file")
	}
	if err := Unpack(t.Context(), bytes.NewReader(pack(t, root)), dir); err == nil {
		t.Error("unpacked over a tree that was there")
	}
}

func names(t *testing.T, root, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, dir))
	must(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	slices.Sort(out)
	return out
}

func TestUnpackStaysInside(t *testing.T) {
	tests := []struct {
		name    string
		headers []tar.Header
	}{
		{"a path upwards", []tar.Header{{Name: "../evil", Typeflag: tar.TypeReg}}},
		{"through a link", []tar.Header{
			{Name: "./out", Typeflag: tar.TypeSymlink, Linkname: "../.."},
			{Name: "./out/evil", Typeflag: tar.TypeReg},
		}},
		{"a hard link to the outside", []tar.Header{{Name: "./evil", Typeflag: tar.TypeLink, Linkname: "../secret"}}},
		{"a device", []tar.Header{{Name: "./evil", Typeflag: tar.TypeChar}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			outside := t.TempDir()
			put(t, outside, "secret", "")
			var file bytes.Buffer
			compressed, err := zstd.NewWriter(&file)
			must(t, err)
			w := tar.NewWriter(compressed)
			for _, h := range tt.headers {
				h.Uid, h.Gid, h.Mode = os.Getuid(), os.Getgid(), 0o644
				must(t, w.WriteHeader(&h))
			}
			must(t, errors.Join(w.Close(), compressed.Close()))
			if err := Unpack(t.Context(), &file, filepath.Join(outside, "a/b")); err == nil {
				t.Error("unpacked")
			}
			if diff := cmp.Diff([]string{"a", "secret"}, names(t, outside, "")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPackStops(t *testing.T) {
	root := plant(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	cancel(reason)
	if err := Pack(ctx, root, io.Discard, Times{}); !errors.Is(err, reason) {
		t.Errorf("cancelled: %v", err)
	}
	if err := Pack(t.Context(), root, fullDisk{}, Times{}); !errors.Is(err, errFull) {
		t.Errorf("the disk is full: %v", err)
	}
}

func TestPackLeavesSocketsOut(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root) // a socket's path must be short
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", "socket")
	must(t, err)
	defer listener.Close()
	dir := filepath.Join(t.TempDir(), "tree")
	must(t, Unpack(t.Context(), bytes.NewReader(pack(t, root)), dir))
	if got := names(t, dir, ""); got != nil {
		t.Errorf("unpacked %v", got)
	}
}

var errFull = errors.New("no space left")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestUnpackRefusesDamage(t *testing.T) {
	file := pack(t, plant(t))
	for _, n := range []int{0, 10, len(file) / 2, len(file) - 10} {
		if err := Unpack(t.Context(), bytes.NewReader(file[:n]), filepath.Join(t.TempDir(), "tree")); err == nil {
			t.Errorf("%d of %d bytes were enough", n, len(file))
		}
	}
}
