// Package api is an API node: Cinc Server without state of its own, in front of a database and a search elsewhere. Any
// number of them are alike.
package api

import (
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/cinc"
	"github.com/cincbake/cincbake/roles/haproxy"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Role is an API node.
type Role struct{}

var _ role.Role = Role{}

// Name returns the role's name.
func (Role) Name() cluster.Role { return cluster.RoleAPI }

// Bake returns what turns a base system into an API node's image.
func (Role) Bake(recipe cluster.Recipe) (step.Plan, error) {
	plan, err := base.Bake(recipe)
	if err != nil {
		return nil, err
	}
	plan = append(plan, haproxy.Bake()...)
	return append(plan, cinc.Bake(recipe, haproxy.Unit)...), nil
}

// Boot returns what wires an API node into its cluster.
func (Role) Boot(in role.Inputs) (step.Plan, error) {
	files, err := cinc.Files(in)
	if err != nil {
		return nil, err
	}
	configure, err := cinc.Configure(in)
	if err != nil {
		return nil, err
	}
	way, err := way(in)
	if err != nil {
		return nil, err
	}
	// The way to database and search, then proof that both are at its end, then Cinc Server: it hangs or gives up otherwise.
	plan := append(way, files...)
	plan = append(plan, cinc.Reach(in)...)
	return append(plan, configure...), nil
}

// Observe has nothing to tell: an API node agrees on nothing with its peers.
func (Role) Observe(_ step.Files, self cluster.Node) (cluster.Observation, error) {
	return cluster.Observation{Node: self.Name, Role: self.Role}, nil
}

// Joiner decides whether this machine makes the databases or joins them.
func (Role) Joiner(host step.Host) role.Joiner { return Joiner{Host: host} }

// Ready returns what must hold before the node counts.
func (Role) Ready(in role.Inputs) []role.Probe { return cinc.Ready(in) }

// Verify returns what must hold in a sealed image.
func (Role) Verify(recipe cluster.Recipe) []role.Check {
	checks := append(base.Verify(), haproxy.Verify()...)
	return append(checks, cinc.Verify(recipe)...)
}
