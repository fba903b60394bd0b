package etcd

import (
	"context"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Observe returns what the record says to peers, and begins one on a machine that has none. Other data of the machine
// beside an empty record is data that no record accounts for.
func Observe(files step.Files, self cluster.Node, otherData bool) (cluster.Observation, error) {
	record, err := Home.Prepare(files)
	if err != nil {
		return cluster.Observation{}, err
	}
	return record.Observation(self, otherData), nil
}

// Report returns how this machine's etcd sees the quorum; nil: it does not run.
func Report(ctx context.Context, in role.Inputs) *cluster.Quorum {
	local, err := Local(in)
	if err != nil {
		return nil
	}
	member, err := local.Status(ctx)
	if err != nil {
		return nil
	}
	q := &cluster.Quorum{ClusterID: member.ClusterID}
	list, err := local.Members(ctx)
	if err != nil {
		return q
	}
	q.Healthy, q.Members = true, len(list.Members)
	for _, m := range list.Members {
		if m.ID == member.Leader {
			q.Leader = m.Name
		}
	}
	return q
}
