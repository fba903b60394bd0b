package secrets

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/cincbake/cincbake/cluster"
)

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

// selfHosted has every tier as its own, one API node launched of a pool of two, and backups.
func selfHosted() *cluster.Resolved {
	r := testCluster()
	r.Platform, r.Domain = cluster.OnPrem, "chef.example.com"
	r.API = &cluster.API{Pool: []netip.Addr{addr("10.20.0.20"), addr("10.20.0.21")}, Min: 1, Max: 2}
	r.Postgres, r.OpenSearch = &cluster.Postgres{Version: 13}, &cluster.OpenSearch{Version: "1.3.20"}
	r.Backup = &cluster.Backup{Path: "/mnt/backup"}
	r.Nodes = append([]cluster.Node{
		{Name: "lb-1", Role: cluster.RoleLB, Slot: 1, Address: addr("10.20.0.11")},
		{Name: "api-1", Role: cluster.RoleAPI, Slot: 1, Address: addr("10.20.0.20")},
	}, r.Nodes...)
	r.Nodes = append(r.Nodes, cluster.Node{Name: "opensearch-1", Role: cluster.RoleOpenSearch, Slot: 1, Address: addr("10.20.0.41")})
	return r
}

// managed is an autoscaled group on AWS in front of somebody else's database and search.
func managed() *cluster.Resolved {
	return &cluster.Resolved{
		Name: "prod", Platform: cluster.AWS, Domain: "chef.example.com",
		API:        &cluster.API{Min: 2, Max: 6},
		Postgres:   &cluster.Postgres{Version: 13, External: &cluster.ExternalPostgres{Host: "db.example.com"}},
		OpenSearch: &cluster.OpenSearch{Version: "1.3", External: &cluster.ExternalOpenSearch{URL: "https://search.example.com"}},
		Nodes:      []cluster.Node{{Name: "api", Role: cluster.RoleAPI}},
	}
}

// standalone is one server with everything inside, and backups.
func standalone() *cluster.Resolved {
	return &cluster.Resolved{
		Name: "prod", Platform: cluster.OnPrem, Domain: "chef.example.com",
		API:    &cluster.API{Pool: []netip.Addr{addr("10.20.0.20")}, Min: 1, Max: 1},
		Backup: &cluster.Backup{Path: "/mnt/backup"},
		Nodes:  []cluster.Node{{Name: "standalone-1", Role: cluster.RoleStandalone, Slot: 1, Address: addr("10.20.0.20")}},
	}
}

// generate makes the bundle of a kind of cluster once, and hands out copies: its RSA keys and hashes take a second.
func generate(t *testing.T, of func() *cluster.Resolved) *Bundle {
	t.Helper()
	once, ok := map[string]func() ([]byte, error){
		"self-hosted": selfHostedOnce, "managed": managedOnce, "standalone": standaloneOnce,
	}[kindOf(of())]
	if !ok {
		t.Fatal("no such kind of cluster")
	}
	encoded, err := once()
	if err != nil {
		t.Fatal(err)
	}
	b, err := DecodeBundle(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func kindOf(r *cluster.Resolved) string { return string(r.Topology()) }

var (
	selfHostedOnce = once(selfHosted, nil)
	standaloneOnce = once(standalone, nil)
	managedOnce    = once(managed, map[string]Secret{
		"cinc.databaseOwner": New("FAKE-database"), "cinc.search": New("FAKE-search"),
	})
)

func once(of func() *cluster.Resolved, values map[string]Secret) func() ([]byte, error) {
	return sync.OnceValues(func() ([]byte, error) {
		b, err := NewBundle(of(), now)
		if err != nil {
			return nil, err
		}
		if _, err := b.Import(of(), Imports{Values: values}, now); err != nil {
			return nil, err
		}
		if _, err := b.AddMissing(of(), now); err != nil {
			return nil, err
		}
		return b.Encode()
	})
}
