package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cincbake/cincbake/internal/golden"
)

// values compares the netip types by value, an absent list with an empty one, and leaves out what only a bake needs.
var values = cmp.Options{
	cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty(),
	cmpopts.IgnoreFields(Image{}, "Mirror", "Proxy"), cmpopts.IgnoreFields(Cinc{}, "Package"), cmpopts.IgnoreFields(OpenSearch{}, "Package"),
	cmpopts.IgnoreFields(Resolved{}, "AWS"),
}

func resolve(t *testing.T, text string) *Resolved {
	t.Helper()
	spec, err := Parse("cluster.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := spec.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

// TestExamples resolves every example. The golden files also hold the digests of its recipes: a change there makes every
// image that was ever baked from it unfit, which must not happen by accident.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../examples/*/cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 2 {
		t.Fatalf("%d examples found, expected self-hosted-onprem and lab at least", len(files))
	}
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			resolved := resolve(t, string(text))
			recipes := map[Role]string{}
			for _, role := range rolesOf(resolved) {
				recipes[role] = resolved.Recipe(role).Digest()
			}
			got, err := json.MarshalIndent(struct {
				Resolved *Resolved       `json:"resolved"`
				Recipes  map[Role]string `json:"recipes"`
			}{resolved, recipes}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, filepath.Join("testdata/resolved", name+".json"), string(got)+"\n")
			checkResolved(t, resolved)
		})
	}
}

// rolesOf lists the roles that a cluster has machines of.
func rolesOf(r *Resolved) []Role {
	var list []Role
	for _, n := range r.Nodes {
		if !slices.Contains(list, n.Role) {
			list = append(list, n.Role)
		}
	}
	return list
}

// TestExampleIsTheOneInTheFolder keeps what init writes and what the repository shows the same, and each what it is called.
func TestExampleIsTheOneInTheFolder(t *testing.T) {
	for _, topology := range Topologies() {
		for _, platform := range PlatformsOf(topology) {
			text, err := Example(topology, platform)
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, fmt.Sprintf("../examples/%s-%s/cluster.yaml", topology, platform), text)
			if r := resolve(t, text); r.Topology() != topology || r.Platform != platform {
				t.Errorf("the example of %s on %s is %s on %s", topology, platform, r.Topology(), r.Platform)
			}
		}
	}
}

// TestExampleHint: what the comments of the example tell people to write must load too.
func TestExampleHint(t *testing.T) {
	text, err := Example(SelfHosted, OnPrem)
	if err != nil {
		t.Fatal(err)
	}
	const list, hint = "10.20.0.32]", "{address: 10.20.0.32, disk: /dev/vdc}"
	if !strings.Contains(text, hint) || !strings.Contains(text, list) {
		t.Fatalf("the example no longer has %q and %q", list, hint)
	}
	resolved := resolve(t, strings.Replace(text, list, hint+"]", 1))
	if got := resolved.NodesOf(RolePostgres)[1]; got.Disk != "/dev/vdc" || got.Address.String() != "10.20.0.32" {
		t.Errorf("got %+v", got)
	}
}

func TestExampleRefusals(t *testing.T) {
	for _, test := range []struct{ topology, platform, want string }{
		{"selfhosted", "onprem", `topology "selfhosted": there is no such topology (use database, standalone, managed or self-hosted)`},
		{"database", "aws", `topology database: there are no such clusters on platform aws`},
		{"mixed", "onprem", `topology "mixed": there is no such topology`},
		{"self-hosted", "vmware", `platform "vmware": there is no such platform (use onprem or aws)`},
	} {
		if text, err := Example(Topology(test.topology), Platform(test.platform)); text != "" || err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("Example(%s, %s) = %q, %v; want %s", test.topology, test.platform, text, err, test.want)
		}
	}
}

