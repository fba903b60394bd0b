package cloudinit_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cloudinit"
)

func assertSeed(t *testing.T, dir string, seed cloudinit.Seed) {
	t.Helper()
	want := files(seed)
	want["vendor-data"] = nil
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(want) {
		t.Errorf("%s holds %v", dir, entries)
	}
	for name, content := range want {
		path := filepath.Join(dir, name)
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s is not what was rendered: %v", path, err)
		}
		assertMode(t, path, 0o600)
	}
	assertMode(t, dir, 0o700)
	beside, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(beside) != 1 {
		t.Errorf("beside %s lies %v, %v", dir, beside, err)
	}
}

func assertMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s is %04o, want %04o", path, got, want)
	}
}

func changed(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

func TestWriteDir(t *testing.T) {
	r := testCluster()
	first, second := render(t, r, r.Nodes[0]), render(t, r, r.Nodes[1])
	dir := filepath.Join(t.TempDir(), "seeds", "postgres-1")
	write := func(seed cloudinit.Seed) {
		t.Helper()
		if err := cloudinit.WriteDir(seed, dir+"/"); err != nil {
			t.Fatal(err)
		}
		assertSeed(t, dir, seed)
	}
	write(first)

	// The same seed again touches nothing.
	path := filepath.Join(dir, "user-data")
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	before := changed(t, path)
	write(first)
	if after := changed(t, path); !after.Equal(before) {
		t.Errorf("user-data was written again, at %s", after)
	}

	write(second) // another seed replaces it
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	write(second) // and so does the same one when others could read it
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(second) // or when half of it is missing
}

func TestWriteDirRefusesWhatIsNoSeed(t *testing.T) {
	r := testCluster()
	seed := render(t, r, r.Nodes[0])
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.tex"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := cloudinit.WriteDir(seed, dir)
	if err == nil || !strings.Contains(err.Error(), "holds thesis.tex, which is no part of a seed: name another folder") {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("a refused folder was changed: %v, %v", entries, err)
	}
	if err := cloudinit.WriteDir(seed, filepath.Join(dir, "thesis.tex")); err == nil {
		t.Error("a file was replaced by a folder")
	}
}

func BenchmarkRenderWriteDir(b *testing.B) {
	r := testCluster()
	dir := filepath.Join(b.TempDir(), "seed")
	for b.Loop() {
		for _, node := range r.Nodes { // each replaces the one before
			if err := cloudinit.WriteDir(render(b, r, node), dir); err != nil {
				b.Fatal(err)
			}
		}
	}
}
