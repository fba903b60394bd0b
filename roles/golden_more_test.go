package roles_test

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/golden"
	"github.com/cincbake/cincbake/roles"
	"github.com/cincbake/cincbake/roles/haproxy"
	"github.com/cincbake/cincbake/roles/nftables"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

// shape is a cluster with an API in front of it.
type shape struct {
	name    string
	cluster *cluster.Resolved
}

func slots(r cluster.Role, last ...int) []cluster.Node {
	var list []cluster.Node
	for i, octet := range last {
		list = append(list, cluster.Node{
			Name: fmt.Sprintf("%s-%d", r, i+1), Role: r, Slot: i + 1, Address: netip.AddrFrom4([4]byte{10, 20, 0, byte(octet)}),
		})
	}
	return list
}

func join(lists ...[]cluster.Node) []cluster.Node {
	var all []cluster.Node
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

func pool(last ...int) *cluster.API {
	api := &cluster.API{Min: 1, Max: len(last)}
	for _, n := range slots(cluster.RoleAPI, last...) {
		api.Pool = append(api.Pool, n.Address)
	}
	return api
}

// shapes are the topologies and mixes that lead somewhere else: every tier's own or external, on both platforms.
func shapes() []shape {
	address := netip.MustParseAddr
	onprem := func() *cluster.Resolved {
		return &cluster.Resolved{
			Name: "prod", Platform: cluster.OnPrem, Domain: "chef.example.com",
			Image: cluster.Image{OS: "debian-13", Arch: "amd64"},
			Network: cluster.Network{
				Prefix: netip.MustParsePrefix("10.20.0.0/24"), Gateway: address("10.20.0.1"), Interface: "eth0",
				DNS: []netip.Addr{address("10.20.0.2")},
			},
			Cinc: &cluster.Cinc{Version: "15.10.91"}, Access: cluster.Access{SSH: []string{"ssh-ed25519 AAAA ops"}},
			LB: &cluster.LB{Kind: cluster.LBNodes, VIP: address("10.20.0.10"), RouterID: 51}, API: pool(20, 21, 22),
		}
	}
	own, ownSearch := &cluster.Postgres{Version: 13, MaxConnections: 290}, &cluster.OpenSearch{Version: "1.3.20", Shards: 3, Replicas: 2}
	databases := join(slots(cluster.RolePostgres, 31, 32), slots(cluster.RoleHeartbeat, 33))
	front := join(slots(cluster.RoleLB, 11, 12), slots(cluster.RoleAPI, 20, 21))

	selfHosted := onprem()
	selfHosted.Postgres, selfHosted.OpenSearch = own, ownSearch
	selfHosted.Nodes = join(front, databases, slots(cluster.RoleOpenSearch, 41, 42, 43))

	managed := onprem()
	managed.CACertificates = corporateCA + otherCA
	managed.Postgres = &cluster.Postgres{Version: 13, External: &cluster.ExternalPostgres{Host: "db.example.net", Port: 6432, TLS: true, Owner: "cinc_owner"}}
	managed.OpenSearch = &cluster.OpenSearch{Version: "1.3", External: &cluster.ExternalOpenSearch{URL: "https://search.example.net", Nodes: 3, User: "cinc"}}
	managed.Nodes = front

	mixed := onprem()
	mixed.LB, mixed.API, mixed.Access = nil, pool(20), cluster.Access{}
	mixed.Postgres = &cluster.Postgres{Version: 13, External: &cluster.ExternalPostgres{Host: "10.9.0.5", Port: 5432, Owner: "cinc_owner"}}
	mixed.OpenSearch = ownSearch
	mixed.Nodes = join(slots(cluster.RoleAPI, 20), slots(cluster.RoleOpenSearch, 41))

	aws := onprem()
	aws.Platform, aws.Region, aws.LB, aws.API = cluster.AWS, "eu-west-1", &cluster.LB{Kind: cluster.LBNLB}, &cluster.API{Min: 2, Max: 6, InstanceType: "m6i.xlarge"}
	aws.Network = cluster.Network{Prefix: netip.MustParsePrefix("10.30.0.0/16"), Subnets: []string{"subnet-a", "subnet-b"}}
	aws.Postgres, aws.OpenSearch = own, &cluster.OpenSearch{Version: "1.3", External: &cluster.ExternalOpenSearch{URL: "https://search.example.net:9243/", Nodes: 3, User: "cinc"}}
	aws.Nodes = append(databases[:0:0], cluster.Node{Name: "api", Role: cluster.RoleAPI})
	for _, n := range databases {
		n.Address = netip.Addr{}
		aws.Nodes = append(aws.Nodes, n)
	}
	return []shape{{"self-hosted", selfHosted}, {"managed", managed}, {"mixed", mixed}, {"aws", aws}}
}

const (
	corporateCA = "-----BEGIN CERTIFICATE-----\nRkFLRS1DQQ==\n-----END CERTIFICATE-----\n"
	otherCA     = "-----BEGIN CERTIFICATE-----\nRkFLRS1DQS1U\n-----END CERTIFICATE-----\n"
)

// inputsOf is what a machine of the cluster knows, with placeholders for secrets. On AWS it has found its peers.
func inputsOf(r *cluster.Resolved, self cluster.Node) role.Inputs {
	in := role.Inputs{
		Cluster: r, Self: self,
		Facts: cluster.Facts{MemoryBytes: 8 << 30, CPUs: 4, Addresses: []netip.Addr{netip.MustParseAddr("10.30.1.5")}},
		Peers: cluster.Peers{},
		Secrets: secrets.Scoped{
			Cluster: r.Name, Node: self.Name, CA: "FAKE-CA\n",
			Leaf: secrets.KeyPair{Certificate: "FAKE-CERTIFICATE\n", Key: fake("KEY\n")},
		},
	}
	switch self.Role {
	case cluster.RoleAPI:
		in.Secrets.Cinc = &secrets.Cinc{Search: fake("search")}
	case cluster.RoleOpenSearch:
		in.Secrets.OpenSearch = &secrets.OpenSearch{Admin: fake("admin"), AdminHash: fake("admin-hash"), Cinc: fake("search"), CincHash: fake("search-hash")}
	}
	for i, n := range r.Nodes {
		if r.Platform == cluster.AWS && n.Slot > 0 {
			n.Address = netip.AddrFrom4([4]byte{10, 30, 2, byte(10 + i)})
		}
		in.Peers[n.Name] = cluster.Peer{Node: n}
	}
	return in
}

// Load balancers and search nodes, whole: every file and every step.
func TestBootGoldenOfTiers(t *testing.T) {
	for _, s := range shapes() {
		for _, self := range s.cluster.NodesOf(cluster.RoleLB, cluster.RoleOpenSearch) {
			t.Run(s.name+"/"+self.Name, func(t *testing.T) {
				plan := bootOf(t, inputsOf(s.cluster, self))
				golden.Compare(t, "testdata/tiers/"+s.name+"/"+self.Name+".steps", plan.Describe())
				golden.Compare(t, "testdata/tiers/"+s.name+"/"+self.Name+".files", files(t, plan))
			})
		}
	}
}

// A first formation differs from every other start in nothing but the list of managers.
func TestFirstFormationOfSearch(t *testing.T) {
	r := shapes()[0].cluster
	in := inputsOf(r, r.NodesOf(cluster.RoleOpenSearch)[0])
	later := files(t, bootOf(t, in))
	if strings.Contains(later, "initial_master_nodes") {
		t.Error("a list of managers without a decision: an empty node could form a second cluster")
	}
	in.Joined.OpenSearch.InitialManagers = []string{"opensearch-1", "opensearch-2", "opensearch-3"}
	first := files(t, bootOf(t, in))
	const list = "cluster.initial_master_nodes:\n  - opensearch-1\n  - opensearch-2\n  - opensearch-3\n"
	if !strings.Contains(first, list) || strings.Replace(first, list, "", 1) != later {
		t.Errorf("a first formation should add exactly\n%s to\n%s", list, first)
	}
}

// The router of an API node leads to whatever the tiers are.
func TestRouterGolden(t *testing.T) {
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			plan, err := haproxy.Router(inputsOf(s.cluster, s.cluster.NodesOf(cluster.RoleAPI)[0]))
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, "testdata/tiers/"+s.name+"/router.steps", plan.Describe())
			golden.Compare(t, "testdata/tiers/"+s.name+"/router.files", files(t, plan))
		})
	}
}

