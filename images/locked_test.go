package images

import (
	"strings"
	"testing"

	"github.com/cincbake/cincbake/cluster"
)

func TestCompareLock(t *testing.T) {
	recipe := cluster.Recipe{Format: cluster.RecipeFormat, Role: cluster.RoleLB, Platform: cluster.OnPrem, OS: "debian-13", Arch: "amd64"}
	lock := cluster.LockedImage{Role: cluster.RoleLB, RecipeDigest: recipe.Digest(), Packages: []cluster.LockedPackage{
		{Name: "haproxy", Version: "3.0.11-1", Arch: "amd64"}, {Name: "keepalived", Version: "1:2.3.3-1", Arch: "amd64"},
	}}
	installed := func(pairs ...string) (list []Package) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, Package{Name: pairs[i], Version: pairs[i+1], Arch: "amd64"})
		}
		return list
	}
	other := recipe
	other.Role = cluster.RoleHeartbeat
	for _, test := range []struct {
		name      string
		recipe    cluster.Recipe
		installed []Package
		says      []string // nothing: it is what was locked
	}{
		{"the same, in another order", recipe, installed("keepalived", "1:2.3.3-1", "haproxy", "3.0.11-1"), nil},
		{"another version", recipe, installed("haproxy", "3.0.12-1", "keepalived", "1:2.3.3-1"), []string{"haproxy is locked at 3.0.11-1, and 3.0.12-1 is installed"}},
		{"one missing, one more", recipe, installed("haproxy", "3.0.11-1", "less", "668-1"), []string{"keepalived 1:2.3.3-1 is locked, and not installed", "less 668-1 is installed, and not locked"}},
		{"another recipe", other, installed("haproxy", "3.0.11-1", "keepalived", "1:2.3.3-1"), []string{"another recipe"}},
	} {
		err := CompareLock(lock, test.recipe, test.installed)
		if (err == nil) != (test.says == nil) {
			t.Errorf("%s: %v", test.name, err)
		}
		for _, says := range test.says {
			if err != nil && !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v does not say %q", test.name, err, says)
			}
		}
	}
}
