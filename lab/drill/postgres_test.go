package drill

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/secrets"
)

func TestPostgresConfig(t *testing.T) {
	t.Setenv("PGHOST", "elsewhere")
	t.Setenv("PGSSLMODE", "disable")
	t.Setenv("PGPASSWORD", "another")
	c := &cluster.Resolved{Name: "prod", Nodes: []cluster.Node{
		{Name: "postgres-1", Role: cluster.RolePostgres, Address: netip.MustParseAddr("10.20.0.31")},
		{Name: "postgres-2", Role: cluster.RolePostgres, Address: netip.MustParseAddr("10.20.0.32")},
		{Name: "heartbeat-1", Role: cluster.RoleHeartbeat, Address: netip.MustParseAddr("10.20.0.33")},
	}}
	bundle, err := secrets.Generate(c, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p := &Postgres{Cluster: c, CA: bundle.CA.Certificate, Password: secrets.New("s p/e?c@i&a:l")}
	for writer, want := range [][]string{{"10.20.0.31", "10.20.0.32"}, {"10.20.0.32", "10.20.0.31"}, {"10.20.0.31", "10.20.0.32"}} {
		config, err := p.config("lab", writer)
		if err != nil {
			t.Fatal(err)
		}
		hosts := []string{config.Host}
		servers := []string{config.TLSConfig.ServerName}
		for _, other := range config.Fallbacks {
			hosts = append(hosts, other.Host)
			servers = append(servers, other.TLSConfig.ServerName)
			if other.TLSConfig.InsecureSkipVerify || other.TLSConfig.RootCAs == nil || other.Port != cluster.PortPostgres {
				t.Errorf("%s:%d is not verified", other.Host, other.Port)
			}
		}
		if diff := cmp.Diff(want, hosts); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want, servers); diff != "" {
			t.Error(diff)
		}
		if config.TLSConfig.InsecureSkipVerify || config.TLSConfig.RootCAs == nil || config.Port != cluster.PortPostgres {
			t.Errorf("%s:%d is not verified", config.Host, config.Port)
		}
		if config.User != "cinc_owner" || config.Database != "lab" || config.Password != "s p/e?c@i&a:l" || config.ValidateConnect == nil {
			t.Errorf("%s at %s, wants writes: %v", config.User, config.Database, config.ValidateConnect != nil)
		}
	}
	p.CA = "nothing"
	if _, err := p.config("lab", 0); err == nil {
		t.Error("a CA that is none was taken")
	}
}

// Where there are API nodes, a writer keeps to the router of one.
func TestPostgresThroughRouters(t *testing.T) {
	c := &cluster.Resolved{Name: "prod", Domain: "chef.example.com", API: &cluster.API{Max: 2}, Postgres: &cluster.Postgres{}, Nodes: []cluster.Node{
		{Name: "api-1", Role: cluster.RoleAPI, Address: netip.MustParseAddr("10.20.0.11")},
		{Name: "api-2", Role: cluster.RoleAPI, Address: netip.MustParseAddr("10.20.0.12")},
		{Name: "postgres-1", Role: cluster.RolePostgres, Address: netip.MustParseAddr("10.20.0.31")},
	}}
	bundle, err := secrets.Generate(c, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var dialled []string
	p := &Postgres{Cluster: c, CA: bundle.CA.Certificate, Password: secrets.New("x")}
	if _, err := p.config("lab", 0); err == nil {
		t.Error("there is no way to the router")
	}
	p.DialFrom = func(_ context.Context, node, _, address string) (net.Conn, error) {
		dialled = append(dialled, node+" "+address)
		return nil, net.ErrClosed
	}
	clients := p.Clients()
	for writer := range clients {
		config, err := p.config("lab", writer)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = config.DialFunc(t.Context(), "tcp", net.JoinHostPort(config.Host, "5432"))
		if len(config.Fallbacks) != 0 || config.TLSConfig == nil {
			t.Errorf("other ways: %v, TLS %v", config.Fallbacks, config.TLSConfig)
		}
	}
	want := []string{"api-1 127.0.0.1:5432", "api-2 127.0.0.1:5432", "api-1 127.0.0.1:5432", "api-2 127.0.0.1:5432"}
	if diff := cmp.Diff(want, dialled); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Client{{"api-1", false}, {"api-2", false}, {"api-1", true}, {"api-2", true}}, clients); diff != "" {
		t.Error(diff)
	}
}
