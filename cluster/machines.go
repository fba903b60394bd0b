package cluster

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
)

// machine is a node of the spec together with what Resolve will call it.
type machine struct {
	NodeSpec        // with its tier's defaults
	path     string // where it stands in the spec
	role     Role
	slot     int // from 1; 0 for a group
}

// machines lists every machine of the spec, by role in the order of Roles, then by slot. Of the API pool it has those that
// are launched now.
func (s *Spec) machines() []machine {
	var list []machine
	add := func(role Role, path string, nodes []NodeSpec, tier NodeSpec) {
		for i, node := range nodes {
			node.Disk = cmp.Or(node.Disk, tier.Disk)
			node.InstanceType = cmp.Or(node.InstanceType, tier.InstanceType)
			node.Volume = cmp.Or(node.Volume, tier.Volume)
			list = append(list, machine{node, index(path, i), role, i + 1})
		}
	}
	if s.LB != nil {
		add(RoleLB, "lb.nodes", s.LB.Nodes, NodeSpec{})
	}
	if s.API != nil {
		list = append(list, s.apiMachines()...)
	}
	if p := s.Postgres; p != nil {
		add(RolePostgres, "postgres.nodes", p.Nodes, NodeSpec{Disk: p.Disk, InstanceType: p.InstanceType, Volume: p.Volume})
	}
	if s.Heartbeat != nil {
		list = append(list, machine{*s.Heartbeat, "heartbeat", RoleHeartbeat, 1})
	}
	if o := s.OpenSearch; o != nil {
		add(RoleOpenSearch, "opensearch.nodes", o.Nodes, NodeSpec{Disk: o.Disk, InstanceType: o.InstanceType, Volume: o.Volume})
	}
	return list
}

func (s *Spec) apiMachines() []machine {
	node := NodeSpec{InstanceType: s.API.InstanceType}
	switch {
	case s.Standalone():
		node.Disk, node.Volume = s.API.Disk, s.API.Volume
		if s.Platform == AWS && len(s.Network.Subnets) > 0 {
			node.Subnet = s.Network.Subnets[0] // a volume lives in one zone
		}
		if pool := s.API.Addresses.expand(1); len(pool) > 0 {
			node.Address = pool[0]
		}
		return []machine{{node, "api", RoleStandalone, 1}}
	case s.Platform == AWS:
		return []machine{{node, "api", RoleAPI, 0}}
	}
	var list []machine
	for i, address := range s.API.Addresses.expand(s.API.launched()) {
		list = append(list, machine{NodeSpec{Address: address}, "api", RoleAPI, i + 1})
	}
	return list
}

// launched is how many nodes of the pool there are now.
func (a *APISpec) launched() int { return max(a.Nodes, 1) }

// AddressRange is one address or all from one to another, like 10.20.0.20-10.20.0.29.
type AddressRange struct{ First, Last netip.Addr }

// UnmarshalText reads an address or a range.
func (r *AddressRange) UnmarshalText(text []byte) error {
	first, last, isRange := strings.Cut(string(text), "-")
	if !isRange {
		last = first
	}
	var err error
	if r.First, err = netip.ParseAddr(first); err != nil {
		return err
	}
	r.Last, err = netip.ParseAddr(last)
	return err
}

// MarshalText is the inverse of UnmarshalText.
func (r AddressRange) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (r AddressRange) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return fmt.Sprintf("%s-%s", r.First, r.Last)
}

// AddressList is addresses and ranges, in order. One of them may stand without brackets.
type AddressList []AddressRange

func (l *AddressList) short() any {
	*l = make(AddressList, 1)
	return &(*l)[0]
}

// expand returns the first addresses of the list, most at most.
func (l AddressList) expand(most int) []netip.Addr {
	var list []netip.Addr
	for _, r := range l {
		if !r.First.IsValid() || !r.Last.IsValid() || r.First.BitLen() != r.Last.BitLen() {
			continue
		}
		for a := r.First; len(list) < most && a.IsValid() && a.Compare(r.Last) <= 0; a = a.Next() {
			list = append(list, a)
		}
	}
	return list
}