// Every role's firewall in every topology.
func TestFirewallGolden(t *testing.T) {
	for _, s := range shapes() {
		var b strings.Builder
		for _, self := range s.cluster.Nodes {
			if self.Slot > 1 {
				continue
			}
			fmt.Fprintf(&b, "=== %s\n%s", self.Name, files(t, nftables.Boot(inputsOf(s.cluster, self))))
		}
		golden.Compare(t, "testdata/tiers/"+s.name+"/firewall", b.String())
	}
}

func TestBakeGoldenOfTiers(t *testing.T) {
	digest := "sha512:" + strings.Repeat("ab", 64)
	for _, recipe := range []cluster.Recipe{
		{Format: 1, Role: cluster.RoleLB, Platform: cluster.OnPrem, OS: "debian-13", Arch: "amd64"},
		{
			Format: 1, Role: cluster.RoleOpenSearch, Platform: cluster.AWS, OS: "debian-13", Arch: "amd64",
			Package: cluster.RecipePackage{Version: "1.3.20", Digest: digest, URL: "https://example.net/opensearch.deb"},
		},
	} {
		r, err := roles.Of(recipe.Role)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := r.Bake(recipe)
		if err != nil {
			t.Fatal(err)
		}
		golden.Compare(t, "testdata/bake/"+string(recipe.Role)+".steps", plan.Describe())
		golden.Compare(t, "testdata/bake/"+string(recipe.Role)+".files", files(t, plan))
	}
}

