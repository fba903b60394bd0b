package cloudinit_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
)

var update = flag.Bool("update", false, "rewrite the golden files (and fail, so that a forgotten flag hides nothing)")

func render(tb testing.TB, r *cluster.Resolved, node cluster.Node) cloudinit.Seed {
	tb.Helper()
	seed, err := cloudinit.Render(r, node, fakeSecrets(node))
	if err != nil {
		tb.Fatal(err)
	}
	return seed
}

func files(seed cloudinit.Seed) map[string][]byte {
	return map[string][]byte{"meta-data": seed.MetaData, "user-data": seed.UserData, "network-config": seed.NetworkConfig}
}

func image(tb testing.TB, seed cloudinit.Seed) []byte {
	tb.Helper()
	image, err := seed.ISO()
	if err != nil {
		tb.Fatal(err)
	}
	return image
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	path = filepath.Join("testdata", "golden", path)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Errorf("%s rewritten: look at the difference, then run again without -update", path)
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run go test with -update", err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s (-want +got):\n%s", path, cmp.Diff(string(want), string(got)))
	}
}

// written returns what cloud-init would write from the user-data, by path.
func written(tb testing.TB, userData []byte) map[string]string {
	tb.Helper()
	var config struct {
		WriteFiles []struct{ Path, Content, Permissions, Owner string } `yaml:"write_files"`
	}
	if err := yaml.Unmarshal(userData, &config); err != nil {
		tb.Fatal(err)
	}
	found := map[string]string{}
	for _, file := range config.WriteFiles {
		if file.Permissions != "0600" || file.Owner != "root:root" {
			tb.Errorf("%s is %s's, %s", file.Path, file.Owner, file.Permissions)
		}
		found[file.Path] = file.Content
	}
	return found
}
