package rootfs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cincbake/cincbake/images/flock"
	"github.com/cincbake/cincbake/step"
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

func TestBasesIn(t *testing.T) {
	home := t.TempDir()
	for _, dir := range []string{"20250102T000000Z", "20251126T010203Z", "20250601T000000Z", ".new-1"} {
		put(t, filepath.Join(home, dir, "lock"), "")
	}
	put(t, filepath.Join(home, "lock"), "")
	found, unfinished, err := basesIn(home)
	must(t, err)
	newest, ok := found.newest()
	if !ok || len(found) != 3 || newest.tree() != filepath.Join(home, "20251126T010203Z/tree") || newest.made.Hour() != 1 {
		t.Errorf("the newest of %v is %v", found, newest)
	}
	if diff := cmp.Diff([]string{filepath.Join(home, ".new-1")}, unfinished); diff != "" {
		t.Error(diff)
	}
	if _, ok := (bases{}).newest(); ok {
		t.Error("there is a newest one of none")
	}

	using, err := flock.Shared(t.Context(), filepath.Join(home, "20250601T000000Z/lock"))
	must(t, err)
	put(t, filepath.Join(home, ".new-2/tree/etc/hosts"), "") // killed before it had a lock
	must(t, removeUnused([]string{filepath.Join(home, "20250102T000000Z"), filepath.Join(home, "20250601T000000Z"), filepath.Join(home, ".new-2")}))
	if diff := cmp.Diff([]string{".new-1", "20250601T000000Z", "20251126T010203Z", "lock"}, names(t, home)); diff != "" {
		t.Error(diff) // what a bake uses stays
	}
	must(t, using.Release())
}

func TestForget(t *testing.T) {
	tree := t.TempDir()
	for _, name := range []string{"hostname", "resolv.conf", "ssh/ssh_host_ed25519_key", "ssh/ssh_host_ed25519_key.pub", "ssh/sshd_config"} {
		put(t, filepath.Join(tree, "etc", name), "x")
	}
	must(t, forget(tree))
	if diff := cmp.Diff([]string{"ssh"}, names(t, filepath.Join(tree, "etc"))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"sshd_config"}, names(t, filepath.Join(tree, "etc/ssh"))); diff != "" {
		t.Error(diff)
	}
}

func TestSettleTimes(t *testing.T) {
	tree := t.TempDir()
	began := time.Now()
	put(t, filepath.Join(tree, "old/packaged.py"), "x")
	packaged := began.Add(-1000 * time.Hour).Truncate(time.Second)
	must(t, os.Chtimes(filepath.Join(tree, "old/packaged.py"), packaged, packaged))
	put(t, filepath.Join(tree, "made"), "x")
	must(t, os.Symlink("/nowhere", filepath.Join(tree, "link")))
	must(t, settleTimes(tree, began))
	for name, want := range map[string]time.Time{"old/packaged.py": packaged, "old": epoch, "made": epoch, "link": epoch, ".": epoch} {
		info, err := os.Lstat(filepath.Join(tree, name))
		must(t, err)
		if !info.ModTime().Equal(want) {
			t.Errorf("%s has time %s, want %s", name, info.ModTime(), want)
		}
	}
}

func TestCopyPackages(t *testing.T) {
	pool, tree := t.TempDir(), t.TempDir()
	must(t, copyPackages(tree, archives, filepath.Join(pool, "none"), ".")) // a first bake
	must(t, copyPackages(tree, archives, pool, "."))
	if len(names(t, tree)) != 0 {
		t.Errorf("made %v for nothing", names(t, tree))
	}
	put(t, filepath.Join(pool, "a_1_all.deb"), "a")
	put(t, filepath.Join(pool, "lock"), "")
	must(t, copyPackages(tree, archives, pool, "."))
	if diff := cmp.Diff([]string{"a_1_all.deb"}, names(t, filepath.Join(tree, archives))); diff != "" {
		t.Error(diff)
	}
	put(t, filepath.Join(tree, archives, "b_2_all.deb"), "b")
	put(t, filepath.Join(tree, archives, "a_1_all.deb"), "fetched again")
	must(t, os.Mkdir(filepath.Join(tree, archives, "partial"), 0o755))
	must(t, copyPackages(pool, ".", tree, archives))
	if diff := cmp.Diff([]string{"a_1_all.deb", "b_2_all.deb", "lock"}, names(t, pool)); diff != "" {
		t.Error(diff)
	}
	if content, err := os.ReadFile(filepath.Join(pool, "a_1_all.deb")); err != nil || string(content) != "fetched again" {
		t.Errorf("the pool keeps %q, %v", content, err)
	}
}