// A secret is in files that only their program can read, in whatever form it was written there, and nowhere else.
func TestSecretsOfTiersStayInTheirFiles(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte("cinc:FAKE-search"))
	holds := func(text string) bool { return holdsSecret(text) || strings.Contains(text, encoded) }
	found := map[string]bool{}
	for _, s := range shapes() {
		for _, self := range s.cluster.Nodes {
			in := inputsOf(s.cluster, self)
			var plan step.Plan
			switch self.Role {
			case cluster.RoleLB, cluster.RoleOpenSearch:
				plan = bootOf(t, in)
			case cluster.RoleAPI:
				var err error
				if plan, err = haproxy.Router(in); err != nil {
					t.Fatal(err)
				}
			}
			if holds(plan.Describe()) {
				t.Errorf("%s: the plan's description holds a secret", self.Name)
			}
			for _, st := range plan {
				file, ok := st.Action.(step.File)
				if !ok || !holds(string(file.Content)) {
					continue
				}
				found[file.Path] = true
				if file.Mode&0o077 != 0 {
					t.Errorf("%s: %s holds a secret and has mode %04o", self.Name, file.Path, file.Mode)
				}
			}
		}
	}
	for _, path := range []string{"/etc/haproxy/haproxy.cfg", "/etc/opensearch/node.key"} {
		if !found[path] {
			t.Errorf("no secret in %s: the test looks for the wrong thing", path)
		}
	}
}

// What a plan needs and does not have is an error that names it, never a file without it.
func TestWhatIsMissingIsAnError(t *testing.T) {
	r := shapes()[0].cluster
	without := inputsOf(r, r.NodesOf(cluster.RoleAPI)[0])
	without.Secrets.Cinc = nil
	if _, err := haproxy.Router(without); err == nil || !strings.Contains(err.Error(), "api-1 has no password") {
		t.Errorf("without Cinc's secrets: %v", err)
	}
	managed := shapes()[1].cluster
	for _, address := range []string{"http://search.example.net", "https://search.example.net/path", "https://", "https://search.example.net:x"} {
		managed.OpenSearch.External.URL = address
		if _, err := haproxy.Router(inputsOf(managed, managed.NodesOf(cluster.RoleAPI)[0])); err == nil || !strings.Contains(err.Error(), "opensearch.external.url") {
			t.Errorf("%s: %v", address, err)
		}
	}
	search := inputsOf(r, r.NodesOf(cluster.RoleOpenSearch)[0])
	search.Secrets.OpenSearch = nil
	o, err := roles.Of(cluster.RoleOpenSearch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Boot(search); err == nil || !strings.Contains(err.Error(), "opensearch-1 has no passwords") {
		t.Errorf("without the search cluster's passwords: %v", err)
	}
}

func bootOf(t *testing.T, in role.Inputs) step.Plan {
	t.Helper()
	r, err := roles.Of(in.Self.Role)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := r.Boot(in)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}
