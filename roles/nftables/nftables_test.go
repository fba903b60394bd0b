package nftables

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
)

func node(r cluster.Role, slot int, address string) cluster.Node {
	n := cluster.Node{Name: string(r), Role: r, Slot: slot}
	if address != "" {
		n.Address = netip.MustParseAddr(address)
	}
	return n
}

// Who comes in where: the port table in addresses.
func TestWhoComesIn(t *testing.T) {
	network := cluster.Network{Prefix: netip.MustParsePrefix("10.20.0.7/24")}
	database := []cluster.Node{node(cluster.RolePostgres, 1, "10.20.0.31"), node(cluster.RolePostgres, 2, "10.20.0.32"), node(cluster.RoleHeartbeat, 1, "10.20.0.33")}
	front := append([]cluster.Node{node(cluster.RoleLB, 1, "10.20.0.11"), node(cluster.RoleLB, 2, "10.20.0.12"), node(cluster.RoleAPI, 1, "10.20.0.20")}, database...)
	pool := &cluster.API{Min: 1, Max: 2, Pool: []netip.Addr{netip.MustParseAddr("10.20.0.20"), netip.MustParseAddr("10.20.0.21")}}
	external := []cluster.Node{node(cluster.RoleAPI, 0, ""), node(cluster.RolePostgres, 1, "")}
	for name, test := range map[string]struct {
		cluster cluster.Resolved
		self    cluster.Role
		want    string // a row; with "!" before it, one that must not be there
	}{
		"clients of a database alone":     {cluster.Resolved{Nodes: database}, cluster.RolePostgres, "ip saddr { 10.20.0.0/24 } tcp dport 5432 accept"},
		"clients of Cinc's database":      {cluster.Resolved{Nodes: front, API: pool}, cluster.RolePostgres, "ip saddr { 10.20.0.20, 10.20.0.21, 10.20.0.31, 10.20.0.32 } tcp dport 5432 accept"},
		"API nodes that are not named":    {cluster.Resolved{Nodes: database, API: pool, Postgres: &cluster.Postgres{}}, cluster.RolePostgres, "ip saddr { 10.20.0.20, 10.20.0.21, 10.20.0.31, 10.20.0.32 } tcp dport 5432 accept"},
		"balancers that are not named":    {cluster.Resolved{Nodes: front[2:3], API: pool, Postgres: &cluster.Postgres{}, LB: &cluster.LB{Kind: cluster.LBNodes}}, cluster.RoleAPI, "ip saddr { 10.20.0.0/24 } tcp dport 443 accept"},
		"no database on the witness":      {cluster.Resolved{Nodes: database}, cluster.RoleHeartbeat, "!dport 5432"},
		"clients behind a balancer":       {cluster.Resolved{Nodes: front, API: pool}, cluster.RoleAPI, "ip saddr { 10.20.0.11, 10.20.0.12 } tcp dport 443 accept"},
		"clients of the balancer":         {cluster.Resolved{Nodes: front, API: pool}, cluster.RoleLB, "        tcp dport 443 accept"},
		"the balancers' agreement":        {cluster.Resolved{Nodes: front, API: pool}, cluster.RoleLB, "ip saddr { 10.20.0.11, 10.20.0.12 } ip protocol 112 accept"},
		"the agent":                       {cluster.Resolved{Nodes: front, API: pool}, cluster.RoleLB, "        tcp dport 9440 accept"},
		"no ssh without keys":             {cluster.Resolved{Nodes: database}, cluster.RolePostgres, "!dport 22 "},
		"ssh with keys":                   {cluster.Resolved{Nodes: database, Access: cluster.Access{SSH: []string{"ssh-ed25519 A"}}}, cluster.RolePostgres, "        tcp dport 22 accept"},
		"an API whose addresses are open": {cluster.Resolved{Platform: cluster.AWS, Nodes: external, API: &cluster.API{Min: 1, Max: 3}}, cluster.RolePostgres, "ip saddr { 10.20.0.0/24 } tcp dport 5432 accept"},
		"leases where DHCP gives them":    {cluster.Resolved{Platform: cluster.AWS, Nodes: external, API: &cluster.API{Min: 1, Max: 3}}, cluster.RolePostgres, "udp sport 67 udp dport 68 accept"},
		"no leases on-prem":               {cluster.Resolved{Nodes: database}, cluster.RolePostgres, "!dport 68"},
	} {
		t.Run(name, func(t *testing.T) {
			r := test.cluster
			r.Network = network
			text := string(rules(role.Inputs{Cluster: &r, Self: node(test.self, 1, "10.20.0.99")}))
			row, unwanted := strings.CutPrefix(test.want, "!")
			if strings.Contains(text, row) == unwanted {
				t.Errorf("want %q in:\n%s", test.want, text)
			}
			if again := string(rules(role.Inputs{Cluster: &r, Self: node(test.self, 1, "10.20.0.99")})); again != text {
				t.Errorf("two calls differ:\n%s", again)
			}
			for i, line := range strings.Split(text, "\n") {
				if strings.Contains(line, "dport") && strings.Count(text, line+"\n") > 1 {
					t.Errorf("line %d stands twice: %s", i+1, line)
				}
			}
		})
	}
}
