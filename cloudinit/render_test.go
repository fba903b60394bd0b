package cloudinit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gopkg.in/yaml.v3"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cloudinit/schema"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/golden"
	"github.com/cincbake/cincbake/secrets"
)

func TestGoldenSeeds(t *testing.T) {
	missing := cluster.Roles()
	for name, r := range onPremises() {
		for _, node := range oneOfEach(r) {
			missing = slices.DeleteFunc(missing, func(role cluster.Role) bool { return role == node.Role })
			seed := render(t, r, node)
			for file, content := range files(seed) {
				golden.Compare(t, path.Join("testdata/golden", name, node.Name, file), string(content))
			}
			if err := schema.Check(seed); err != nil {
				t.Errorf("%s: cloud-init would not accept it:\n%v", node.Name, err)
			}
			again := render(t, r, node)
			if !cmp.Equal(files(seed), files(again)) || seed.InstanceID != again.InstanceID || !bytes.Equal(image(t, seed), image(t, again)) {
				t.Errorf("%s: rendered twice, two results", node.Name)
			}
		}
	}
	if len(missing) > 0 {
		t.Errorf("no golden seed of roles %v", missing)
	}
}

// What cloud-init writes is what the agent reads, and both files fit each other.
func TestSeedReachesTheAgent(t *testing.T) {
	r := selfHosted()
	for _, node := range r.Nodes {
		seed := render(t, r, node)
		files := written(t, seed.UserData)
		document, err := cloudinit.DecodeDocument([]byte(files[cloudinit.DocumentPath]))
		if err != nil {
			t.Fatal(err)
		}
		want, err := cloudinit.NewDocument(r, node)
		if err != nil {
			t.Fatal(err)
		}
		want.Secrets = secrets.Digest([]byte(files[cloudinit.SecretsPath]))
		if diff := cmp.Diff(want, document, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
			t.Errorf("document (-want +got):\n%s", diff)
		}
		if document.InstanceID() != seed.InstanceID {
			t.Errorf("the agent makes instance id %s of its document, cloud-init has %s", document.InstanceID(), seed.InstanceID)
		}
		scoped, err := secrets.DecodeScoped([]byte(files[cloudinit.SecretsPath]))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fakeSecrets(node), scoped); diff != "" {
			t.Errorf("secrets (-want +got):\n%s", diff)
		}
	}
}

