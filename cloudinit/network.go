package cloudinit

import (
	"net/netip"

	"github.com/cincbake/cincbake/cluster"
)

// networkConfig is a network-config of version 2, in what cloud-init 25.1.4 renders for systemd-networkd.
type networkConfig struct {
	Version int `yaml:"version"`
	// Ethernets are by the interface's name. The renderer matches by this key and ignores match.name.
	Ethernets map[text]ethernet `yaml:"ethernets"`
}

type ethernet struct {
	DHCP4       bool           `yaml:"dhcp4"`
	DHCP6       bool           `yaml:"dhcp6"`
	Addresses   []netip.Prefix `yaml:"addresses"`
	Routes      []route        `yaml:"routes,omitempty"`
	Nameservers *nameservers   `yaml:"nameservers,omitempty"`
}

type route struct {
	To  netip.Prefix `yaml:"to"`
	Via netip.Addr   `yaml:"via"`
}

type nameservers struct {
	Addresses []netip.Addr `yaml:"addresses"`
}

// everywhere is the default route's destination. The word "default" for it makes every stage of cloud-init 25.1.4 fail.
var everywhere = netip.PrefixFrom(netip.IPv4Unspecified(), 0)

func newNetworkConfig(r *cluster.Resolved, node cluster.Node) networkConfig {
	own := ethernet{Addresses: []netip.Prefix{netip.PrefixFrom(node.Address, r.Network.Prefix.Bits())}}
	if r.Network.Gateway.IsValid() {
		own.Routes = []route{{To: everywhere, Via: r.Network.Gateway}}
	}
	if len(r.Network.DNS) > 0 {
		own.Nameservers = &nameservers{r.Network.DNS}
	}
	return networkConfig{Version: 2, Ethernets: map[text]ethernet{text(r.Network.Interface): own}}
}
