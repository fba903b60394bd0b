package roles_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/golden"
	"github.com/cincbake/cincbake/roles"
	"github.com/cincbake/cincbake/roles/etcd"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

// topology is a cluster that the golden files show.
type topology struct {
	name     string
	platform cluster.Platform
	network  cluster.Network
	nodes    []cluster.Node
}

func topologies() []topology {
	address := netip.MustParseAddr
	network := cluster.Network{Prefix: netip.MustParsePrefix("10.20.0.0/24"), Gateway: address("10.20.0.1"), Interface: "eth0"}
	named := network
	named.DNS, named.NTP = []netip.Addr{address("10.20.0.2")}, []netip.Addr{address("10.20.0.2"), address("10.20.0.3")}
	database := func(slot int) cluster.Node {
		return cluster.Node{Name: fmt.Sprintf("postgres-%d", slot), Role: cluster.RolePostgres, Slot: slot, Address: address(fmt.Sprintf("10.20.0.3%d", slot)), Disk: "/dev/vdb"}
	}
	witness := cluster.Node{Name: "heartbeat-1", Role: cluster.RoleHeartbeat, Slot: 1, Address: address("10.20.0.34")}
	// On AWS addresses were found, and are in no certificate: programs call each other by name.
	found := func(n cluster.Node) cluster.Node {
		n.Found = true
		return n
	}
	return []topology{
		{"pair", cluster.OnPrem, named, []cluster.Node{database(1), database(2), witness}},
		{"three", cluster.OnPrem, network, []cluster.Node{database(1), database(2), database(3)}},
		{"pair-aws", cluster.AWS, network, []cluster.Node{found(database(1)), found(database(2)), found(witness)}},
	}
}

// fake is a placeholder for a secret: no golden file may hold anything that looks like a real one.
func fake(what string) secrets.Secret { return secrets.New("FAKE-" + what) }

func inputs(top topology, self cluster.Node) role.Inputs {
	r := &cluster.Resolved{
		Name: "prod", Platform: top.platform, Image: cluster.Image{OS: "debian-13", Arch: "amd64"},
		Network: top.network, Postgres: &cluster.Postgres{Version: 13}, Nodes: top.nodes,
	}
	scoped := secrets.Scoped{Cluster: r.Name, Node: self.Name, CA: "FAKE-CA\n", Leaf: secrets.KeyPair{Certificate: "FAKE-CERTIFICATE\n", Key: fake("KEY\n")}}
	if self.Role == cluster.RolePostgres {
		scoped.Postgres = &secrets.Postgres{
			Superuser: fake("superuser"), Replication: fake("replication"), Rewind: fake("rewind"), Owner: fake("owner"), RestAPI: fake("restapi"),
		}
	}
	in := role.Inputs{
		Cluster: r, Self: self, Secrets: scoped,
		Facts: cluster.Facts{MemoryBytes: 8 << 30, CPUs: 4},
		Own:   cluster.Observation{Node: self.Name, Formation: cluster.FormationEmpty, Incarnation: self.Name},
		Peers: cluster.Peers{},
	}
	for _, n := range r.Voters() {
		if n.Name != self.Name {
			in.Peers[n.Name] = cluster.Peer{Node: n, Observation: cluster.Observation{Node: n.Name, Formation: cluster.FormationEmpty, Incarnation: n.Name}}
		}
	}
	in.Joined, _ = etcd.Decide(r.Name, etcd.View{Self: self, Nodes: r.Voters(), Own: in.Own, Peers: in.Peers})
	return in
}

// Every file that boot writes, of every role in every topology, with the steps around it.
func TestBootGolden(t *testing.T) {
	for _, top := range topologies() {
		for _, self := range top.nodes {
			t.Run(top.name+"/"+self.Name, func(t *testing.T) {
				r, err := roles.Of(self.Role)
				if err != nil {
					t.Fatal(err)
				}
				plan, err := r.Boot(inputs(top, self))
				if err != nil {
					t.Fatal(err)
				}
				golden.Compare(t, "testdata/boot/"+top.name+"/"+self.Name+".steps", plan.Describe())
				golden.Compare(t, "testdata/boot/"+top.name+"/"+self.Name+".files", files(t, plan))
			})
		}
	}
}

