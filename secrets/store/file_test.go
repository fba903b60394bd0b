package store

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/secrets"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const marker = "FAKE-MARKER-7f3a"

func testCluster() *cluster.Resolved {
	return &cluster.Resolved{
		Name: "prod",
		Nodes: []cluster.Node{
			{Name: "postgres-1", Role: cluster.RolePostgres, Slot: 1, Address: netip.MustParseAddr("10.20.0.31")},
			{Name: "postgres-2", Role: cluster.RolePostgres, Slot: 2, Address: netip.MustParseAddr("10.20.0.32")},
			{Name: "heartbeat-1", Role: cluster.RoleHeartbeat, Slot: 1, Address: netip.MustParseAddr("10.20.0.33")},
		},
	}
}

func testBundle(t *testing.T) *secrets.Bundle {
	t.Helper()
	b, err := secrets.Generate(testCluster(), now)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// planted returns what must not be seen in an error: a line of every key, and the passwords.
func planted(b *secrets.Bundle) map[string]string {
	found := map[string]string{}
	for _, item := range b.Items() {
		value := item.Value.Reveal()
		if item.Kind == secrets.KindKey {
			value = strings.Split(value, "\n")[1]
		}
		if item.Kind != secrets.KindCertificate {
			found[item.Name] = value
		}
	}
	return found
}

func TestSaveLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	b := testBundle(t)
	if err := Save(b, path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("mode is %04o, want 0600", mode)
	}
	loaded, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, loaded); diff != "" {
		t.Errorf("(-saved +loaded):\n%s", diff)
	}
	if err := loaded.Check(testCluster(), now); err != nil {
		t.Error(err)
	}

	before := read(t, path)
	if err := Save(testBundle(t), path); !errors.Is(err, fs.ErrExist) || exit.CodeOf(err) != exit.Unsafe {
		t.Errorf("a second Save: got %v, want fs.ErrExist", err)
	}
	if read(t, path) != before {
		t.Error("a refused Save has changed the file")
	}

	other := testBundle(t)
	if err := Replace(other, path); err != nil {
		t.Fatal(err)
	}
	if loaded, err = Load(path); err != nil || !cmp.Equal(other, loaded) {
		t.Errorf("Replace did not replace: %v", err)
	}
	assertOnly(t, path)
}

func TestLoadRefuses(t *testing.T) {
	b := testBundle(t)
	encoded, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	whole := string(encoded)
	replace := func(old, changed string) string {
		if !strings.Contains(whole, old) {
			t.Fatalf("%q is not in the file", old)
		}
		return strings.Replace(whole, old, changed, 1)
	}
	for _, test := range []struct {
		name, content string
		mode          fs.FileMode
		want          string
	}{
		{"readable by the group", whole, 0o640, " has mode 0640, others may read it: run chmod 600 "},
		{"readable by all", whole, 0o604, " has mode 0604, others may read it: run chmod 600 "},
		{"a future format", replace(`"format": 1`, `"format": 3`), 0o600, "format 3, but this cincbake reads format 1 and 2: use the release that wrote it"},
		{"an unknown field", replace(`"format": 1`, `"format": 1, "extra": "`+marker+`"`), 0o600, `unknown field "extra"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secrets.json")
			if err := os.WriteFile(path, []byte(test.content), test.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, test.mode); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			code := exit.Invalid
			if test.mode != 0o600 {
				code = exit.Missing
			}
			if errors.Is(err, ErrReadable) != (test.mode != 0o600) {
				t.Errorf("ErrReadable does not say what the mode is: %v", err)
			}
			if got := exit.CodeOf(err); got != code {
				t.Errorf("exit code %d, want %d", got, code)
			}
			assertQuiet(t, b, err)
		})
	}
}

func TestLoadNothing(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "secrets.json"))
	if !errors.Is(err, fs.ErrNotExist) || exit.CodeOf(err) != exit.Missing || !strings.Contains(err.Error(), "run cincbake secrets init") {
		t.Errorf("got %v", err)
	}
}

// A write that fails leaves nothing behind, neither a file nor a part of one.
func TestSaveLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "secrets.json")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Replace(testBundle(t), path); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if err := Save(testBundle(t), path); err == nil {
		t.Error("a folder was replaced by a file")
	}
	assertOnly(t, path)
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func assertOnly(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("beside %s lies %v", path, entries)
	}
}

func assertQuiet(t *testing.T, b *secrets.Bundle, err error) {
	t.Helper()
	for name, value := range planted(b) {
		if strings.Contains(err.Error(), value) {
			t.Errorf("the error holds %s: %v", name, err)
		}
	}
	if strings.Contains(err.Error(), marker) {
		t.Errorf("the error holds a value: %v", err)
	}
}
