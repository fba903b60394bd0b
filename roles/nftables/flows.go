package nftables

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
)

// vrrp is the protocol's number. A machine may lack the file with names of protocols.
const vrrp = 112

// rule is what may come in at one port.
type rule struct {
	match string   // in nft's words
	why   []string // the rows of the port table
	from  []netip.Prefix
	open  bool // from everywhere
}

// inbound makes one rule of all rows of the port table that name a port of the machine.
func inbound(in role.Inputs) []rule {
	var rules []rule
	for _, flow := range cluster.Inbound(in.Cluster, in.Self.Role) {
		match := fmt.Sprintf("%s dport %d", flow.Protocol, flow.Port)
		if flow.Protocol == cluster.VRRP {
			match = fmt.Sprintf("ip protocol %d", vrrp)
		}
		i := slices.IndexFunc(rules, func(r rule) bool { return r.match == match })
		if i < 0 {
			i, rules = len(rules), append(rules, rule{match: match})
		}
		from, open := sources(in.Cluster, flow)
		r := &rules[i]
		r.open = r.open || open
		r.from = append(r.from, from...)
		if !slices.Contains(r.why, flow.Why) {
			r.why = append(r.why, flow.Why)
		}
	}
	return rules
}

// String writes the rule with its reason above it.
func (r rule) String() string {
	from := ""
	if !r.open {
		from = "ip saddr { " + strings.Join(set(r.from), ", ") + " } "
	}
	return fmt.Sprintf("        # %s\n        %s%s accept\n", strings.Join(r.why, "; "), from, r.match)
}

// set returns the elements of nft's set, sorted: what a wider prefix holds is left out.
func set(prefixes []netip.Prefix) []string {
	var elements []string
	for _, p := range slices.SortedFunc(slices.Values(prefixes), netip.Prefix.Compare) {
		held := func(wider netip.Prefix) bool { return wider.Bits() < p.Bits() && wider.Contains(p.Addr()) }
		if slices.ContainsFunc(prefixes, held) {
			continue
		}
		element := p.String()
		if p.IsSingleIP() {
			element = p.Addr().String()
		}
		elements = append(elements, element)
	}
	return slices.Compact(elements)
}

// sources returns where a flow may begin; open means everywhere.
func sources(r *cluster.Resolved, flow cluster.Flow) (from []netip.Prefix, open bool) {
	network := []netip.Prefix{r.Network.Prefix.Masked()}
	switch flow.From {
	case cluster.FromOperators:
		return nil, true
	case cluster.FromClients:
		if flow.To == cluster.RolePostgres {
			return network, false // a database without Cinc's API is for whoever is in its network
		}
		return nil, true
	case cluster.FromCluster:
		return network, false
	}
	for _, n := range r.NodesOf(cluster.Role(flow.From)) {
		if !n.Address.IsValid() {
			return network, false // where addresses are not part of the cluster
		}
		from = append(from, single(n.Address))
	}
	if flow.From == string(cluster.RoleAPI) { // the whole pool: which of it are launched is not told to every machine
		for _, address := range r.API.Pool {
			from = append(from, single(address))
		}
	}
	if len(from) == 0 {
		return network, false
	}
	return from, false
}

func single(address netip.Addr) netip.Prefix { return netip.PrefixFrom(address, address.BitLen()) }
