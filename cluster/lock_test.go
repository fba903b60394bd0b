package cluster

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOfficialPackagesComeFromTheLock: before the lookup no image can be made, and after it the recipe is that of the bytes.
func TestOfficialPackagesComeFromTheLock(t *testing.T) {
	text, err := Example(SelfHosted, OnPrem)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "prod.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func() (*Spec, *Resolved) {
		t.Helper()
		spec, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		resolved, err := spec.Resolve()
		if err != nil {
			t.Fatal(err)
		}
		return spec, resolved
	}
	spec, resolved := load()
	wanted := []Wanted{{PackageCinc, "15.10.91", "debian-13", "amd64"}, {PackageOpenSearch, "1.3.20", "debian-13", "amd64"}}
	if diff := cmp.Diff(wanted, spec.Official()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, role := range []Role{RoleAPI, RoleOpenSearch} {
		if err := resolved.Recipe(role).Complete(); err == nil || !strings.Contains(err.Error(), "cincbake lock") {
			t.Errorf("%s before the lookup: %v", role, err)
		}
	}
	if err := resolved.Recipe(RolePostgres).Complete(); err != nil {
		t.Errorf("postgres has nothing to look up: %v", err)
	}

	lock := Lock{Format: LockFormat, Packages: []Locked{
		{wanted[0], "https://downloads.example.com/cinc.deb", "sha256:" + strings.Repeat("1", 64)},
		{wanted[1], "https://downloads.example.com/opensearch.deb", "sha512:" + strings.Repeat("2", 128)},
	}}
	locked, err := json.Marshal(lock)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSuffix(file, ".yaml") + ".lock.json"; spec.LockPath() != want {
		t.Fatalf("the lock is at %s, want %s", spec.LockPath(), want)
	}
	if err := os.WriteFile(spec.LockPath(), locked, 0o600); err != nil {
		t.Fatal(err)
	}
	_, resolved = load()
	for i, role := range []Role{RoleAPI, RoleOpenSearch} {
		recipe := resolved.Recipe(role)
		if want := (RecipePackage{wanted[i].Version, lock.Packages[i].Digest, lock.Packages[i].URL}); recipe.Package != want || recipe.Complete() != nil {
			t.Errorf("%s: %+v, %v", role, recipe.Package, recipe.Complete())
		}
	}
	// Another version is another row: what was locked for one must not stand for the other.
	if err := os.WriteFile(file, []byte(strings.Replace(text, "15.10.91", "15.10.95", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, resolved = load(); resolved.Recipe(RoleAPI).Complete() == nil {
		t.Error("the lock of 15.10.91 was taken for 15.10.95")
	}
}

// TestRecipeDigestIsOfTheBytes: where a package comes from makes no other image, and what it is does.
func TestRecipeDigestIsOfTheBytes(t *testing.T) {
	of := func(text string) string { return resolve(t, text).Recipe(RoleAPI).Digest() }
	first := of(everything)
	if of(strings.Replace(everything, "downloads.example.com", "mirror.example.com", 1)) != first {
		t.Error("a mirror makes another image")
	}
	if of(strings.Replace(everything, "addresses: [10.20.0.20, ", "addresses: [", 1)) != first || of(strings.Replace(everything, "routerId: 77", "routerId: 78", 1)) != first {
		t.Error("what is in no image makes another one")
	}
	if of(strings.Replace(everything, "sha256: 1", "sha256: 2", 1)) == first || of(strings.Replace(everything, "version: 15.10.91", "version: 15.10.95", 1)) == first {
		t.Error("another package makes no other image")
	}
}

func FuzzDecodeLock(f *testing.F) {
	f.Add([]byte(`{"format": 1, "packages": [{"name": "a", "version": "1", "os": "debian-13", "arch": "amd64", "url": "https://a", "digest": "sha256:00"}]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		lock, err := DecodeLock(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(lock)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeLock(again); err != nil {
			t.Errorf("a lock does not survive: %v", err)
		}
	})
}
