package lb

import (
	"context"
	"net"
	"net/netip"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/haproxy"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Report asks haproxy whom it leads clients to, and looks whether the clients' address is here.
func (Role) Report(ctx context.Context, _ step.Host, in role.Inputs, status *cluster.Status) {
	if in.Cluster.LB != nil {
		status.Balancer = balancer(ctx, haproxy.Socket, in.Cluster.LB.VIP)
	}
}

// balancer is the node's view of what it balances; nil: haproxy does not run.
func balancer(ctx context.Context, socket string, vip netip.Addr) *cluster.Balancer {
	served, err := haproxy.Serving(ctx, socket)
	if err != nil {
		return nil
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	return &cluster.Balancer{HoldsVIP: among(addresses, vip), Up: served.Up, Sessions: served.Sessions, Degraded: len(served.Up) == 0}
}

func among(addresses []net.Addr, vip netip.Addr) bool {
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Unmap() == vip {
			return true
		}
	}
	return false
}
