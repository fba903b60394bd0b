package cloudinit_test

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/secrets"
)

var update = flag.Bool("update", false, "rewrite the golden files (and fail, so that a forgotten flag hides nothing)")

func testCluster() *cluster.Resolved {
	return &cluster.Resolved{
		Name:     "prod",
		Platform: cluster.OnPrem,
		Image:    cluster.Image{OS: "debian-13", Arch: "amd64"},
		Network: cluster.Network{
			Prefix:    netip.MustParsePrefix("10.20.0.0/24"),
			Gateway:   netip.MustParseAddr("10.20.0.1"),
			DNS:       []netip.Addr{netip.MustParseAddr("10.20.0.2"), netip.MustParseAddr("10.20.0.3")},
			NTP:       []netip.Addr{netip.MustParseAddr("10.20.0.2")},
			Interface: "eth0",
		},
		Postgres: &cluster.Postgres{Version: 17},
		Access:   cluster.Access{SSH: []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFake ops"}},
		Nodes: []cluster.Node{
			{Name: "postgres-1", Role: cluster.RolePostgres, Slot: 1, Address: netip.MustParseAddr("10.20.0.31"), Disk: "/dev/vdb"},
			{Name: "postgres-2", Role: cluster.RolePostgres, Slot: 2, Address: netip.MustParseAddr("10.20.0.32"), Disk: "/dev/vdb"},
			{Name: "heartbeat-1", Role: cluster.RoleHeartbeat, Slot: 1, Address: netip.MustParseAddr("10.20.0.33")},
		},
	}
}

// fakeSecrets are a node's secrets with markers in place of every value: golden files hold no key and no password.
func fakeSecrets(node cluster.Node) secrets.Scoped {
	scoped := secrets.Scoped{
		Cluster: "prod",
		Node:    node.Name,
		CA:      "FAKE-CA-CERTIFICATE\n",
		Leaf: secrets.KeyPair{
			Certificate: "FAKE-CERTIFICATE-OF-" + node.Name + "\n",
			Key:         secrets.New("FAKE-KEY-OF-" + node.Name + "\n"),
		},
	}
	if node.Role == cluster.RolePostgres {
		scoped.Postgres = &secrets.Postgres{
			Superuser:   secrets.New("FAKE-SUPERUSER-PASSWORD"),
			Replication: secrets.New("FAKE-REPLICATION-PASSWORD"),
			Rewind:      secrets.New("FAKE-REWIND-PASSWORD"),
			Owner:       secrets.New("FAKE-OWNER-PASSWORD"),
			RestAPI:     secrets.New("FAKE-REST-PASSWORD"),
		}
	}
	return scoped
}

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
