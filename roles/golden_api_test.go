package roles_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/golden"
	"github.com/cincbake/cincbake/roles"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

// server is a machine with Cinc Server that the golden files show.
type server struct {
	topology string
	name     string // of the golden file
	in       role.Inputs
}

// servers are the machines with Cinc Server of every topology, both mixes, and the one that makes the databases.
func servers() []server {
	address := netip.MustParseAddr
	nodes := func(of cluster.Role, last int, count int) []cluster.Node {
		var list []cluster.Node
		for slot := 1; slot <= count; slot++ {
			list = append(list, cluster.Node{Name: fmt.Sprintf("%s-%d", of, slot), Role: of, Slot: slot, Address: address(fmt.Sprintf("10.20.0.%d", last+slot))})
		}
		return list
	}
	lb, api := nodes(cluster.RoleLB, 10, 2), nodes(cluster.RoleAPI, 19, 2)
	postgres, heartbeat := nodes(cluster.RolePostgres, 30, 2), nodes(cluster.RoleHeartbeat, 33, 1)
	opensearch := nodes(cluster.RoleOpenSearch, 40, 3)
	ownDatabase := &cluster.Postgres{Version: 13, MaxConnections: 850}
	database := &cluster.Postgres{Version: 13, MaxConnections: 850, External: &cluster.ExternalPostgres{Host: "pg.example.com", Port: 5432, TLS: true, Owner: "cincadmin"}}
	ownSearch := &cluster.OpenSearch{Version: "1.3.20", Shards: 3, Replicas: 2}
	search := &cluster.OpenSearch{Version: "1.3", Shards: 3, Replicas: 2, External: &cluster.ExternalOpenSearch{URL: "https://search.example.com", Nodes: 3, User: "chef"}}

	type tiers struct {
		topology string
		postgres *cluster.Postgres
		search   *cluster.OpenSearch
		nodes    [][]cluster.Node
	}
	var all []server
	for _, t := range []tiers{
		{"standalone", nil, nil, [][]cluster.Node{nodes(cluster.RoleStandalone, 19, 1)}},
		{"managed", database, search, [][]cluster.Node{lb, api}},
		{"self-hosted", ownDatabase, ownSearch, [][]cluster.Node{lb, api, postgres, heartbeat, opensearch}},
		{"external-search", ownDatabase, search, [][]cluster.Node{lb, api, postgres, heartbeat}},
		{"external-database", database, ownSearch, [][]cluster.Node{lb, api, opensearch}},
	} {
		r := &cluster.Resolved{
			Name: "prod", Platform: cluster.OnPrem, Domain: "chef.example.com", Image: cluster.Image{OS: "debian-13", Arch: "amd64"},
			Network: cluster.Network{
				Prefix: netip.MustParsePrefix("10.20.0.0/24"), Gateway: address("10.20.0.1"), Interface: "eth0",
				DNS: []netip.Addr{address("10.20.0.2")}, NTP: []netip.Addr{address("10.20.0.2")},
			},
			Cinc: &cluster.Cinc{
				Version:  "15.10.91",
				Settings: map[string]map[string]any{"": {"default_orgname": "it's acme"}, "opscode_erchef": {"depsolver_timeout": 10000}},
			},
			Postgres: t.postgres, OpenSearch: t.search,
			API: &cluster.API{Min: 2, Max: 10, Pool: []netip.Addr{address("10.20.0.20"), address("10.20.0.21")}},
			LB:  &cluster.LB{Kind: cluster.LBNodes, VIP: address("10.20.0.10"), RouterID: 51},
		}
		for _, tier := range t.nodes {
			r.Nodes = append(r.Nodes, tier...)
		}
		if t.topology == "standalone" {
			r.LB, r.API = nil, &cluster.API{Min: 1, Max: 1, Pool: []netip.Addr{address("10.20.0.20")}}
			r.Nodes[0].Disk = "/dev/vdb"
			r.Cinc.PreConfigure, r.Cinc.PostReady = []string{"/usr/local/sbin/before", "now"}, []string{"/usr/local/sbin/after"}
		}
		for _, self := range r.NodesOf(cluster.RoleAPI, cluster.RoleStandalone) {
			all = append(all, server{t.topology, self.Name, serverInputs(r, self)})
		}
	}
	bootstrap := all[len(all)-1].in
	bootstrap.Joined.API.Bootstrap = true
	return append(all, server{"external-database", bootstrap.Self.Name + "-bootstrap", bootstrap})
}

