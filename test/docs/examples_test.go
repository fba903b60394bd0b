package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/packer"
)

// TestExamplesAreWhatInitWrites keeps the examples and the command from drifting apart.
func TestExamplesAreWhatInitWrites(t *testing.T) {
	paths, err := filepath.Glob("../../examples/*/cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, topology := range cluster.Topologies() {
		for _, platform := range cluster.PlatformsOf(topology) {
			want, err := cluster.Example(topology, platform)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, fmt.Sprintf("../../examples/%s-%s/cluster.yaml", topology, platform), want)
		}
	}
	for _, path := range paths {
		spec, err := cluster.Load(path)
		if err != nil {
			t.Error(err)
			continue
		}
		r, err := spec.Resolve()
		if err != nil {
			t.Error(err)
			continue
		}
		if r.Platform == cluster.OnPrem {
			compare(t, filepath.Join(filepath.Dir(path), "packer/images.pkr.hcl"), packerTemplate(t, r))
		}
	}
}

func compare(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s (-init +example):\n%s", path, diff)
	}
}

// packerTemplate bakes the roles that a cluster has.
func packerTemplate(t *testing.T, r *cluster.Resolved) string {
	t.Helper()
	var roles []string
	for _, role := range cluster.Roles() {
		if len(r.NodesOf(role)) > 0 {
			roles = append(roles, string(role))
		}
	}
	template, err := packer.Template(roles)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

// TestExamplesAreValid loads every example.
func TestExamplesAreValid(t *testing.T) {
	paths, err := filepath.Glob("../../examples/*/cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatal("there are no examples")
	}
	for _, path := range paths {
		if _, err := cluster.Load(path); err != nil {
			t.Error(err)
		}
	}
}
