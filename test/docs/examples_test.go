package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
		for _, builder := range packer.Builders() {
			if template := filepath.Join(filepath.Dir(path), builder.File()); slices.Contains(buildersOn(r.Platform), builder) {
				compare(t, template, packerTemplate(t, builder, r))
			} else if _, err := os.Stat(template); err == nil {
				t.Errorf("%s is there, and init writes none for platform %s", template, r.Platform)
			}
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

// buildersOn are the builders whose templates init writes.
func buildersOn(platform cluster.Platform) []packer.Builder {
	if platform == cluster.AWS {
		return []packer.Builder{packer.AmazonEBS}
	}
	return []packer.Builder{packer.Rootfs, packer.QEMU}
}

// packerTemplate bakes the roles that a cluster has.
func packerTemplate(t *testing.T, builder packer.Builder, r *cluster.Resolved) string {
	t.Helper()
	var roles []string
	for _, role := range cluster.Roles() {
		if len(r.NodesOf(role)) > 0 {
			roles = append(roles, string(role))
		}
	}
	template, err := builder.Template(roles)
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
