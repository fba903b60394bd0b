package cluster

import "net/netip"

// Facts are what a booting machine finds out about itself.
type Facts struct {
	Hostname    string       `json:"hostname"`
	Addresses   []netip.Addr `json:"addresses"`
	MemoryBytes uint64       `json:"memoryBytes"`
	CPUs        int          `json:"cpus"`
	BootID      string       `json:"bootId"` // the kernel's random id of this boot
}

// Peers are the other machines of the cluster as last seen, by node name.
type Peers map[string]Peer

// Peer is another machine, and what its agent said when it was last asked.
type Peer struct {
	Node        Node        `json:"node"`
	Observation Observation `json:"observation,omitzero"`
	Error       string      `json:"error,omitempty"` // why it did not answer; empty when it did
}

// Answered tells whether the peer's agent answered.
func (p Peer) Answered() bool { return p.Error == "" }

// Formation is how far a machine's state is part of a formed cluster: of etcd's on voters, of OpenSearch's on search nodes.
type Formation string

const (
	// FormationEmpty : the data disk holds nothing; this machine was never part of a cluster.
	FormationEmpty Formation = "empty"
	// FormationForming : every voter said "empty", so this machine began to form the cluster named by the token.
	FormationForming Formation = "forming"
	// FormationFormed : this machine has been a working member of the cluster with that id.
	FormationFormed Formation = "formed"
	// FormationUnknown : there is data but no record of a formation; nothing may be formed over it.
	FormationUnknown Formation = "unknown"
)

// Observation is what a machine's agent tells its peers about its own state, so that joining can be decided without a human.
type Observation struct {
	Node string `json:"node"`
	Role Role   `json:"role"`
	// Incarnation is a random id made when the data directory was first prepared: a replaced machine has another one.
	Incarnation string    `json:"incarnation"`
	Formation   Formation `json:"formation"`
	// Token names the formation that this machine takes or took part in; see roles/formation.
	Token string `json:"token,omitempty"`
	// ClusterID is the formed cluster's own id: etcd's in hexadecimal, or OpenSearch's cluster_uuid. MemberID is etcd's.
	ClusterID string `json:"clusterId,omitempty"`
	MemberID  string `json:"memberId,omitempty"`
}
