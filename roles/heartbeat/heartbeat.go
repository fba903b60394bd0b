// Package heartbeat is the witness of a two-node database: an etcd voter and nothing else. With it, either database node
// can be lost and the other one still has a majority.
package heartbeat

import (
	"context"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/etcd"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Role is the witness.
type Role struct{}

var _ role.Role = Role{}

// Name returns the role's name.
func (Role) Name() cluster.Role { return cluster.RoleHeartbeat }

// Bake returns what turns a base system into a witness image.
func (Role) Bake(recipe cluster.Recipe) (step.Plan, error) {
	plan, err := base.Bake(recipe)
	return append(plan, etcd.Bake()...), err
}

// Boot returns what wires a witness into its cluster.
func (Role) Boot(in role.Inputs) (step.Plan, error) {
	return append(base.Boot(in), etcd.Boot(in)...), nil
}

// Observe tells what etcd's record says.
func (Role) Observe(files step.Files, self cluster.Node) (cluster.Observation, error) {
	return etcd.Observe(files, self, false)
}

// Report asks etcd.
func (Role) Report(ctx context.Context, _ step.Host, in role.Inputs, status *cluster.Status) {
	status.Quorum = etcd.Report(ctx, in)
}

// Joiner decides how the machine's etcd member starts.
func (Role) Joiner(host step.Host) role.Joiner { return etcd.Joiner{Host: host} }

// Ready returns what must hold before the witness counts.
func (Role) Ready(in role.Inputs) []role.Probe { return etcd.Ready(in) }

// Verify returns what must hold in a sealed witness image.
func (Role) Verify(cluster.Recipe) []role.Check { return append(base.Verify(), etcd.Verify()...) }
