//go:build integration

package checkers

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/etcd"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
)

// example is a cluster of testdata with everything that its machines know at their first boot.
type example struct {
	name     string
	machines []role.Inputs
}

// clusters returns every cluster of testdata.
func clusters(t *testing.T) []example {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no specs in testdata: %v", err)
	}
	var examples []example
	for _, file := range files {
		spec, err := cluster.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		resolved, err := spec.Resolve()
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := secrets.Generate(resolved, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		discover(resolved)
		e := example{name: strings.TrimSuffix(filepath.Base(file), ".yaml")}
		for _, node := range resolved.Nodes {
			e.machines = append(e.machines, inputs(t, resolved, bundle, node))
		}
		examples = append(examples, e)
	}
	return examples
}

// discover gives machines that the cluster knows no address of the ones that they would be found at.
func discover(r *cluster.Resolved) {
	address := r.Network.Prefix.Masked().Addr()
	for range 10 { // the first ones are seldom a machine's
		address = address.Next()
	}
	for i := range r.Nodes {
		if !r.Nodes[i].Address.IsValid() {
			address = address.Next()
			r.Nodes[i].Address = address
		}
	}
}

// inputs is what a machine knows at its first boot, with every peer there and empty.
func inputs(t *testing.T, r *cluster.Resolved, bundle *secrets.Bundle, self cluster.Node) role.Inputs {
	t.Helper()
	scoped, err := bundle.Scope(self)
	if err != nil {
		t.Fatal(err)
	}
	if scoped.Backup != nil && r.Backup.SFTP != nil {
		scoped.Backup.SFTPKey = scoped.Leaf.Key // an operator imports the real one
	}
	empty := func(n cluster.Node) cluster.Observation {
		return cluster.Observation{Node: n.Name, Role: n.Role, Formation: cluster.FormationEmpty, Incarnation: n.Name}
	}
	in := role.Inputs{
		Cluster: r, Self: self, Secrets: scoped, Own: empty(self), Peers: cluster.Peers{},
		Facts: cluster.Facts{Hostname: self.Name, Addresses: []netip.Addr{self.Address}, MemoryBytes: 2 << 30, CPUs: 2},
	}
	for _, n := range r.Nodes {
		if n.Name != self.Name {
			in.Peers[n.Name] = cluster.Peer{Node: n, Observation: empty(n)}
		}
	}
	switch self.Role {
	case cluster.RolePostgres, cluster.RoleHeartbeat:
		in.Joined, _ = etcd.Decide(r.Name, etcd.View{Self: self, Nodes: r.Voters(), Own: in.Own, Peers: in.Peers})
	case cluster.RoleOpenSearch:
		for _, n := range r.NodesOf(cluster.RoleOpenSearch) {
			in.Joined.OpenSearch.InitialManagers = append(in.Joined.OpenSearch.InitialManagers, n.Name)
		}
	case cluster.RoleAPI:
		in.Joined.API.Bootstrap = self.Slot <= 1
	}
	return in
}
