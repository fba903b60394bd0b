package cluster

import (
	"fmt"
	"net/netip"
	"strings"
)

// place is an address of the spec and where it stands.
type place struct {
	path    string
	address netip.Addr
}

// nodePlaces lists the addresses that the cluster's machines have or may get, and the one that moves between them, without
// those that could not be read.
func (c *checker) nodePlaces() []place {
	var list []place
	for _, m := range c.spec.machines() {
		path := m.path
		if long := join(path, "address"); c.spec.written(long) {
			path = long
		}
		if m.Address.IsValid() && m.path != "api" {
			list = append(list, place{path, m.Address})
		}
	}
	list = append(list, c.poolPlaces()...)
	if lb := c.spec.LB; lb != nil && lb.VIP.IsValid() {
		list = append(list, place{vipPath, lb.VIP})
	}
	return list
}

const (
	vipPath  = "lb.vip"
	poolPath = "api.addresses"
)

// poolPlaces lists the addresses that an API node may have, one more than there may be of them at most.
func (c *checker) poolPlaces() []place {
	if c.spec.API == nil {
		return nil
	}
	var list []place
	for i, r := range c.spec.API.Addresses {
		path := poolPath
		if long := index(path, i); c.spec.written(long) || len(c.spec.API.Addresses) > 1 {
			path = long
		}
		for _, address := range (AddressList{r}).expand(mostAPINodes + 1 - len(list)) {
			list = append(list, place{path, address})
		}
	}
	return list
}

// servicePlaces lists the addresses of the servers that the machines use.
func (c *checker) servicePlaces() []place {
	var list []place
	for i, address := range c.spec.Network.DNS {
		list = append(list, place{index("network.dns", i), address})
	}
	for i, address := range c.spec.Network.NTP {
		list = append(list, place{index("network.ntp", i), address})
	}
	return list
}

func (c *checker) gatewayPlace() place { return place{"network.gateway", c.spec.Network.Gateway} }

// The sizes that a network may have; the narrowest has room for five nodes and a gateway.
const widest, narrowest = 8, 29

// prefix returns the network, if it is one whose members can be told.
func (c *checker) prefix() (netip.Prefix, bool) {
	prefix := c.spec.Network.Prefix
	return prefix.Masked(), prefix.Addr().Is4() && prefix.Bits() >= widest && prefix.Bits() <= narrowest
}

func (c *checker) ipv6() {
	const remedy = "use IPv4: Cinc Server does not reliably reach a database or search node over IPv6"
	places := append(c.nodePlaces(), c.gatewayPlace())
	places = append(places, c.servicePlaces()...)
	places = append(places, place{"network.prefix", c.spec.Network.Prefix.Addr()})
	for _, p := range places {
		if p.address.Is6() {
			c.report(p.path, "this is IPv6", remedy)
		}
	}
}

func (c *checker) prefixMasked() {
	if network, ok := c.prefix(); ok && c.spec.Network.Prefix != network {
		c.report("network.prefix", c.spec.Network.Prefix.String()+" is a machine's address in a network", "did you mean "+network.String()+"?")
	}
}

func (c *checker) prefixUsable() {
	network, ok := c.prefix()
	if !ok {
		return
	}
	if !unicast(network.Addr()) {
		c.report("network.prefix", network.String()+" is not a network that machines can live in", "use a private network, like 10.20.0.0/24")
	}
}

// unicast tells whether a machine can have an IPv4 address that others send to.
func unicast(a netip.Addr) bool {
	const reserved = 240 // class E and the broadcast address
	return !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && !a.IsLinkLocalUnicast() && a.As4()[0] < reserved
}

func (c *checker) prefixSize() {
	if _, ok := c.prefix(); !ok && c.spec.Network.Prefix.Addr().Is4() {
		c.report("network.prefix", fmt.Sprintf("/%d is no size for a cluster's network", c.spec.Network.Prefix.Bits()),
			fmt.Sprintf("use a prefix from /%d to /%d", widest, narrowest))
	}
}

func (c *checker) gatewayInNetwork() {
	network, ok := c.prefix()
	if gateway := c.spec.Network.Gateway; ok && gateway.Is4() && !network.Contains(gateway) {
		c.report("network.gateway", fmt.Sprintf("%s is outside network.prefix, %s", gateway, network), "use an address in it, or remove the key if there is no gateway")
	}
}