// Real secrets, looked for in every seed: a machine's are in its own secrets file and nowhere else.
func TestSecretsStayInTheirSlot(t *testing.T) {
	r := testCluster()
	bundle, err := secrets.Generate(r, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	keyLine := func(pair secrets.KeyPair) string { return strings.Split(pair.Key.Reveal(), "\n")[1] }
	planted := map[string]string{"CA": keyLine(bundle.CA), "operator": keyLine(bundle.Operator)}
	for name, pair := range bundle.Nodes {
		planted[name] = keyLine(pair)
	}
	p := bundle.Postgres
	for i, password := range []secrets.Secret{p.Superuser, p.Replication, p.Rewind, p.Owner, p.RestAPI} {
		planted[fmt.Sprintf("password %d", i)] = password.Reveal()
	}
	for _, node := range r.Nodes {
		scoped, err := bundle.Scope(node)
		if err != nil {
			t.Fatal(err)
		}
		seed, err := cloudinit.Render(r, node, scoped)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Check(seed); err != nil {
			t.Error(err)
		}
		secretsFile := written(t, seed.UserData)[cloudinit.SecretsPath]
		for owner, value := range planted {
			times := bytes.Count(seed.UserData, []byte(value))
			own := owner == node.Name || (node.Role == cluster.RolePostgres && strings.HasPrefix(owner, "password"))
			if own && (times != 1 || strings.Count(secretsFile, value) != 1) {
				t.Errorf("%s: the secret of %s is in user-data %d times, expected once, in the secrets file", node.Name, owner, times)
			}
			if !own && times != 0 {
				t.Errorf("%s: user-data holds the secret of %s", node.Name, owner)
			}
			if bytes.Contains(seed.MetaData, []byte(value)) || bytes.Contains(seed.NetworkConfig, []byte(value)) {
				t.Errorf("%s: meta-data or network-config holds the secret of %s", node.Name, owner)
			}
			asJSON, _ := json.Marshal(seed)
			asYAML, _ := yaml.Marshal(map[string]any{"seed": seed, "pointer": &seed})
			shown := fmt.Sprintf("%v %+v %#v %s %x %v", seed, seed, seed, seed, seed, &seed) + string(asJSON) + string(asYAML)
			if strings.Contains(shown, value) || strings.Contains(shown, fmt.Sprintf("%x", value)) {
				t.Errorf("%s: printing the seed shows the secret of %s", node.Name, owner)
			}
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	r := testCluster()
	node, other := r.Nodes[0], r.Nodes[1]
	moved := node
	moved.Address = netip.MustParseAddr("10.20.0.99")
	foreign := fakeSecrets(node)
	foreign.Cluster = "test"
	unknown := selfHosted()
	broken := testCluster()
	broken.Access.SSH = []string{"ssh-ed25519 \xff"}
	for _, test := range []struct {
		name    string
		cluster *cluster.Resolved
		node    cluster.Node
		secrets secrets.Scoped
		want    string
	}{
		{"another slot's secrets", r, node, fakeSecrets(other), "seed of postgres-1: the secrets are those of postgres-2 in cluster prod"},
		{"another cluster's secrets", r, node, foreign, "seed of postgres-1: the secrets are those of postgres-1 in cluster test"},
		{"a slot that the pool lacks", unknown, cluster.Node{Name: "api-11", Role: cluster.RoleAPI, Slot: 11}, fakeSecrets(node), "seed of api-11: cluster prod has no API slot 11"},
		{"a machine of a launch template", onAWS(selfHosted()), node, fakeSecrets(node), "seed of postgres-1: machines of cluster prod start on aws from launch templates, where a seed's secrets could be read: render user-data"},
		{"an unknown node", r, cluster.Node{Name: "postgres-9"}, fakeSecrets(node), `seed of postgres-9: cluster prod has no node "postgres-9"`},
		{"a node that is not the cluster's", r, moved, fakeSecrets(node), "seed of postgres-1: cluster prod has another node of that name"},
		{"bytes that are no text", broken, node, fakeSecrets(node), "seed of postgres-1: encode YAML: a text is not valid UTF-8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := cloudinit.Render(test.cluster, test.node, test.secrets); err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// Everything that a document says makes another machine of it; nothing else does.
func TestInstanceIDFollowsTheDocument(t *testing.T) {
	first := render(t, testCluster(), testCluster().Nodes[0]).InstanceID
	for name, change := range map[string]func(*cluster.Resolved){
		"another peer's address": func(r *cluster.Resolved) { r.Nodes[2].Address = netip.MustParseAddr("10.20.0.99") },
		"another gateway":        func(r *cluster.Resolved) { r.Network.Gateway = netip.MustParseAddr("10.20.0.254") },
		"another release":        func(r *cluster.Resolved) { r.Postgres.Version = 16 },
		"nobody gets in":         func(r *cluster.Resolved) { r.Access.SSH = nil },
	} {
		r := testCluster()
		change(r)
		if got := render(t, r, r.Nodes[0]).InstanceID; got == first {
			t.Errorf("%s: still %s", name, got)
		}
	}
	r := testCluster()
	scoped := fakeSecrets(r.Nodes[0])
	scoped.Leaf.Key = secrets.New("FAKE-OTHER-KEY")
	renewed, err := cloudinit.Render(r, r.Nodes[0], scoped)
	if err != nil {
		t.Fatal(err)
	}
	if renewed.InstanceID == first {
		t.Error("other secrets: still the same instance")
	}
}

func TestNetworkConfig(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*cluster.Resolved)
		want   string
	}{
		{"neither gateway nor DNS", func(r *cluster.Resolved) { r.Network.Gateway, r.Network.DNS = netip.Addr{}, nil }, `version: 2
ethernets:
  eth0:
    dhcp4: false
    dhcp6: false
    addresses:
      - 10.20.0.31/24
`},
		{"another interface", func(r *cluster.Resolved) { r.Network.Interface, r.Network.DNS = "enp1s0", nil }, `version: 2
ethernets:
  enp1s0:
    dhcp4: false
    dhcp6: false
    addresses:
      - 10.20.0.31/24
    routes:
      - to: 0.0.0.0/0
        via: 10.20.0.1
`},
		{"a name that YAML 1.1 takes for yes", func(r *cluster.Resolved) {
			r.Network.Interface, r.Network.DNS, r.Network.Gateway = "on", nil, netip.Addr{}
		}, `version: 2
ethernets:
  "on":
    dhcp4: false
    dhcp6: false
    addresses:
      - 10.20.0.31/24
`},
		{"a name that YAML 1.1 has no type for", func(r *cluster.Resolved) {
			r.Network.Interface, r.Network.DNS, r.Network.Gateway = "=", nil, netip.Addr{}
		}, `version: 2
ethernets:
  "=":
    dhcp4: false
    dhcp6: false
    addresses:
      - 10.20.0.31/24
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := testCluster()
			test.change(r)
			seed := render(t, r, r.Nodes[0])
			if diff := cmp.Diff(test.want, string(seed.NetworkConfig)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err := schema.Check(seed); err != nil {
				t.Error(err)
			}
		})
	}
}

// Without keys nobody can log in, and no account is made; cloud-init's own default account least of all.
func TestNoKeysNoAccount(t *testing.T) {
	r := testCluster()
	r.Access.SSH = nil
	seed := render(t, r, r.Nodes[0])
	if !bytes.Contains(seed.UserData, []byte("\nusers: []\n")) {
		t.Errorf("the list of users is not empty:\n%s", seed.UserData)
	}
	if err := schema.Check(seed); err != nil {
		t.Error(err)
	}
}

// Texts that YAML reads as something else, in the one place where a user's text goes through.
func TestTextsSurvive(t *testing.T) {
	r := testCluster()
	r.Access.SSH = []string{
		"=", "on", "no", "y", "~", "null", "12:30:00", "0o7", "010", "1e3", ".inf", "2001-01-01", "<<", "!x", "&a", "*a", "- a", "a: b",
		"a #b", "#b", "{{ x }}", "{% x %}", "'", `"`, "\\", "a\tb", " a ", "a\nb", "a\r\nb\n", "\n", "\n\na", "a\n\n", " a\nb\n", "\x7f", "\u0085", "\u2028", "\ufeff", "é", "😀",
		strings.Repeat("long ", 100),
	}
	seed := render(t, r, r.Nodes[0])
	var config struct {
		Users []struct {
			Keys []string `yaml:"ssh_authorized_keys"`
		}
	}
	if err := yaml.Unmarshal(seed.UserData, &config); err != nil {
		t.Fatal(err)
	}
	if got := config.Users[0].Keys; !slices.Equal(got, r.Access.SSH) {
		t.Errorf("(-want +got):\n%s", cmp.Diff(r.Access.SSH, got))
	}
	document, err := cloudinit.DecodeDocument([]byte(written(t, seed.UserData)[cloudinit.DocumentPath]))
	if err != nil || !slices.Equal(document.Cluster.Access.SSH, r.Access.SSH) {
		t.Errorf("the document: %v\n%s", err, cmp.Diff(r.Access.SSH, document.Cluster.Access.SSH))
	}
}
