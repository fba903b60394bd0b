package nftables

import (
	"fmt"
	"slices"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
)

// flow is what may come in.
type flow struct {
	what  string
	match string   // in nft's words
	from  []string // addresses and prefixes; none: from everywhere
}

// inbound lists what may come in to the machine.
func inbound(in role.Inputs) []flow {
	r := in.Cluster
	network := []string{r.Network.Prefix.Masked().String()}
	from := func(roles ...cluster.Role) []string { return addresses(r, roles...) }
	tcp := func(what string, port int, from []string) flow {
		return flow{what, fmt.Sprintf("tcp dport %d", port), from}
	}

	flows := []flow{tcp("agent", cluster.PortAgent, network)}
	if len(r.Access.SSH) > 0 {
		flows = append(flows, tcp("ssh", cluster.PortSSH, nil))
	}
	clients := from(cluster.RoleAPI)
	if r.API == nil { // a database without Cinc's API is for whoever is in the network
		clients = network
	}
	voters := from(cluster.RolePostgres, cluster.RoleHeartbeat)
	switch in.Self.Role {
	case cluster.RolePostgres:
		members := append(from(cluster.RolePostgres), clients...)
		flows = append(flows, tcp("PostgreSQL", cluster.PortPostgres, members), tcp("Patroni", cluster.PortPatroni, members),
			tcp("etcd clients", cluster.PortEtcdClient, voters), tcp("etcd peers", cluster.PortEtcdPeer, voters))
	case cluster.RoleHeartbeat:
		flows = append(flows, tcp("etcd clients", cluster.PortEtcdClient, voters), tcp("etcd peers", cluster.PortEtcdPeer, voters))
	case cluster.RoleOpenSearch:
		flows = append(flows, tcp("OpenSearch", cluster.PortOpenSearch, from(cluster.RoleAPI)),
			tcp("OpenSearch peers", cluster.PortOpenSearchPeer, from(cluster.RoleOpenSearch)))
	case cluster.RoleAPI, cluster.RoleStandalone:
		balancers := from(cluster.RoleLB) // none: clients come directly
		flows = append(flows, tcp("HTTPS", cluster.PortHTTPS, balancers), tcp("HTTP, redirects", cluster.PortHTTP, balancers))
		if len(balancers) > 0 {
			flows = append(flows, tcp("agent check", cluster.PortAgentCheck, balancers))
		}
	case cluster.RoleLB:
		flows = append(flows, tcp("HTTPS", cluster.PortHTTPS, nil), tcp("HTTP, redirects", cluster.PortHTTP, nil),
			flow{"VRRP", "ip protocol 112", from(cluster.RoleLB)})
	}
	return flows
}

// addresses returns where machines of the roles may call from: the whole pool of API nodes, launched or not. Where
// addresses are not part of the cluster, it is the network.
func addresses(r *cluster.Resolved, roles ...cluster.Role) []string {
	var list []string
	for _, n := range r.NodesOf(roles...) {
		if !n.Address.IsValid() {
			return []string{r.Network.Prefix.Masked().String()}
		}
		list = append(list, n.Address.String())
	}
	if r.API != nil && slices.Contains(roles, cluster.RoleAPI) {
		for _, address := range r.API.Pool {
			list = append(list, address.String())
		}
	}
	return list
}
