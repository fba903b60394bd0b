// Package keepalived holds the address that clients connect to on one of the lb nodes, by VRRP.
package keepalived

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/haproxy"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Unit is keepalived's unit, from Debian's package.
const Unit = "keepalived.service"

const (
	configFile = "/etc/keepalived/keepalived.conf"
	dropIn     = "/etc/systemd/system/keepalived.service.d/cincbake.conf"
)

// unitConf changes Debian's unit, which does not restart what fails.
const unitConf = `[Unit]
StartLimitIntervalSec=0

[Service]
Restart=always
RestartSec=1
`

// Bake returns the steps that put keepalived into an image. The IPVS tools that it recommends are not needed for an address.
func Bake() step.Plan {
	return step.Plan{
		{
			Title:  "Install keepalived",
			Reason: "one of the lb nodes holds the clients' address, another takes it over",
			// procps: Debian's unit reloads with /bin/kill and does not say that it needs it.
			Action: step.Packages{Names: []string{"keepalived", "procps"}},
		},
		{
			Title:  "Keep keepalived from starting by itself",
			Reason: "the address must not lead to a machine that balances nothing yet",
			Action: step.Unit{Name: Unit, State: step.Disabled},
		},
		{
			Title:  "Restart keepalived for ever",
			Reason: "a node without it can't take the address over",
			Action: step.File{Path: dropIn, Mode: 0o644, Content: []byte(unitConf)},
		},
	}
}

// Verify returns what must hold in an image with keepalived.
func Verify() []role.Check { return []role.Check{base.DisabledUnits(Unit)} }

// Boot returns the steps that make an lb node a holder of the address. They come after the balancer's own.
func Boot(in role.Inputs) (step.Plan, error) {
	configuration, err := config(in)
	if err != nil {
		return nil, err
	}
	return step.Plan{
		{
			Title:  "Write keepalived's configuration",
			Reason: "who may hold the address, and when to give it up; keepalived itself accepts it first",
			Action: step.File{Path: configFile, Mode: 0o644, Content: []byte(configuration), Reader: []string{"keepalived", "--config-test", "--use-file"}},
		},
		{
			Title:  "Start keepalived",
			Reason: "haproxy serves by now, so the address may lead here",
			Action: step.Unit{Name: Unit, State: step.Started, Reload: true, Watch: []string{configFile}},
		},
	}, nil
}

// config is keepalived's configuration. Every holder begins as backup and does not take the address from a living one: a
// node that returns must not cost the clients a second gap. Five advertisements a second, which VRRP 3 allows, move the
// address in 0.7 seconds. They go to the other holders alone: many networks lose multicast.
func config(in role.Inputs) (string, error) {
	lb := in.Cluster.LB
	if lb == nil || lb.Kind != cluster.LBNodes {
		return "", errors.New("the cluster's load balancer is not made of lb nodes")
	}
	var peers strings.Builder
	for _, n := range in.Located(cluster.RoleLB) {
		if n.Name != in.Self.Name {
			fmt.Fprintf(&peers, "        %s\n", n.Address)
		}
	}
	return fmt.Sprintf(template, in.Self.Name, haproxy.Unit, in.Cluster.Network.Interface, lb.RouterID,
		topPriority-in.Self.Slot, in.Self.Address, peers.String(),
		lb.VIP, in.Cluster.Network.Prefix.Bits(), in.Cluster.Network.Interface), nil
}

// topPriority is above every node's own, which falls with the slot, so that no two are equal. 255 means "owns the address".
const topPriority = 200

const template = `# Written by cincbake at every boot.
global_defs {
    router_id %s
    vrrp_version 3
    enable_script_security
    script_user nobody
}

vrrp_script haproxy {
    script "/usr/bin/systemctl is-active --quiet %s"
    interval 1
    timeout 2
    fall 2
    rise 1
}

vrrp_instance clients {
    state BACKUP
    nopreempt
    interface %s
    virtual_router_id %d
    priority %d
    advert_int 0.2
    unicast_src_ip %s
    unicast_peer {
%s    }
    virtual_ipaddress {
        %s/%d dev %s
    }
    track_script {
        haproxy
    }
}
`