func TestCopyPackagesStaysInside(t *testing.T) {
	pool, tree, outside := t.TempDir(), t.TempDir(), t.TempDir()
	put(t, filepath.Join(pool, "a.deb"), "a")
	put(t, filepath.Join(outside, "secret"), "secret")
	must(t, os.MkdirAll(filepath.Join(tree, filepath.Dir(archives)), 0o755))
	must(t, os.Symlink(outside, filepath.Join(tree, archives)))
	if err := copyPackages(tree, archives, pool, "."); err == nil {
		t.Error("wrote through a link out of the tree")
	}
	must(t, os.Remove(filepath.Join(tree, archives)))
	must(t, os.MkdirAll(filepath.Join(tree, archives), 0o755))
	must(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(tree, archives, "evil.deb")))
	must(t, copyPackages(pool, ".", tree, archives))
	if diff := cmp.Diff([]string{"a.deb"}, names(t, pool)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"secret"}, names(t, outside)); diff != "" {
		t.Error(diff)
	}
}

func TestMountPoints(t *testing.T) {
	const mountinfo = `22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:5 / /proc rw - proc proc rw
40 22 0:50 / /cache/work/postgres-1/root rw,relatime shared:5 - overlay cincbake rw
41 40 0:51 / /cache/work/postgres-1/root/proc rw - proc proc rw
42 22 0:52 / /cache/work/postgres-10/root rw - overlay cincbake rw
43 22 0:53 / /cache/work/postgres-1/a\040b rw - tmpfs tmpfs rw
garbage
`
	want := []string{"/cache/work/postgres-1/root", "/cache/work/postgres-1/root/proc", "/cache/work/postgres-1/a b"}
	if diff := cmp.Diff(want, mountPoints(mountinfo, "/cache/work/postgres-1")); diff != "" {
		t.Error(diff)
	}
}

func TestRun(t *testing.T) {
	var said []string
	say := func(line string) { said = append(said, line) }
	must(t, run(t.Context(), say, []string{"WHAT=that"}, "sh", "-c", `echo one; echo; printf "$WHAT" >&2`))
	if diff := cmp.Diff([]string{"one", "that"}, said); diff != "" {
		t.Error(diff)
	}

	err := run(t.Context(), func(string) {}, nil, "sh", "-c", "for i in $(seq 99); do echo line $i; done; exit 4")
	var exit *step.ExitError
	if !errors.As(err, &exit) || exit.Status != 4 || len(exit.LastRows) != lastRows || exit.LastRows[lastRows-1] != "line 99" {
		t.Errorf("got %v, want status 4 and the last lines", err)
	}
	if err := run(t.Context(), say, nil, "/none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing program: %v", err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := run(ctx, say, nil, "sh", "-c", "sleep 60 & wait"); err == nil {
		t.Error("a stopped program ended well")
	}
	if took := time.Since(began); took > grace/2 {
		t.Errorf("its children held the stop up for %s", took)
	}
}

func TestRunPassesNoOpenFiles(t *testing.T) {
	// As Packer does: a file that a program which we start would inherit.
	read, write, err := os.Pipe()
	must(t, err)
	defer read.Close()
	defer write.Close()
	_, err = unix.FcntlInt(write.Fd(), unix.F_SETFD, 0)
	must(t, err)
	var said []string
	must(t, run(t.Context(), func(line string) { said = append(said, line) }, nil, "sh", "-c", "ls /proc/self/fd"))
	if got := strings.Join(said, " "); got != "0 1 2 3" { // 3 is the folder that ls reads
		t.Errorf("the program has files %s", got)
	}
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
