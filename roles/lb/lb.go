// Package lb is a load balancer: haproxy leads clients to the API nodes, and keepalived holds the address they connect to
// on one of the lb nodes.
package lb

import (
	"context"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/haproxy"
	"github.com/cincbake/cincbake/roles/keepalived"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Role is a load balancer.
type Role struct{}

var _ role.Role = Role{}

// Name returns the role's name.
func (Role) Name() cluster.Role { return cluster.RoleLB }

// Bake returns what turns a base system into a load balancer's image.
func (Role) Bake(recipe cluster.Recipe) (step.Plan, error) {
	plan, err := base.Bake(recipe)
	plan = append(plan, haproxy.Bake()...)
	return append(plan, keepalived.Bake()...), err
}

// Boot returns what wires a load balancer into its cluster.
func (Role) Boot(in role.Inputs) (step.Plan, error) {
	balancer, err := haproxy.Balancer(in)
	if err != nil {
		return nil, err
	}
	address, err := keepalived.Boot(in)
	if err != nil {
		return nil, err
	}
	plan := base.Boot(in)
	plan = append(plan, balancer...)
	return append(plan, address...), nil
}

// Observe has nothing to tell: a balancer agrees on nothing with its peers.
func (Role) Observe(_ step.Files, self cluster.Node) (cluster.Observation, error) {
	return cluster.Observation{Node: self.Name, Role: self.Role}, nil
}

// Joiner is nil: balancers agree on nothing but who holds the address, which keepalived does.
func (Role) Joiner(step.Host) role.Joiner { return nil }

// Ready returns what must hold before the node counts. The API nodes behind it are not asked: a balancer is ready when
// there is nothing to balance yet.
func (Role) Ready(role.Inputs) []role.Probe {
	return []role.Probe{running(haproxy.Unit), running(keepalived.Unit)}
}

func running(unit string) role.Probe {
	return role.Probe{
		Title:    unit + " runs",
		Hint:     "journalctl -u " + unit,
		Deadline: time.Minute,
		Run: func(ctx context.Context, host step.Host) error {
			_, err := host.Run(ctx, step.Command{Argv: []string{"systemctl", "is-active", "--quiet", unit}})
			return err
		},
	}
}

// Verify returns what must hold in a sealed load balancer's image.
func (Role) Verify(cluster.Recipe) []role.Check {
	checks := append(base.Verify(), haproxy.Verify()...)
	return append(checks, keepalived.Verify()...)
}
