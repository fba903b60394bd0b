package docs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/packer"
)

// TestExamplesAreWhatInitWrites keeps the examples and the command from drifting apart.
func TestExamplesAreWhatInitWrites(t *testing.T) {
	spec, err := cluster.Example(cluster.SelfHosted, cluster.OnPrem)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"self-hosted-onprem/cluster.yaml":          spec,
		"self-hosted-onprem/packer/images.pkr.hcl": packer.Template,
		"lab/packer/images.pkr.hcl":                packer.Template,
	} {
		got, err := os.ReadFile(filepath.Join("../../examples", path))
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("examples/%s (-init +example):\n%s", path, diff)
		}
	}
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