// files applies the plan's file steps to a host in memory and prints what they left.
func files(t *testing.T, plan step.Plan) string {
	t.Helper()
	host := step.NewRecorder()
	var wiring step.Plan
	for _, s := range plan {
		switch s.Action.(type) {
		case step.File, step.Directory, step.Symlink:
			wiring = append(wiring, s)
		}
	}
	if _, err := wiring.Apply(context.Background(), host, nil); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, path := range host.Files() {
		entry := host.Entries[path]
		fmt.Fprintf(&b, "== %s %04o %s:%s\n%s", path, entry.Mode, entry.Owner, entry.Group, entry.Content)
		if len(entry.Content) > 0 && !strings.HasSuffix(string(entry.Content), "\n") {
			b.WriteString("\n")
		}
	}
	return b.String()
}

func TestBakeGolden(t *testing.T) {
	for _, recipe := range []cluster.Recipe{
		{Format: 1, Role: cluster.RolePostgres, Platform: cluster.OnPrem, OS: "debian-13", Arch: "amd64", PostgresVersion: 13},
		{Format: 1, Role: cluster.RolePostgres, Platform: cluster.OnPrem, OS: "debian-13", Arch: "amd64", PostgresVersion: 14},
		{Format: 1, Role: cluster.RolePostgres, Platform: cluster.OnPrem, OS: "debian-13", Arch: "amd64", PostgresVersion: 17},
		{Format: 1, Role: cluster.RoleHeartbeat, Platform: cluster.OnPrem, OS: "debian-13", Arch: "amd64"},
	} {
		r, err := roles.Of(recipe.Role)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := r.Bake(recipe)
		if err != nil {
			t.Fatal(err)
		}
		name := string(recipe.Role)
		if recipe.PostgresVersion != 0 {
			name += fmt.Sprint(recipe.PostgresVersion)
		}
		golden.Compare(t, "testdata/bake/"+name+".steps", plan.Describe())
		golden.Compare(t, "testdata/bake/"+name+".files", files(t, plan))
	}
}

// Rendering is a pure function: the same inputs give the same bytes.
func TestBootIsPure(t *testing.T) {
	for _, top := range topologies() {
		for _, self := range top.nodes {
			r, err := roles.Of(self.Role)
			if err != nil {
				t.Fatal(err)
			}
			first, err := r.Boot(inputs(top, self))
			if err != nil {
				t.Fatal(err)
			}
			second, err := r.Boot(inputs(top, self))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(files(t, first), files(t, second)); diff != "" {
				t.Errorf("%s differs between two calls:\n%s", self.Name, diff)
			}
		}
	}
}

// A secret may be in files that only their program can read, and nowhere else: not in a title, a reason or an argument.
func TestSecretsStayInTheirFiles(t *testing.T) {
	for _, top := range topologies() {
		for _, self := range top.nodes {
			r, err := roles.Of(self.Role)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := r.Boot(inputs(top, self))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(plan.Describe(), "FAKE-") {
				t.Errorf("%s: the plan's description holds a secret", self.Name)
			}
			for _, s := range plan {
				file, ok := s.Action.(step.File)
				if !ok || !holdsSecret(string(file.Content)) {
					continue
				}
				if file.Mode&0o077 != 0 {
					t.Errorf("%s: %s holds a secret and has mode %04o", self.Name, file.Path, file.Mode)
				}
			}
		}
	}
}

func holdsSecret(content string) bool {
	for _, public := range []string{"FAKE-CA", "FAKE-CERTIFICATE"} {
		content = strings.ReplaceAll(content, public, "")
	}
	return strings.Contains(content, "FAKE-")
}

func TestEveryRoleIsBuilt(t *testing.T) {
	for _, name := range cluster.Roles() {
		if _, err := roles.Of(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := roles.Of("witness"); err == nil {
		t.Error("a role that is not built must be refused")
	}
}
