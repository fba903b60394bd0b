//go:build unix

package aptcache

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/images"
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

// contents are the files in a folder and what is in them.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	found := map[string]string{}
	for _, e := range entries {
		if e.Type().IsRegular() && e.Name() != ".lock" {
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			must(t, err)
			found[e.Name()] = string(text)
		}
	}
	return found
}

func TestWhatABakeFetchesIsThereForTheNext(t *testing.T) {
	cache, upper, layer, base := Cache{filepath.Join(t.TempDir(), "apt")}, t.TempDir(), t.TempDir(), t.TempDir()
	must(t, cache.Layer(t.Context(), t.TempDir(), base)) // a first bake: there is nothing
	must(t, cache.Keep(t.Context(), upper, true))        // which fetched nothing

	put(t, filepath.Join(upper, archives, "a_1_all.deb"), "a")
	put(t, filepath.Join(upper, archives, "lock"), "")
	put(t, filepath.Join(upper, archives, "partial/b_2_all.deb"), "half")
	put(t, filepath.Join(upper, lists, "m_InRelease"), "signed")
	must(t, cache.Keep(t.Context(), upper, false))
	if diff := cmp.Diff(map[string]string{"a_1_all.deb": "a"}, contents(t, cache.Dir)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{}, contents(t, cache.lists())); diff != "" {
		t.Errorf("lists of a command that failed: %s", diff)
	}
	must(t, cache.Keep(t.Context(), upper, true))
	must(t, cache.Keep(t.Context(), upper, true)) // there they are already
	put(t, filepath.Join(upper, lists, "other"), "")
	must(t, os.Remove(filepath.Join(upper, lists, "m_InRelease")))
	put(t, filepath.Join(upper, lists, "m_InRelease"), "signed again")
	must(t, cache.Keep(t.Context(), upper, true))

	must(t, os.MkdirAll(filepath.Join(base, lists), 0o750))
	must(t, os.Chmod(filepath.Join(base, "var/lib"), 0o711))
	settled := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	must(t, os.Chtimes(filepath.Join(base, "var"), settled, settled))
	must(t, cache.Layer(t.Context(), layer, base))
	if diff := cmp.Diff(map[string]string{"a_1_all.deb": "a"}, contents(t, filepath.Join(layer, archives))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"m_InRelease": "signed again", "other": ""}, contents(t, filepath.Join(layer, lists))); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]os.FileMode{"var/lib": 0o711, lists: 0o750} {
		if info, err := os.Stat(filepath.Join(layer, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s is %v, %v, and in the base it is %v", name, info.Mode(), err, want)
		}
	}
	if info, err := os.Stat(filepath.Join(layer, "var")); err != nil || !info.ModTime().Equal(settled) {
		t.Errorf("var is of %v, %v", info.ModTime(), err) // it would show in the image
	}
}

func TestKeepStaysInside(t *testing.T) {
	outside := t.TempDir()
	put(t, filepath.Join(outside, "secret"), "secret")
	for name, plant := range map[string]func(upper string) error{
		"a link as the folder": func(upper string) error {
			return os.Symlink(outside, filepath.Join(upper, archives))
		},
		"a link on the way": func(upper string) error {
			must(t, os.Remove(filepath.Join(upper, "var/cache/apt")))
			must(t, os.Mkdir(filepath.Join(outside, "archives"), 0o755))
			put(t, filepath.Join(outside, "archives/secret.deb"), "secret")
			return os.Symlink(outside, filepath.Join(upper, "var/cache/apt"))
		},
		"a link as a package": func(upper string) error {
			must(t, os.Mkdir(filepath.Join(upper, archives), 0o755))
			return os.Symlink(filepath.Join(outside, "secret"), filepath.Join(upper, archives, "evil.deb"))
		},
		"a file as the folder": func(upper string) error { return os.WriteFile(filepath.Join(upper, archives), nil, 0o600) },
	} {
		cache, upper := Cache{filepath.Join(t.TempDir(), "apt")}, t.TempDir()
		must(t, os.MkdirAll(filepath.Join(upper, filepath.Dir(archives)), 0o755))
		must(t, plant(upper))
		err := cache.Keep(t.Context(), upper, true)
		if (err != nil) != (name == "a link on the way") {
			t.Errorf("%s: %v", name, err)
		}
		if got := contents(t, cache.Dir); len(got) > 0 {
			t.Errorf("%s: kept %v", name, got)
		}
	}
}

func TestMissing(t *testing.T) {
	cache := Cache{t.TempDir()}
	// These names are apt's own.
	for _, name := range []string{
		"deb.debian.org_debian_dists_trixie_InRelease", "127.0.0.1:8080_my%5fmirror_debian_dists_trixie-updates_InRelease",
		"_srv_mirror_debian_dists_trixie_InRelease",
	} {
		put(t, filepath.Join(cache.lists(), name), "")
	}
	got := cache.Missing([][2]string{
		{"http://deb.debian.org/debian", "trixie"},
		{"https://127.0.0.1:8080/my_mirror/debian/", "trixie-updates"},
		{"file:/srv/mirror/debian", "trixie"},
		{"http://deb.debian.org/debian", "trixie-updates"},
	})
	if diff := cmp.Diff([]string{"http://deb.debian.org/debian trixie-updates"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestUsed(t *testing.T) {
	cache, now := Cache{t.TempDir()}, time.Now()
	must(t, os.Mkdir(cache.lists(), 0o755))
	old := now.Add(-KeepUnused - time.Hour)
	for _, name := range []string{"gone_1_all.deb", "used_1%3a2-3_amd64.deb", "lists/m_InRelease"} {
		put(t, filepath.Join(cache.Dir, name), "")
		must(t, os.Chtimes(filepath.Join(cache.Dir, name), old, old))
	}
	put(t, filepath.Join(cache.Dir, "young_1_all.deb"), "")
	must(t, cache.Used(t.Context(), []images.Package{{Name: "used", Version: "1:2-3", Arch: "amd64"}, {Name: "none", Version: "1", Arch: "all"}}, now))
	if diff := cmp.Diff(map[string]string{"used_1%3a2-3_amd64.deb": "", "young_1_all.deb": ""}, contents(t, cache.Dir)); diff != "" {
		t.Error(diff)
	}
	if got := contents(t, cache.lists()); len(got) != 1 {
		t.Errorf("the lists are %v", got)
	}
}
