package cluster

import (
	"net/url"
	"strconv"
)

// Ports of the services that machines reach on each other, or that are reached from outside.
const (
	PortHTTPS          = 443  // API nodes and load balancers
	PortHTTP           = 80   // redirects to HTTPS
	PortSSH            = 22   // emergencies
	PortPostgres       = 5432 // PostgreSQL; API nodes' local router listens on it on loopback
	PortPatroni        = 8008 // Patroni's REST API: members, and routers' checks
	PortEtcdClient     = 2379
	PortEtcdPeer       = 2380
	PortOpenSearch     = 9200 // OpenSearch's HTTP API; API nodes' local router listens on it on loopback
	PortOpenSearchPeer = 9300
	PortAgent          = 9440 // the agent's mTLS endpoint
	PortAgentCheck     = 9441 // haproxy's agent-check, on API nodes
)

// Protocols of the port table.
const (
	TCP  = "tcp"
	VRRP = "vrrp" // a protocol of its own, without ports
)

// Ends of a flow that are no role.
const (
	FromClients   = "clients"   // whoever uses the cluster
	FromOperators = "operators" // whoever runs it
	FromCluster   = "cluster"   // every machine of it
	ToBackup      = "backup"    // where the databases are copied to
)

// Flow is a row of the port table: who talks to whom. Host firewalls, security groups and the graph are made from it.
type Flow struct {
	From     string `json:"from"` // a role, or one of the ends above
	To       Role   `json:"to"`   // a role, its machines or somebody else's; or ToBackup
	Port     int    `json:"port"` // 0 for a protocol without ports
	Protocol string `json:"protocol"`
	Why      string `json:"why"`
}

// portRow is a flow that clusters have for which when holds.
type portRow struct {
	Flow
	when func(*Resolved) bool
}

// portTable is every flow that a cluster may have. A flow is there when both of its ends are, and its condition holds.
func portTable() []portRow {
	var (
		always    = func(*Resolved) bool { return true }
		balanced  = func(r *Resolved) bool { return r.runs(RoleLB) }
		direct    = func(r *Resolved) bool { return !r.runs(RoleLB) }
		noAPI     = func(r *Resolved) bool { return r.API == nil }
		toBucket  = func(r *Resolved) bool { return r.Backup != nil && r.Backup.S3 != nil }
		toAccount = func(r *Resolved) bool { return r.Backup != nil && r.Backup.SFTP != nil }
		hasAccess = func(r *Resolved) bool { return len(r.Access.SSH) > 0 }
	)
	const (
		lb, api, standalone         = string(RoleLB), string(RoleAPI), string(RoleStandalone)
		postgres, heartbeat, search = string(RolePostgres), string(RoleHeartbeat), string(RoleOpenSearch)
	)
	table := []portRow{
		{Flow{FromClients, RoleLB, PortHTTPS, TCP, "Cinc Server's API"}, always},
		{Flow{FromClients, RoleLB, PortHTTP, TCP, "redirect to HTTPS"}, always},
		{Flow{lb, RoleLB, 0, VRRP, "who holds the VIP"}, always},
		{Flow{lb, RoleAPI, PortHTTPS, TCP, "clients' connections, passed through, and health checks"}, balanced},
		{Flow{lb, RoleAPI, PortAgentCheck, TCP, "haproxy's agent check: a node drains itself"}, balanced},
		{Flow{FromClients, RoleAPI, PortHTTPS, TCP, "Cinc Server's API"}, direct},
		{Flow{FromClients, RoleAPI, PortHTTP, TCP, "redirect to HTTPS"}, direct},
		{Flow{FromClients, RoleStandalone, PortHTTPS, TCP, "Cinc Server's API"}, always},
		{Flow{FromClients, RoleStandalone, PortHTTP, TCP, "redirect to HTTPS"}, always},

		{Flow{api, RolePostgres, PortPostgres, TCP, "the databases, through each node's router"}, always},
		{Flow{api, RolePostgres, PortPatroni, TCP, "the router asks who is primary"}, always},
		{Flow{FromClients, RolePostgres, PortPostgres, TCP, "the databases"}, noAPI},
		{Flow{FromClients, RolePostgres, PortPatroni, TCP, "who is primary"}, noAPI},
		{Flow{postgres, RolePostgres, PortPostgres, TCP, "replication"}, always},
		{Flow{postgres, RolePostgres, PortPatroni, TCP, "Patroni asks its peers before it takes over"}, always},
		{Flow{postgres, RolePostgres, PortEtcdClient, TCP, "Patroni keeps its lease in etcd"}, always},
		{Flow{postgres, RoleHeartbeat, PortEtcdClient, TCP, "Patroni keeps its lease in etcd"}, always},
		{Flow{heartbeat, RolePostgres, PortEtcdClient, TCP, "etcd's members ask each other when they join"}, always},
		{Flow{postgres, RolePostgres, PortEtcdPeer, TCP, "etcd's members agree"}, always},
		{Flow{postgres, RoleHeartbeat, PortEtcdPeer, TCP, "etcd's members agree"}, always},
		{Flow{heartbeat, RolePostgres, PortEtcdPeer, TCP, "etcd's members agree"}, always},

		{Flow{api, RoleOpenSearch, PortOpenSearch, TCP, "the search index, through each node's router"}, always},
		{Flow{search, RoleOpenSearch, PortOpenSearch, TCP, "an empty search node asks whether there is a cluster to join"}, always},
		{Flow{search, RoleOpenSearch, PortOpenSearchPeer, TCP, "OpenSearch's nodes share the index"}, always},

		{Flow{postgres, ToBackup, PortHTTPS, TCP, "pgBackRest's repository"}, toBucket},
		{Flow{postgres, ToBackup, PortSSH, TCP, "pgBackRest's repository"}, toAccount},
		{Flow{standalone, ToBackup, PortHTTPS, TCP, "pgBackRest's repository"}, toBucket},
		{Flow{standalone, ToBackup, PortSSH, TCP, "pgBackRest's repository"}, toAccount},
	}
	for _, role := range Roles() {
		table = append(table,
			portRow{Flow{FromCluster, role, PortAgent, TCP, "the agents tell each other about themselves"}, always},
			portRow{Flow{FromOperators, role, PortAgent, TCP, "status, and what operators ask for"}, always},
			portRow{Flow{FromOperators, role, PortSSH, TCP, "emergencies"}, hasAccess})
	}
	return table
}

