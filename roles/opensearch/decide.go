package opensearch

import (
	"fmt"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/formation"
	"github.com/cincbake/cincbake/roles/role"
)

// View is what a machine sees before its OpenSearch starts: its own disk, its peers' agents, and the cluster if there is one.
type View struct {
	Self  cluster.Node
	Nodes []cluster.Node // every search node, Self among them
	Own   cluster.Observation
	// HasData tells whether OpenSearch ever wrote to this machine's disk.
	HasData bool
	// Peers are the other search nodes' agents.
	Peers cluster.Peers
	// Live is the cluster_uuid of a cluster with a manager, as a peer's OpenSearch told it; empty: none did.
	Live string
	// Rescue tells that an operator ordered this machine's data to become the cluster.
	Rescue bool
}

// The rows of the join table, by name.
const (
	RowUnrecorded     = "unrecorded-data"           // data that no record accounts for
	RowForeign        = "foreign-cluster"           // data of another cluster than the peers'
	RowRescue         = "rescue"                    // data, no cluster, an operator's order
	RowRestart        = "restart"                   // data of a formed cluster
	RowJoin           = "join"                      // empty, or not there yet, and a cluster to join
	RowLost           = "lost-data"                 // a record of a formed cluster without its data, and no cluster
	RowResume         = "resume"                    // began to join or form, and some peer belongs to the formed cluster
	RowQuorumLost     = formation.RowQuorumLost     // empty, no cluster, a peer belongs to a formed one
	RowPeerUnknown    = formation.RowPeerUnknown    // empty, no cluster, a peer holds data that it can't account for
	RowSilent         = formation.RowSilent         // empty, no cluster, a peer does not answer
	RowOtherFormation = formation.RowOtherFormation // empty, no cluster, somebody forms one with a machine that was replaced
	RowForm           = formation.RowForm           // every node is empty: the first formation
)

// Rows lists every row, so that a test can demand a case for each.
func Rows() []string {
	return []string{
		RowUnrecorded, RowForeign, RowRescue, RowRestart, RowJoin, RowLost, RowResume,
		RowQuorumLost, RowPeerUnknown, RowSilent, RowOtherFormation, RowForm,
	}
}

// Decide is the table. It is pure: the same view gives the same decision.
//
// What it rests on: without a list of first managers OpenSearch never forms a cluster, so a start without one is always
// safe. With one, a node whose disk is empty may form a cluster beside the one it belongs to. And an empty node has no vote:
// it helps no cluster that lost its majority, so it waits here, where the reason is told, until there is one to join.
func Decide(clusterName string, v View) role.Decision {
	switch {
	case v.Own.Formation == cluster.FormationUnknown || v.HasData && v.Own.Formation == cluster.FormationEmpty:
		return refuse(RowUnrecorded, "the data disk holds an index, but no record that this machine formed or joined a cluster",
			"the disk may belong to another machine; attach this machine's own disk, or an empty one")
	case v.HasData:
		return decideData(clusterName, v)
	case v.Live != "":
		return join("a peer's cluster has a manager; this machine joins it")
	case v.Own.Formation == cluster.FormationFormed:
		return wait(RowLost, "this machine was a search node, but its data is gone, and no search cluster answers",
			"bring the other machines back; it then joins them by itself")
	}
	return decideFormation(clusterName, v)
}

// decideData : OpenSearch was here before, and a record says so.
func decideData(clusterName string, v View) role.Decision {
	own := v.Own
	switch {
	case own.ClusterID != "" && v.Live != "" && own.ClusterID != v.Live:
		return refuse(RowForeign,
			fmt.Sprintf("this machine's data is of search cluster %s, but its peers form cluster %s", own.ClusterID, v.Live), foreignHint)
	case own.Formation == cluster.FormationFormed && v.rescuable():
		d := proceed(RowRescue, "an operator ordered this machine's data to become the cluster")
		d.OpenSearch.Rescue = true
		return d
	case own.Formation == cluster.FormationFormed:
		return proceed(RowRestart, "the data on the disk knows its cluster")
	case v.Live != "":
		return join("it began to join a cluster, and a peer's has a manager")
	case own.Token == "" || v.formedPeer():
		return proceed(RowResume, "the cluster is formed; this machine finds its place in it")
	}
	return decideFormation(clusterName, v)
}

// foreignHint is the way out for data of another cluster.
const foreignHint = "a rescue made the cluster anew from another machine's data, or two clusters were formed under one name; " +
	"keep the one that answers and give this machine an empty disk"

// decideFormation : no cluster answers, and this machine belongs to none. The first formation is unanimous.
func decideFormation(clusterName string, v View) role.Decision {
	d, token := formation.Unanimous(clusterName, v.Self.Name, v.Own, v.Peers, words())
	if d.Verdict != role.Proceed {
		return d
	}
	if v.HasData && token != v.Own.Token { // what it formed with the former machines may be on its disk
		return wait(RowOtherFormation, "this machine began to form a cluster, and one of its members was replaced meanwhile",
			"bring the missing machine back; if nothing was ever written to this cluster, give this machine an empty disk too")
	}
	d.OpenSearch.Token = token
	for _, n := range v.Nodes {
		d.OpenSearch.InitialManagers = append(d.OpenSearch.InitialManagers, n.Name)
	}
	return d
}

// words are how a search node says what it waits for.
func words() formation.Words {
	return formation.Words{
		Members: "every search node", Silence: "no search cluster answers", Without: "OpenSearch has found no cluster", Unit: "opensearch", Program: "opensearch",
	}
}

// rescuable tells whether an ordered rescue still is what it was ordered for: nobody else has a cluster or its data.
func (v View) rescuable() bool { return v.Rescue && v.Live == "" && !v.formedPeer() }

func (v View) formedPeer() bool {
	for _, peer := range v.Peers {
		if peer.Answered() && peer.Observation.Formation == cluster.FormationFormed {
			return true
		}
	}
	return false
}

// join starts without a list of managers. The record says "forming" without a token: there is nothing left to form.
func join(reason string) role.Decision {
	d := proceed(RowJoin, reason)
	d.Formation = cluster.FormationForming
	return d
}

func proceed(row, reason string) role.Decision {
	return role.Decision{Verdict: role.Proceed, Row: row, Reason: reason}
}

func wait(row, reason, hint string) role.Decision {
	return role.Decision{Verdict: role.Wait, Row: row, Reason: reason, Hint: hint}
}

func refuse(row, reason, hint string) role.Decision {
	return role.Decision{Verdict: role.Refuse, Row: row, Reason: reason, Hint: hint}
}