func serverInputs(r *cluster.Resolved, self cluster.Node) role.Inputs {
	return role.Inputs{
		Cluster: r, Self: self, Facts: cluster.Facts{MemoryBytes: 8 << 30, CPUs: 4, Hostname: self.Name}, Peers: cluster.Peers{},
		Secrets: secrets.Scoped{
			Cluster: r.Name, Node: self.Name, CA: "FAKE-CA\n",
			Leaf:  secrets.KeyPair{Certificate: "FAKE-CERTIFICATE\n", Key: fake("KEY\n")},
			Front: &secrets.KeyPair{Certificate: "FAKE-CERTIFICATE of the domain\n", Key: fake("front-key\n")},
			Cinc: &secrets.Cinc{
				DatabaseOwner: fake("owner"), Search: fake("search"), RedisPassword: fake("redis"),
				ErchefSQL: fake("erchef-sql"), ErchefSQLRO: fake("erchef-sql-ro"), ErchefStats: fake("erchef-stats"),
				BifrostSuperuser: fake("bifrost-superuser"), BifrostSQL: fake("bifrost-sql"), BifrostSQLRO: fake("bifrost-sql-ro"),
				OCIDKeyBase: fake("ocid-key-base"), OCIDSQL: fake("ocid-sql"), OCIDSQLRO: fake("ocid-sql-ro"),
				BookshelfKeyID: fake("bookshelf-key-id"), BookshelfSecret: fake("bookshelf-secret"),
				BookshelfSQL: fake("bookshelf-sql"), BookshelfSQLRO: fake("bookshelf-sql-ro"),
				Superuser: secrets.KeyPEM{Private: fake("superuser-key"), Public: "public"},
				WebUI:     secrets.KeyPEM{Private: fake("webui-key"), Public: "public"},
			},
		},
	}
}

func (s server) plan(t *testing.T) step.Plan {
	t.Helper()
	r, err := roles.Of(s.in.Self.Role)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := r.Boot(s.in)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestServerBootGolden(t *testing.T) {
	for _, s := range servers() {
		t.Run(s.topology+"/"+s.name, func(t *testing.T) {
			plan := s.plan(t)
			golden.Compare(t, "testdata/boot/"+s.topology+"/"+s.name+".steps", plan.Describe())
			golden.Compare(t, "testdata/boot/"+s.topology+"/"+s.name+".files", files(t, plan))
			if diff := cmp.Diff(files(t, plan), files(t, s.plan(t))); diff != "" {
				t.Errorf("two calls differ:\n%s", diff)
			}
		})
	}
}

func TestServerBakeGolden(t *testing.T) {
	for _, name := range []cluster.Role{cluster.RoleAPI, cluster.RoleStandalone} {
		r, err := roles.Of(name)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := r.Bake(cluster.Recipe{
			Format: cluster.RecipeFormat, Role: name, Platform: cluster.OnPrem, OS: "debian-13", Arch: "amd64",
			Package: cluster.RecipePackage{Version: "15.10.91", Digest: "sha256:" + strings.Repeat("0f", 32), URL: "https://example.com/cinc-server-core_15.10.91-1_amd64.deb"},
		})
		if err != nil {
			t.Fatal(err)
		}
		golden.Compare(t, "testdata/bake/"+string(name)+".steps", plan.Describe())
		golden.Compare(t, "testdata/bake/"+string(name)+".files", files(t, plan))
		for _, s := range plan {
			if strings.Contains(s.Action.String(), "reconfigure") {
				t.Errorf("%s is configured while it is baked", name)
			}
		}
	}
}

// A secret may be in files that only their program can read, and nowhere else.
func TestServerSecretsStayInTheirFiles(t *testing.T) {
	for _, s := range servers() {
		plan := s.plan(t)
		if strings.Contains(plan.Describe(), "FAKE-") {
			t.Errorf("%s/%s: the plan's description holds a secret", s.topology, s.name)
		}
		for _, one := range plan {
			file, ok := one.Action.(step.File)
			if !ok || !holdsSecret(string(file.Content)) {
				continue
			}
			if file.Mode != 0o600 {
				t.Errorf("%s/%s: %s holds a secret and has mode %04o", s.topology, s.name, file.Path, file.Mode)
			}
			if strings.HasSuffix(file.Path, ".rb") {
				t.Errorf("%s/%s: %s holds a secret", s.topology, s.name, file.Path)
			}
		}
	}
}

// API nodes of a cluster differ in nothing that Cinc Server reads.
func TestAPINodesAreAlike(t *testing.T) {
	read := map[string]string{}
	for _, s := range servers() {
		if s.in.Joined.API.Bootstrap {
			continue
		}
		var b strings.Builder
		for _, one := range s.plan(t) {
			if file, ok := one.Action.(step.File); ok && (strings.HasPrefix(file.Path, "/etc/cinc-project/") || strings.Contains(file.Path, "cinc-secrets")) {
				fmt.Fprintf(&b, "%s\n%s", file.Path, file.Content)
			}
		}
		if other, ok := read[s.topology]; ok {
			if diff := cmp.Diff(other, b.String()); diff != "" {
				t.Errorf("%s/%s differs from another node:\n%s", s.topology, s.name, diff)
			}
		}
		read[s.topology] = b.String()
	}
}
