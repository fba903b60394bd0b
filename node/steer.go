package node

import (
	"context"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/etcd"
	"github.com/cincbake/cincbake/roles/postgres"
	"github.com/cincbake/cincbake/roles/role"
)

// steer keeps a database node's cluster ready for the next failure. Nothing here is needed for the cluster to be right; it
// only shortens what comes after a failure, so a failed attempt changes nothing, and there is another one soon.
func (e *endpoint) steer(ctx context.Context) {
	if e.machine.Self.Role != cluster.RolePostgres {
		return
	}
	go repeat(ctx, 2*time.Second, func() error { return postgres.APIOf(e.in, e.machine.Self).Nudge(ctx) })
	repeat(ctx, 10*time.Second, func() error { return e.yieldLeadership(ctx) })
}

// yieldLeadership hands etcd's leadership to the heartbeat whenever this database node has it and the heartbeat lives. When
// primary and etcd leader die in one machine, etcd's new leader prolongs the primary's lease from the beginning, and failover
// takes that much longer.
func (e *endpoint) yieldLeadership(ctx context.Context) error {
	witness := e.machine.Document.Cluster.NodesOf(cluster.RoleHeartbeat)
	if len(witness) == 0 {
		return nil
	}
	local, err := etcd.Local(e.in)
	if err != nil {
		return err
	}
	return etcd.Yield(ctx, local, witness[0].Name, func(m etcd.Member) (etcd.Client, error) { return etcd.ClientOf(m, e.in.Secrets) })
}

// repeat tries again and again, about as often as asked, until the context ends.
func repeat(ctx context.Context, every time.Duration, try func() error) {
	for role.Pause(ctx, every) == nil {
		_ = try() // see steer
	}
}
