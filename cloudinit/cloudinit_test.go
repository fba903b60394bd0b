package cloudinit_test

import (
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
)

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
