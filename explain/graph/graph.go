// Package graph draws a resolved cluster: its tiers from the client inwards, the machines in them, and who talks to whom, as
// Mermaid text or as one HTML page that needs nothing else.
package graph

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/explain"
)

// Graph is a cluster as people draw it.
type Graph struct {
	Cluster string
	Summary []string // topology, platform, operating system and versions, a word or two each
	Tiers   []Tier   // from the client inwards
	Links   []Link
	Flows   []Flow
}

// Tier is machines that do the same for the cluster. Tiers of one rank stand side by side.
type Tier struct {
	ID       string // a role's name, or clients or backup
	Rank     int    // distance from the client
	Name     string
	What     string
	Outside  bool // somebody else's: the cluster uses it and does not run it
	Machines []Machine
	More     string // what may join later
}

// Machine is one machine of a tier, or the group that a pool of alike machines is.
type Machine struct {
	*explain.Machine
	Label string // address, instance type, or how many
	Place string // subnet
	Data  string // where its data lies; empty: on the root disk
}

// Serves lists the ports that tell what the machine is for. Every machine has its agent's and ssh.
func (m Machine) Serves() []int {
	var ports []int
	for _, p := range m.Ports {
		if p.Port != 0 && p.Port != cluster.PortAgent && p.Port != cluster.PortSSH {
			ports = append(ports, p.Port)
		}
	}
	return ports
}

// Link is an arrow from one tier to another.
type Link struct {
	From, To string   // tiers
	Ports    []string // like 5432
}

// Flow is a row of the port table.
type Flow struct {
	From, To string
	Port     string // like 5432/tcp
	What     string
}

// Of draws a cluster, each machine explained.
func Of(r *cluster.Resolved, a explain.Assume) (*Graph, error) {
	g := &Graph{Cluster: r.Name, Summary: summary(r)}
	g.Tiers = tiers(r)
	for i := range g.Tiers {
		for _, n := range r.NodesOf(rolesOf(g.Tiers[i].ID)...) {
			m, err := explain.Of(r, n, a)
			if err != nil {
				return nil, err
			}
			g.Tiers[i].Machines = append(g.Tiers[i].Machines, Machine{m, label(r, n), place(n), data(n)})
		}
	}
	g.addFlows(r)
	return g, nil
}

// rolesOf lists the roles of a tier's machines. The heartbeat stands with the database, whose tie it breaks.
func rolesOf(tier string) []cluster.Role {
	if tier == string(cluster.RolePostgres) {
		return []cluster.Role{cluster.RolePostgres, cluster.RoleHeartbeat}
	}
	return []cluster.Role{cluster.Role(tier)}
}

func summary(r *cluster.Resolved) []string {
	said := []string{string(r.Topology()), map[cluster.Platform]string{cluster.OnPrem: "on-prem", cluster.AWS: "AWS " + r.Region}[r.Platform]}
	said = append(said, r.Image.OS+" "+r.Image.Arch)
	if r.Cinc != nil {
		said = append(said, "Cinc Server "+r.Cinc.Version)
	}
	if r.Postgres != nil && r.Postgres.External == nil {
		said = append(said, fmt.Sprintf("PostgreSQL %d", r.Postgres.Version))
	}
	if r.OpenSearch != nil && r.OpenSearch.External == nil {
		said = append(said, "OpenSearch "+r.OpenSearch.Version)
	}
	return said
}

func tiers(r *cluster.Resolved) []Tier {
	var list []Tier
	clients := Tier{ID: cluster.FromClients, Name: "Clients", What: r.Domain, Outside: true}
	if r.API == nil {
		clients.What = "in " + r.Network.Prefix.String()
	}
	list = append(list, clients)
	if r.LB != nil {
		t := Tier{ID: string(cluster.RoleLB), Rank: 1, Name: "Load balancer", What: "one address, " + r.LB.VIP.String()}
		if r.LB.Kind == cluster.LBNLB {
			t.What, t.Outside = "AWS network load balancer", true
		}
		list = append(list, t)
	}
	if r.API != nil {
		t := Tier{ID: string(cluster.RoleAPI), Rank: 2, Name: "API", What: "Cinc Server, without state"}
		if len(r.NodesOf(cluster.RoleStandalone)) > 0 {
			t = Tier{ID: string(cluster.RoleStandalone), Rank: 2, Name: "Server", What: "Cinc Server with its database and search inside"}
		} else if idle := r.API.Max - len(r.NodesOf(cluster.RoleAPI)); idle > 0 && len(r.API.Pool) > 0 {
			t.More = fmt.Sprintf("%d more in the pool", idle)
		}
		list = append(list, t)
	}
	if r.Postgres != nil {
		t := Tier{ID: string(cluster.RolePostgres), Rank: 3, Name: "Database", What: database(r)}
		if e := r.Postgres.External; e != nil {
			t.What, t.Outside = fmt.Sprintf("%s, port %d", e.Host, e.Port), true
		}
		list = append(list, t)
	}
	if r.OpenSearch != nil {
		t := Tier{ID: string(cluster.RoleOpenSearch), Rank: 3, Name: "Search", What: "OpenSearch"}
		if e := r.OpenSearch.External; e != nil {
			t.What, t.Outside = e.URL, true
		}
		list = append(list, t)
	}
	if r.Backup != nil {
		list = append(list, Tier{ID: cluster.ToBackup, Rank: 4, Name: "Backups", What: repository(r.Backup), Outside: true})
	}
	return list
}

