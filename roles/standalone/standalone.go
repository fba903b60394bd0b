// Package standalone is a Cinc Server with its database and its search inside, and its state on a data disk.
package standalone

import (
	"context"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/cinc"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Role is a standalone server.
type Role struct{}

var _ role.Role = Role{}

// Name returns the role's name.
func (Role) Name() cluster.Role { return cluster.RoleStandalone }

// Bake returns what turns a base system into a standalone server's image.
func (Role) Bake(recipe cluster.Recipe) (step.Plan, error) {
	plan, err := base.Bake(recipe)
	if err != nil {
		return nil, err
	}
	plan = append(plan, cinc.BakeState()...)
	return append(plan, cinc.Bake(recipe, cinc.MountUnit)...), nil
}

// Boot returns what wires a standalone server.
func (Role) Boot(in role.Inputs) (step.Plan, error) {
	files, err := cinc.Files(in)
	if err != nil {
		return nil, err
	}
	configure, err := cinc.Configure(in)
	if err != nil {
		return nil, err
	}
	plan := base.Boot(in, cinc.Aliases(in.Cluster)...)
	plan = append(plan, cinc.State(in)...)
	plan = append(plan, files...)
	return append(plan, configure...), nil
}

// Observe has nothing to tell: a server by itself agrees on nothing with its peers.
func (Role) Observe(_ step.Files, self cluster.Node) (cluster.Observation, error) {
	return cluster.Observation{Node: self.Name, Role: self.Role}, nil
}

// Report asks Cinc Server.
func (Role) Report(ctx context.Context, host step.Host, in role.Inputs, status *cluster.Status) {
	status.Service = cinc.Report(ctx, host, in)
}

// Joiner returns nil: there is nobody to join.
func (Role) Joiner(step.Host) role.Joiner { return nil }

// Ready returns what must hold before the server counts.
func (Role) Ready(in role.Inputs) []role.Probe { return cinc.Ready(in) }

// Verify returns what must hold in a sealed image.
func (Role) Verify(recipe cluster.Recipe) []role.Check {
	return append(base.Verify(), cinc.Verify(recipe)...)
}
