package machine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// laidOut returns a machine without a data disk over a small tree, and how to write a seed for it.
func laidOut(t *testing.T) (Machine, func(text string) func(dir string) error) {
	t.Helper()
	m := Machine{Unit: "m", Dir: filepath.Join(t.TempDir(), "m"), Tree: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(m.Tree, "var/lib"), 0o751); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(m.Tree, 0o755); err != nil {
		t.Fatal(err)
	}
	return m, func(text string) func(string) error {
		return func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "user-data"), []byte(text), 0o600))
		}
	}
}

func TestPrepare(t *testing.T) {
	m, seed := laidOut(t)
	if err := m.Prepare(seed("one")); err != nil {
		t.Fatal(err)
	}
	modes := map[string]fs.FileMode{}
	for _, name := range []string{"", "var", "var/lib", "var/lib/cloud/seed", "var/lib/cloud/seed/nocloud", "var/lib/cloud/seed/nocloud/user-data"} {
		info, err := os.Stat(filepath.Join(m.upper(), name))
		if err != nil {
			t.Fatal(err)
		}
		modes[name] = info.Mode().Perm()
	}
	want := map[string]fs.FileMode{
		"": 0o755, "var": 0o751, "var/lib": 0o751, // as in the tree that they hide
		"var/lib/cloud/seed": 0o755, "var/lib/cloud/seed/nocloud": 0o700, "var/lib/cloud/seed/nocloud/user-data": 0o600,
	}
	if diff := cmp.Diff(want, modes); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(m.disk()); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a machine without a data disk got one")
	}

	written := filepath.Join(m.upper(), "etc")
	if err := os.Mkdir(written, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := m.Prepare(seed("one")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(written); err != nil {
		t.Error("preparing again lost what the machine wrote")
	}
	if err := m.Prepare(seed("two")); !errors.Is(err, ErrOtherSeed) {
		t.Errorf("another seed: %v", err)
	}
	if err := m.Prepare(seed("one")); err != nil {
		t.Errorf("after a refused seed: %v", err)
	}
}

func TestPrepareGoesOnAfterAnInterruption(t *testing.T) {
	m, seed := laidOut(t)
	for _, half := range []string{m.seed() + ".partial", m.layer() + ".partial/upper"} {
		if err := os.MkdirAll(half, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Prepare(seed("one")); err != nil {
		t.Error(err)
	}
}

func TestDropSeedAndRenew(t *testing.T) {
	m, seed := laidOut(t)
	m.Disk, m.DiskBytes = "/dev/vdb", 1<<20
	if err := m.Prepare(seed("one")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.disk(), []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.DropSeed(); err != nil {
		t.Fatal(err)
	}
	inLayer := filepath.Join(m.upper(), seedDir, "user-data")
	if _, err := os.Stat(inLayer); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the seed is still there: %v", err)
	}
	if err := m.Renew(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(inLayer); err != nil || string(text) != "one" {
		t.Errorf("the new machine's seed is %q: %v", text, err)
	}
	if info, err := os.Stat(m.disk()); err != nil || info.Size() != 1<<20 {
		t.Errorf("the new machine's disk: %v, %v", info, err)
	}
	if text, err := os.ReadFile(m.disk()); err != nil || text[0] != 0 {
		t.Errorf("the new machine's disk begins with %q: %v", text[:4], err)
	}
	if err := m.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(m.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
}

func TestBuildBesideLeavesNothingHalf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "built")
	failure := errors.New("disk full")
	err := buildBeside(path, 0o700, func(dir string) error {
		return errors.Join(os.WriteFile(filepath.Join(dir, "file"), nil, 0o600), failure)
	})
	if !errors.Is(err, failure) {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
