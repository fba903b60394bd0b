// Package haproxy is the way between a cluster's tiers: the router on every API node, which leads to the primary database
// and to the search cluster, and the balancer on the lb nodes, which leads clients to the API nodes.
package haproxy

import (
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Unit is haproxy's unit, from Debian's package.
const Unit = "haproxy.service"

const (
	configFile = "/etc/haproxy/haproxy.cfg"
	dropIn     = "/etc/systemd/system/haproxy.service.d/cincbake.conf"
)

// unitConf changes Debian's unit, which gives up after five quick failures.
const unitConf = `[Unit]
StartLimitIntervalSec=0

[Service]
Restart=always
RestartSec=1
`

// Bake returns the steps that put haproxy into an image.
func Bake() step.Plan {
	return step.Plan{
		{
			Title:  "Install haproxy",
			Reason: "the way to the next tier's healthy nodes",
			// procps: Debian's unit reloads with /bin/kill and does not say that it needs it.
			Action: step.Packages{Names: []string{"haproxy", "procps"}},
		},
		{
			Title:  "Keep haproxy from starting by itself",
			Reason: "the agent starts it once it knows the way",
			Action: step.Unit{Name: Unit, State: step.Disabled},
		},
		{
			Title:  "Restart haproxy for ever",
			Reason: "without it the machine serves nobody",
			Action: step.File{Path: dropIn, Mode: 0o644, Content: []byte(unitConf)},
		},
	}
}

// Verify returns what must hold in an image with haproxy.
func Verify() []role.Check { return []role.Check{base.DisabledUnits(Unit)} }

// serve returns the steps that bring a configuration into service. A running haproxy keeps its connections.
func serve(configuration []byte, watch ...string) step.Plan {
	return step.Plan{
		{
			Title:  "Write haproxy's configuration",
			Reason: "who leads where, and how it is known that a server is well; haproxy itself accepts it first",
			// It may hold the search user's password, for the health check.
			Action: step.File{Path: configFile, Mode: 0o600, Content: configuration, Reader: []string{"haproxy", "-c", "-f"}},
		},
		{
			Title:  "Start haproxy",
			Reason: "it reads a changed file without dropping a connection",
			Action: step.Unit{Name: Unit, State: step.Started, Reload: true, Watch: append([]string{configFile}, watch...)},
		},
	}
}