func TestResolveFillsDefaults(t *testing.T) {
	address := netip.MustParseAddr
	want := &Resolved{
		Name:     "small",
		Platform: OnPrem,
		Image:    Image{OS: "debian-13", Arch: "amd64"},
		Network:  Network{Prefix: netip.MustParsePrefix("10.20.0.0/24"), Interface: "eth0"},
		Postgres: &Postgres{Version: 13, MaxConnections: 130},
		Nodes: []Node{
			{Name: "postgres-1", Role: RolePostgres, Slot: 1, Address: address("10.20.0.31"), Disk: "/dev/vdb"},
			{Name: "postgres-2", Role: RolePostgres, Slot: 2, Address: address("10.20.0.32"), Disk: "/dev/vdb"},
			{Name: "heartbeat-1", Role: RoleHeartbeat, Slot: 1, Address: address("10.20.0.33")},
		},
	}
	if diff := cmp.Diff(want, resolve(t, smallest), values); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestResolveKeepsWhatIsWritten(t *testing.T) {
	resolved := resolve(t, `apiVersion: cincbake/v1
kind: Cluster
name: three
platform: onprem
image: {os: debian-13, arch: amd64}
network: {prefix: 10.20.0.0/24, gateway: 10.20.0.1, dns: [10.9.9.9], ntp: [10.9.9.8], interface: ens18}
postgres:
  version: 17
  disk: /dev/vdb
  nodes:
    - 10.20.0.31
    - address: 10.20.0.32
    - address: 10.20.0.33
      disk: /dev/disk/by-id/virtio-data
`)
	var disks []string
	for _, n := range resolved.Nodes {
		disks = append(disks, n.Name+" "+n.Disk)
	}
	if diff := cmp.Diff([]string{"postgres-1 /dev/vdb", "postgres-2 /dev/vdb", "postgres-3 /dev/disk/by-id/virtio-data"}, disks); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if n := resolved.Network; n.Interface != "ens18" || n.Gateway.String() != "10.20.0.1" || len(n.DNS) != 1 || len(n.NTP) != 1 || resolved.Postgres.Version != 17 {
		t.Errorf("got %+v, PostgreSQL %d", n, resolved.Postgres.Version)
	}
}

// TestResolveRefusesASpecMadeInCode: the rules hold for specs that no file stands behind, too.
func TestResolveRefusesASpecMadeInCode(t *testing.T) {
	spec := &Spec{
		APIVersion: APIVersion, Kind: Kind, Platform: OnPrem,
		Network:  NetworkSpec{Prefix: netip.MustParsePrefix("10.20.0.0/24")},
		Postgres: &PostgresSpec{Nodes: []NodeSpec{{Address: netip.MustParseAddr("10.20.0.31")}, {}}},
	}
	_, err := spec.Resolve()
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.Rule+" "+p.Path)
	}
	want := []string{"required name", "required postgres.nodes[1].address", "odd-voters postgres.nodes", "disk-required postgres.disk"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if first := problems[0].String(); first != "name: the key is missing (add it, like name: prod)" {
		t.Errorf("got %q", first)
	}
}

func TestSecretsPath(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ file, spec, want string }{
		{"", "cluster.yaml", here + "/secrets.json"},
		{"", "prod/cluster.yaml", here + "/prod/secrets.json"},
		{"keep/prod.json", "/srv/prod/cluster.yaml", "/srv/prod/keep/prod.json"},
		{"../prod.json", "/srv/prod/cluster.yaml", "/srv/prod.json"},
		{"/root/prod.json", "cluster.yaml", "/root/prod.json"},
	} {
		text := smallest
		if test.file != "" {
			text += "secrets: {file: " + test.file + "}\n"
		}
		spec, err := Parse(test.spec, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		t.Chdir("/") // a path that was found once stays the same
		if got := spec.SecretsPath(); got != test.want {
			t.Errorf("file %q of %s: got %s, want %s", test.file, test.spec, got, test.want)
		}
		t.Chdir(here)
	}
}

// checkResolved checks what everything downstream relies on.
func checkResolved(t *testing.T, r *Resolved) {
	t.Helper()
	if voters := len(r.Voters()); voters != 0 && (voters < 3 || voters%2 == 0) {
		t.Errorf("%d voters", voters)
	}
	addresses, names := map[netip.Addr]bool{}, map[string]bool{}
	for _, n := range r.Nodes {
		if r.Platform == OnPrem && (!r.Network.Prefix.Contains(n.Address) || n.Address == r.Network.Gateway || addresses[n.Address]) {
			t.Errorf("%s has the address %s", n.Name, n.Address)
		}
		if n.Role == RolePostgres && n.Disk == "" && (n.Placement == nil || n.Placement.VolumeGiB == 0) {
			t.Errorf("%s has no disk", n.Name)
		}
		if names[n.Name] {
			t.Errorf("two machines are called %s", n.Name)
		}
		addresses[n.Address], names[n.Name] = true, true
	}
	if (r.API == nil) != (r.Cinc == nil) || (r.API == nil) != (r.Domain == "") {
		t.Errorf("API %v, Cinc %v, domain %q", r.API, r.Cinc, r.Domain)
	}
	if r.API != nil && r.Platform == OnPrem && (len(r.API.Pool) != r.API.Max || r.API.Min > r.API.Max) {
		t.Errorf("the pool is %+v", r.API)
	}
	for _, role := range rolesOf(r) {
		recipe := r.Recipe(role)
		text, err := json.Marshal(recipe)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := DecodeRecipe(text); err != nil || back != recipe {
			t.Errorf("the recipe of %s does not survive: %v, %v", role, back, err)
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Resolved
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*r, back, values); diff != "" {
		t.Errorf("a round trip through JSON changes it (-before +after)\n%s", diff)
	}
}

func BenchmarkParseAndResolve(b *testing.B) {
	example, err := Example(SelfHosted, OnPrem)
	if err != nil {
		b.Fatal(err)
	}
	text := []byte(example)
	b.ReportAllocs()
	for b.Loop() {
		spec, err := Parse("cluster.yaml", text)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := spec.Resolve(); err != nil {
			b.Fatal(err)
		}
	}
}
