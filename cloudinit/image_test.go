package cloudinit_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cloudinit"
)

func assertFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what was rendered: %v", path, err)
	}
	assertMode(t, path, 0o600)
	beside, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(beside) != 1 {
		t.Errorf("beside %s lies %v, %v", path, beside, err)
	}
}

func TestWriteISO(t *testing.T) {
	r := testCluster()
	first, second := render(t, r, r.Nodes[0]), render(t, r, r.Nodes[1])
	path := filepath.Join(t.TempDir(), "seeds", "seed.iso")
	write := func(seed cloudinit.Seed) {
		t.Helper()
		if err := cloudinit.WriteISO(seed, path); err != nil {
			t.Fatal(err)
		}
		assertFile(t, path, image(t, seed))
	}
	write(first)
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	before := changed(t, path)
	write(first)
	if after := changed(t, path); !after.Equal(before) {
		t.Errorf("the same image was written again, at %s", after)
	}
	write(second)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	write(second) // others could read it
}

// The image holds each of the seed's files once, as it is in the folder.
func TestISOHoldsTheSeed(t *testing.T) {
	r := selfHosted()
	for _, node := range r.Nodes {
		seed := render(t, r, node)
		got := image(t, seed)
		for name, content := range files(seed) {
			if times := bytes.Count(got, content); times != 1 {
				t.Errorf("%s: the image holds %s %d times", node.Name, name, times)
			}
		}
	}
}

func TestWriteUserData(t *testing.T) {
	r := onAWS(managed())
	u := userData(t, r, r.Nodes[0])
	path := filepath.Join(t.TempDir(), "out", "api.user-data")
	for range 2 {
		if err := u.WriteFile(path); err != nil {
			t.Fatal(err)
		}
		assertFile(t, path, u.Data)
	}
}
