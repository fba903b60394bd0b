package secrets

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/internal/exit"
)

func TestSaveLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	b := testBundle(t)
	if err := b.Save(path); err != nil {
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
	if err := testBundle(t).Save(path); !errors.Is(err, fs.ErrExist) || exit.CodeOf(err) != exit.Unsafe {
		t.Errorf("a second Save: got %v, want fs.ErrExist", err)
	}
	if read(t, path) != before {
		t.Error("a refused Save has changed the file")
	}

	other := testBundle(t)
	if err := other.Replace(path); err != nil {
		t.Fatal(err)
	}
	if loaded, err = Load(path); err != nil || !cmp.Equal(other, loaded) {
		t.Errorf("Replace did not replace: %v", err)
	}
	assertOnly(t, path)
}

func TestLoadRefuses(t *testing.T) {
	b := testBundle(t)
	whole, err := b.encode()
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, changed string) string {
		if !strings.Contains(string(whole), old) {
			t.Fatalf("%q is not in the file", old)
		}
		return strings.Replace(string(whole), old, changed, 1)
	}
	swapped := *b
	swapped.Nodes = map[string]KeyPair{"postgres-1": b.Nodes["postgres-2"]}
	swappedFile, err := swapped.encode()
	if err != nil {
		t.Fatal(err)
	}
	stolen := *b
	stolen.Operator = testBundle(t).Operator
	stolenFile, err := stolen.encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, content string
		mode          fs.FileMode
		want          string
	}{
		{"readable by the group", string(whole), 0o640, " has mode 0640, others may read it: run chmod 600 "},
		{"readable by all", string(whole), 0o604, " has mode 0604, others may read it: run chmod 600 "},
		{"a future format", replace(`"format": 1`, `"format": 2`), 0o600, "format 2, but this cincbake reads format 1: use the release that wrote it"},
		{"no format", replace(`"format": 1,`, ``), 0o600, "format 0, but"},
		{"an unknown field", replace(`"format": 1`, `"format": 1, "extra": "`+marker+`"`), 0o600, `unknown field "extra"`},
		{"a wrong type", replace(`"superuser": "`+b.Postgres.Superuser.Reveal()+`"`, `"superuser": 12345678`), 0o600, `wrong type of value at "postgres.superuser"`},
		{"half a file", string(whole[:len(whole)/2]), 0o600, "not JSON"},
		{"two objects", string(whole) + "{}", 0o600, "not JSON"},
		{"a lost password", replace(b.Postgres.Owner.Reveal(), ""), 0o600, "a password is missing"},
		{"another node's certificate", string(swappedFile), 0o600, "node postgres-1: certificate speaks for cincbake://prod/node/postgres-2, expected cincbake://prod/node/postgres-1"},
		{"another CA's certificate", string(stolenFile), 0o600, "operator: certificate is not from this bundle's CA"},
		{"a damaged key", replace(planted(b)["postgres-1"][0], "AAAA"), 0o600, "node postgres-1: tls: "},
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
			for owner, values := range planted(b) {
				for _, value := range append(values, "12345678", marker) {
					if strings.Contains(err.Error(), value) {
						t.Errorf("the error holds a secret of %s: %v", owner, err)
					}
				}
			}
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
	if err := testBundle(t).Replace(path); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if err := testBundle(t).Save(path); err == nil {
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