func (c *checker) gatewayNotANode() {
	for _, p := range c.nodePlaces() {
		if p.address == c.spec.Network.Gateway {
			c.report(p.path, p.address.String()+" is the gateway's address", "give the machine another one")
		}
	}
}

func (c *checker) serviceAddress() {
	nodes := map[netip.Addr]bool{}
	for _, p := range c.nodePlaces() {
		nodes[p.address] = true
	}
	for _, p := range c.servicePlaces() {
		switch {
		case !p.address.Is4():
		case nodes[p.address]:
			c.report(p.path, p.address.String()+" is a machine of this cluster, and none serves this", "name a server outside the cluster")
		case !unicast(p.address) && !p.address.IsLinkLocalUnicast(): // some clouds answer on a link-local address
			c.report(p.path, p.address.String()+" is not a server that machines can reach", "name a server by its own address")
		}
	}
}

func (c *checker) dnsAtMostThree() {
	const most = 3 // MAXNS in glibc's resolv.h
	for i := range c.spec.Network.DNS {
		if i >= most {
			c.report(index("network.dns", i), "the resolver uses three servers and would ignore this one", "remove it")
		}
	}
}

func (c *checker) listUnique() {
	seen := map[string]string{} // list and entry to the path where it stood first
	report := func(list, path, entry string) {
		key := list + " " + entry
		if first, twice := seen[key]; twice {
			c.report(path, "this is the same as "+first, "remove one, or correct it")
			return
		}
		seen[key] = path
	}
	for _, p := range c.servicePlaces() {
		if p.address.IsValid() {
			report(parent(p.path), p.path, p.address.String())
		}
	}
	for i, line := range c.spec.Access.SSH {
		if fields := strings.Fields(line); len(fields) >= 2 {
			report("ssh", index("access.ssh", i), fields[0]+" "+fields[1]) // the comment does not tell keys apart
		}
	}
}

func (c *checker) interfaceName() {
	const allowed = letters + upperCase + digits + "._-"
	const longest = 15 // IFNAMSIZ less its NUL
	name := c.spec.Network.Interface
	switch {
	case name == "":
	case name == "lo":
		c.report("network.interface", "lo is the loopback interface", "name the interface that is in the network, like eth0")
	case len(name) > longest || !madeOf(name, allowed) || madeOf(name, "."):
		c.report("network.interface", show(name)+" cannot be an interface's name",
			fmt.Sprintf("use letters, digits, dots, hyphens and underscores, %d at most, like eth0", longest))
	}
}

func (c *checker) addressInNetwork() {
	network, ok := c.prefix()
	for _, p := range c.nodePlaces() {
		if ok && p.address.Is4() && !network.Contains(p.address) {
			c.report(p.path, fmt.Sprintf("%s is outside network.prefix, %s", p.address, network), "use an address in it")
		}
	}
}

func (c *checker) addressReserved() {
	network, ok := c.prefix()
	if !ok {
		return
	}
	for _, p := range append(c.nodePlaces(), c.gatewayPlace()) {
		switch {
		case p.address == network.Addr():
			c.report(p.path, fmt.Sprintf("%s is the network's own address", p.address), "use one between the first and the last")
		case p.address == broadcast(network):
			c.report(p.path, fmt.Sprintf("%s is the network's broadcast address", p.address), "use one between the first and the last")
		}
	}
}

// broadcast returns the last address of an IPv4 network.
func broadcast(network netip.Prefix) netip.Addr {
	last := network.Addr().As4()
	for bit := network.Bits(); bit < 32; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(last)
}

func (c *checker) addressUnique() {
	first := map[netip.Addr]string{}
	for _, p := range c.nodePlaces() {
		path, taken := first[p.address]
		if taken && p.path == vipPath {
			c.report(p.path, p.address.String()+" is the address of "+path+" already", "use one that no machine has: it moves between the load balancers")
			continue
		}
		if taken {
			c.report(p.path, p.address.String()+" is the address of "+path+" already", "give each machine its own")
			continue
		}
		first[p.address] = p.path
	}
}