// Ports returns the port table of a cluster: the flows between the tiers that it has.
func Ports(r *Resolved) []Flow {
	var flows []Flow
	for _, row := range portTable() {
		if !row.when(r) || !r.hasEnd(row.From) || !r.hasEnd(string(row.To)) {
			continue
		}
		flows = append(flows, row.Flow)
	}
	return append(flows, r.outward()...)
}

// Inbound returns the flows that machines of a role let in.
func Inbound(r *Resolved, role Role) []Flow {
	var flows []Flow
	for _, flow := range Ports(r) {
		if flow.To == role && r.runs(role) {
			flows = append(flows, flow)
		}
	}
	return flows
}

// runs tells whether the cluster runs machines of a role: those that it names, and those that only its tiers tell of, as a
// machine's document leaves others out and the machine's firewall is the same.
func (r *Resolved) runs(role Role) bool {
	if len(r.NodesOf(role)) > 0 {
		return true
	}
	switch role {
	case RoleLB:
		return r.LB != nil && r.LB.Kind == LBNodes
	case RoleAPI:
		return r.API != nil && r.Postgres != nil
	case RoleStandalone:
		return r.API != nil && r.Postgres == nil
	case RolePostgres:
		return r.Postgres != nil && r.Postgres.External == nil
	case RoleOpenSearch:
		return r.OpenSearch != nil && r.OpenSearch.External == nil
	}
	return false
}

// hasEnd tells whether an end of a flow is there: machines, or whoever is outside.
func (r *Resolved) hasEnd(end string) bool {
	switch end {
	case FromClients, FromOperators, FromCluster, ToBackup:
		return true
	}
	return r.runs(Role(end))
}

// outward returns the flows from API nodes to tiers that are somebody else's, at the ports that those have.
func (r *Resolved) outward() []Flow {
	var flows []Flow
	if r.Postgres != nil && r.Postgres.External != nil {
		flows = append(flows, Flow{string(RoleAPI), RolePostgres, r.Postgres.External.Port, TCP, "the databases, through each node's router"})
	}
	if r.OpenSearch != nil && r.OpenSearch.External != nil {
		flows = append(flows, Flow{string(RoleAPI), RoleOpenSearch, r.OpenSearch.External.Port(), TCP, "the search index, through each node's router"})
	}
	return flows
}

// Port returns the port of the search's URL.
func (e *ExternalOpenSearch) Port() int {
	u, err := url.Parse(e.URL)
	if err != nil {
		return PortHTTPS
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return PortHTTPS
	}
	return port
}
