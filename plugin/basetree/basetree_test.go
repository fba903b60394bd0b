package basetree

import (
	stdcmp "cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images/flock"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

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

func TestNewest(t *testing.T) {
	store := Store{Dir: t.TempDir(), Say: t.Logf}
	home := filepath.Join(store.Dir, "debian-13-amd64-0")
	moment := func(age time.Duration) string { return time.Now().UTC().Add(-age).Format(timeForm) }
	const day = 24 * time.Hour
	for name, from := range map[string]string{
		moment(day): `{}`, moment(2 * day): `{"mirror":"http://m"}`, moment(30 * day): `{"snapshot":"20251101T000000Z"}`,
	} {
		put(t, filepath.Join(home, name, "lock"), "")
		put(t, filepath.Join(home, name, originName), from)
	}
	put(t, filepath.Join(home, ".new-1", "tree", "x"), "")
	put(t, filepath.Join(home, moment(3*day), "tree", "x"), "") // of an older release
	put(t, filepath.Join(home, "lock"), "")
	found, unfinished, err := store.basesIn(home, "debian-13")
	must(t, err)
	if len(found) != 3 || len(unfinished) != 2 {
		t.Errorf("found %v, unfinished %v", found, unfinished)
	}
	for name, tt := range map[string]struct {
		want Wanted
		age  time.Duration // of the one that is taken; 0: none is
	}{
		"a young one":                  {Wanted{MaxAge: 7 * day}, day},
		"an old one":                   {Wanted{MaxAge: time.Hour}, 0},
		"an old one, offline":          {Wanted{MaxAge: time.Hour, Site: cluster.Site{Offline: true}}, day},
		"one of the mirror":            {Wanted{MaxAge: 7 * day, Site: cluster.Site{Mirror: "http://m"}}, 2 * day},
		"one of another mirror":        {Wanted{MaxAge: 7 * day, Site: cluster.Site{Mirror: "http://n"}}, 0},
		"any mirror's, offline":        {Wanted{Site: cluster.Site{Mirror: "http://n", Offline: true}}, day},
		"a moment's, however old":      {Wanted{Site: cluster.Site{Snapshot: "20251101T000000Z"}}, 30 * day},
		"another moment's":             {Wanted{Site: cluster.Site{Snapshot: "20251102T000000Z", Offline: true}}, 0},
		"whoever proxies and signs it": {Wanted{MaxAge: 7 * day, Site: cluster.Site{Proxy: "http://p", CACertificates: "x"}}, day},
	} {
		got, ok := newest(found, tt.want)
		if ok != (tt.age > 0) || ok && time.Since(got.made).Round(time.Hour) != tt.age {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestRemoveUnused(t *testing.T) {
	home := t.TempDir()
	for _, name := range []string{"old", "used"} {
		put(t, filepath.Join(home, name, "lock"), "")
	}
	using, err := flock.Shared(t.Context(), filepath.Join(home, "used/lock"))
	must(t, err)
	put(t, filepath.Join(home, ".new-2/tree/etc/hosts"), "") // killed before it had a lock
	must(t, removeUnused([]string{filepath.Join(home, "old"), filepath.Join(home, "used"), filepath.Join(home, ".new-2")}))
	if diff := cmp.Diff([]string{"used"}, names(t, home)); diff != "" {
		t.Error(diff) // what a bake uses stays
	}
	must(t, using.Release())
}

func TestForgotten(t *testing.T) {
	store := Store{Dir: t.TempDir()}
	for name, age := range map[string]time.Duration{"20250101T000000Z": keepUnused + time.Hour, "20250102T000000Z": keepUnused - time.Hour} {
		lock := filepath.Join(store.Dir, "debian-13-amd64-0", name, "lock")
		put(t, lock, "")
		must(t, os.Chtimes(lock, time.Now(), time.Now().Add(-age)))
	}
	want := []string{filepath.Join(store.Dir, "debian-13-amd64-0/20250101T000000Z")}
	if diff := cmp.Diff(want, store.forgotten(time.Now())); diff != "" {
		t.Error(diff)
	}
}

func debian13(t *testing.T) cluster.OS {
	t.Helper()
	system, err := cluster.OSFor("debian-13")
	must(t, err)
	return system
}

func TestCommand(t *testing.T) {
	r := For(debian13(t), "amd64", false)
	want := []string{
		"mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", "--architectures=amd64",
		"--include=ca-certificates,cloud-init,dbus,iproute2,openssh-server,systemd,systemd-sysv",
		`--setup-hook=mkdir -p "$1/etc/apt/apt.conf.d" && cp '/c/site'/apt.conf "$1/etc/apt/apt.conf.d/99zz-cincbake-site"`,
		`--aptopt=Acquire::Languages "none"`, `--aptopt=Acquire::Retries "5"`, `--aptopt=APT::Install-Recommends "false"`,
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright",
		"--dpkgopt=path-exclude=/usr/share/man/*/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		"trixie", "/c/tree",
		"deb https://mirror.example.com/debian trixie main",
		"deb https://mirror.example.com/debian trixie-updates main",
		"deb https://mirror.example.com/debian-security trixie-security main",
	}
	site := cluster.Site{Mirror: "https://mirror.example.com", Proxy: "http://user:secret@proxy"}
	if diff := cmp.Diff(want, r.command("/c/tree", "/c/site", "/c/files", r.sources(site))); diff != "" {
		t.Error(diff) // above all: not the proxy
	}
}

func TestBootingRecipe(t *testing.T) {
	plain, boots := For(debian13(t), "amd64", false), For(debian13(t), "amd64", true)
	if plain.key() == boots.key() || plain.boots() || !boots.boots() {
		t.Error("a base system with a kernel is like one without")
	}
	command := strings.Join(boots.command("/c/tree", "/c/site", "/c/fi les", nil), "\n")
	for _, want := range []string{"linux-image-cloud-amd64", `--essential-hook=cp -R '/c/fi les'/. "$1/"`, `--customize-hook=chroot "$1" grub-mkimage --format=x86_64-efi`} {
		if !strings.Contains(command, want) {
			t.Errorf("the command lacks %s:\n%s", want, command)
		}
	}
}

func TestWriteSite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	must(t, writeSite(dir, cluster.Site{Proxy: "http://user:secret@proxy:3128", CACertificates: "AUTHORITY", Snapshot: "20251101T000000Z"}))
	text, err := os.ReadFile(filepath.Join(dir, "apt.conf"))
	must(t, err)
	want := `Acquire::http::Proxy "http://user:secret@proxy:3128";
Acquire::https::Proxy "http://user:secret@proxy:3128";
Acquire::Check-Valid-Until "false";
Acquire::https::CAInfo "` + dir + `/ca.pem";
`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(filepath.Join(dir, "apt.conf")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read the proxy's password: %v, %v", info, err)
	}
	if bundle, err := os.ReadFile(filepath.Join(dir, "ca.pem")); err != nil || !strings.HasSuffix(string(bundle), "\nAUTHORITY") {
		t.Errorf("the bundle ends wrong: %v", err)
	}
}

func TestOfflineWithoutABase(t *testing.T) {
	store := Store{Dir: t.TempDir(), Say: t.Logf}
	_, err := store.Take(t.Context(), Wanted{Recipe: For(debian13(t), "amd64", false), Site: cluster.Site{Offline: true}})
	if err == nil || !strings.Contains(err.Error(), "there is no base system of debian-13 amd64 in "+store.Dir) {
		t.Errorf("got %v", err)
	}
}

// tarball packs the files of a system and returns the archive with its digest.
func tarball(t *testing.T, suffix string, files map[string]string) (path, digest string) {
	t.Helper()
	tree := t.TempDir()
	for name, content := range files {
		put(t, filepath.Join(tree, name), content)
	}
	path = filepath.Join(t.TempDir(), "base"+suffix)
	out, err := exec.CommandContext(t.Context(), "tar", "--auto-compress", "-C", tree, "-cf", path, ".").CombinedOutput()
	if err != nil {
		t.Skipf("tar cannot write %s here: %v: %s", suffix, err, out)
	}
	content, err := os.ReadFile(path)
	must(t, err)
	return path, fmt.Sprintf("%x", sha256.Sum256(content))
}

func TestTarball(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files their owners: sudo")
	}
	system := map[string]string{
		"usr/lib/os-release": "ID=debian\nVERSION_CODENAME=trixie\n", "var/lib/dpkg/status": "Package: dpkg\nArchitecture: amd64\n",
		"etc/hostname": "somebody", "etc/hosts": "127.0.0.1 localhost",
	}
	with := func(name, content string) map[string]string {
		more := maps.Clone(system)
		more[name] = content
		return more
	}
	for name, tt := range map[string]struct {
		suffix string
		files  map[string]string
		digest string // empty: the right one
		boots  bool
		says   string // empty: it is taken
	}{
		"plain":            {".tar", system, "", false, ""},
		"gzip":             {".tar.gz", system, "", false, ""},
		"xz":               {".tar.xz", system, "", false, ""},
		"zstd":             {".tar.zst", system, "", false, ""},
		"of other bytes":   {".tar", system, strings.Repeat("0", 64), false, "fetch the file again, or correct the option"},
		"of another suite": {".tar", with("usr/lib/os-release", "VERSION_CODENAME=bookworm\n"), "", false, `holds a system of "bookworm", and the cluster's is trixie`},
		"of no system":     {".tar", map[string]string{"a": "b"}, "", false, "holds no Debian system at its top"},
		"of other arches":  {".tar", with("var/lib/dpkg/status", "Package: dpkg\nArchitecture: arm64\n"), "", false, "holds no packages for amd64"},
		"without a kernel": {".tar", system, "", true, "does not boot: it lacks"},
		"of another kind":  {".tar.bz2", system, "", false, "is none of .tar, .tar.gz"},
	} {
		t.Run(name, func(t *testing.T) {
			path, digest := tarball(t, tt.suffix, tt.files)
			store := Store{Dir: filepath.Join(t.TempDir(), "base"), Say: t.Logf}
			want := Wanted{Recipe: FromTarball(debian13(t), "amd64", tt.boots, stdcmp.Or(tt.digest, digest)), Tarball: path, Site: cluster.Site{Offline: true}}
			base, err := store.Take(t.Context(), want)
			if tt.says != "" {
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("got %v, want it to say %q", err, tt.says)
				}
				if left, _ := filepath.Glob(filepath.Join(store.Dir, "*", ".new*")); len(left) > 0 {
					t.Errorf("left %v", left)
				}
				return
			}
			must(t, err)
			defer func() { must(t, base.Leave()) }()
			if diff := cmp.Diff([]string{"hosts"}, names(t, filepath.Join(base.Tree(), "etc"))); diff != "" {
				t.Error(diff)
			}
			if got := base.String(); got != "debian-13, from base"+tt.suffix {
				t.Errorf("it calls itself %s", got)
			}
			again, err := store.Take(t.Context(), want)
			must(t, err)
			if again.Tree() != base.Tree() {
				t.Errorf("the second time it is %s", again.Tree())
			}
			must(t, again.Leave())
		})
	}
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
	for name, want := range map[string]time.Time{"old/packaged.py": packaged, "old": Epoch, "made": Epoch, "link": Epoch, ".": Epoch} {
		info, err := os.Lstat(filepath.Join(tree, name))
		must(t, err)
		if !info.ModTime().Equal(want) {
			t.Errorf("%s has time %s, want %s", name, info.ModTime(), want)
		}
	}
}
