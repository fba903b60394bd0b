package opensearch

import (
	"context"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Joiner decides how this machine's OpenSearch starts.
type Joiner struct{ Host step.Host }

var _ role.Joiner = Joiner{}

// Join looks, decides, and writes down what is about to happen before OpenSearch writes its first byte.
func (j Joiner) Join(ctx context.Context, in role.Inputs) (role.Decision, error) {
	view := View{Self: in.Self, Nodes: in.Cluster.NodesOf(cluster.RoleOpenSearch), Own: in.Own, Peers: in.Peers, Live: live(ctx, in)}
	var err error
	if view.HasData, err = hasData(j.Host); err != nil {
		return role.Decision{}, err
	}
	if view.Rescue, err = rescueOrdered(j.Host); err != nil {
		return role.Decision{}, err
	}
	decision := Decide(in.Cluster.Name, view)
	if decision.Verdict != role.Proceed {
		return decision, nil
	}
	if view.Rescue && !decision.OpenSearch.Rescue {
		// The order is void; left there, it would be carried out at some later boot that finds no peer awake.
		if err := j.Host.Remove(rescueFile); err != nil {
			return role.Decision{}, err
		}
	}
	return decision, j.record(decision)
}

func (j Joiner) record(decision role.Decision) error {
	if decision.Formation == "" {
		return nil
	}
	record, err := Home.Prepare(j.Host)
	if err != nil {
		return err
	}
	record.Formation, record.Token, record.ClusterID = decision.Formation, decision.OpenSearch.Token, ""
	return Home.Write(j.Host, record)
}

// liveTimeout bounds what one peer's OpenSearch may take to answer; one that works does so in milliseconds.
const liveTimeout = 2 * time.Second

// live returns the cluster_uuid of the cluster that a peer is in. A peer that has lost its cluster's manager does not count.
func live(ctx context.Context, in role.Inputs) string {
	for _, node := range in.Located(cluster.RoleOpenSearch) {
		if node.Name == in.Self.Name {
			continue
		}
		c, err := newClient(in, node.Name, node.Address)
		if err != nil {
			continue
		}
		if uuid, err := c.membership(ctx, liveTimeout); err == nil {
			return uuid
		}
	}
	return ""
}

// markFormed records the cluster that this machine is in, or refuses another one than it was in before.
func markFormed(files step.Files, uuid string) error {
	record, err := Home.Read(files)
	if err != nil {
		return err
	}
	if record.ClusterID != "" && record.ClusterID != uuid {
		return &role.Refusal{Reason: "this machine was in search cluster " + record.ClusterID + ", and is now in cluster " + uuid, Hint: foreignHint}
	}
	formed := record
	formed.Formation, formed.ClusterID = cluster.FormationFormed, uuid
	if formed == record {
		return nil
	}
	return Home.Write(files, formed)
}