func database(r *cluster.Resolved) string {
	if len(r.NodesOf(cluster.RoleHeartbeat)) > 0 {
		return "PostgreSQL, one primary; the heartbeat breaks ties"
	}
	return "PostgreSQL, one primary"
}

func repository(b *cluster.Backup) string {
	switch {
	case b.S3 != nil:
		return "bucket " + b.S3.Bucket
	case b.SFTP != nil:
		return b.SFTP.User + "@" + b.SFTP.Host
	}
	return b.Path
}

// label is what tells a machine from its sisters.
func label(r *cluster.Resolved, n cluster.Node) string {
	switch {
	case n.Slot == 0 && r.API != nil && n.Role == cluster.RoleAPI:
		return fmt.Sprintf("%d to %d instances", r.API.Min, r.API.Max)
	case n.Address.IsValid():
		return n.Address.String()
	case n.Placement != nil:
		return n.Placement.InstanceType
	}
	return "found at boot"
}

func place(n cluster.Node) string {
	if n.Placement == nil {
		return ""
	}
	return n.Placement.Subnet
}

func data(n cluster.Node) string {
	switch {
	case n.Placement != nil && n.Placement.VolumeGiB > 0:
		return fmt.Sprintf("data on %d GiB of %s", n.Placement.VolumeGiB, n.Placement.VolumeType)
	case n.Disk != "":
		return "data on " + n.Disk
	}
	return ""
}

// addFlows takes the port table over, and makes arrows of what crosses from one tier to another. What goes to every machine
// alike, the agents' port and ssh, is in the table only: as arrows it would hide the picture.
func (g *Graph) addFlows(r *cluster.Resolved) {
	for _, f := range cluster.Ports(r) {
		port := explain.Port{Port: f.Port, Protocol: f.Protocol}
		g.Flows = append(g.Flows, Flow{f.From, string(f.To), port.String(), f.Why})
		switch to := string(f.To); {
		case f.Port == cluster.PortAgent:
		case f.From == cluster.FromClients && r.LB != nil && r.LB.Kind == cluster.LBNLB:
			g.link(f.From, string(cluster.RoleLB), fmt.Sprint(f.Port)) // it passes them on, with the client's address
			g.link(string(cluster.RoleLB), to, fmt.Sprint(f.Port))
		default:
			g.link(f.From, to, fmt.Sprint(f.Port))
		}
	}
	if r.Backup != nil && r.Backup.Path != "" {
		for _, n := range r.NodesOf(cluster.RolePostgres, cluster.RoleStandalone) {
			g.link(string(n.Role), cluster.ToBackup, "mounted")
		}
	}
	slices.SortStableFunc(g.Links, func(a, b Link) int {
		return cmp.Or(cmp.Compare(g.rank(a.From), g.rank(b.From)), cmp.Compare(g.rank(a.To), g.rank(b.To)))
	})
}

func (g *Graph) link(from, to, port string) {
	from, to = tierOf(from), tierOf(to)
	if from == to || g.tier(from) == nil || g.tier(to) == nil {
		return
	}
	for i, l := range g.Links {
		if l.From == from && l.To == to {
			if !slices.Contains(l.Ports, port) {
				g.Links[i].Ports = append(l.Ports, port)
			}
			return
		}
	}
	g.Links = append(g.Links, Link{from, to, []string{port}})
}

func tierOf(end string) string {
	if end == string(cluster.RoleHeartbeat) {
		return string(cluster.RolePostgres)
	}
	return end
}

func (g *Graph) tier(id string) *Tier {
	for i := range g.Tiers {
		if g.Tiers[i].ID == id {
			return &g.Tiers[i]
		}
	}
	return nil
}

func (g *Graph) rank(id string) int {
	if t := g.tier(id); t != nil {
		return t.Rank
	}
	return 0
}
