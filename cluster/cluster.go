// Package cluster is the heart of cincbake: what a user writes (Spec), what follows from it (Resolved), the part of that
// an image depends on (Recipe), and what is only known on a running machine (Facts, Peers, Status).
//
// The way through is spec → Resolved → Recipe for the bake and Node for the boot; nothing is computed twice.
package cluster

import (
	"fmt"
	"net/netip"
	"time"
)

// Platform is where a cluster's machines run.
type Platform string

// OnPrem machines are virtual machines of any hypervisor, booted with a NoCloud seed.
const OnPrem Platform = "onprem"

// Role names a kind of machine. It is also the image's name, the key of the spec and the prefix of a node's name.
type Role string

// The roles that this release builds.
const (
	RolePostgres  Role = "postgres"
	RoleHeartbeat Role = "heartbeat"
)

// Roles lists every role in the order in which people read a cluster.
func Roles() []Role { return []Role{RolePostgres, RoleHeartbeat} }

// Resolved is a cluster with everything filled in and nothing secret: the spec's defaults applied, every machine named.
// It travels to each machine inside the node document, so its JSON form is part of the document format.
type Resolved struct {
	Name     string   `json:"name"`
	Platform Platform `json:"platform"`
	Image    Image    `json:"image"`
	Network  Network  `json:"network"`
	Postgres Postgres `json:"postgres"`
	Access   Access   `json:"access"`
	// Nodes holds every machine, by role in the order of Roles, then by slot.
	Nodes []Node `json:"nodes"`
}

// Image is what every machine of the cluster is made from.
type Image struct {
	OS   string `json:"os"`   // a row of the OS table, like debian-13
	Arch string `json:"arch"` // Debian's word: amd64, arm64
}

// Network is the one network that an on-prem cluster lives in.
type Network struct {
	Prefix  netip.Prefix `json:"prefix"`
	Gateway netip.Addr   `json:"gateway,omitzero"` // zero: no default route
	DNS     []netip.Addr `json:"dns,omitempty"`
	NTP     []netip.Addr `json:"ntp,omitempty"`
	// Interface is the name of the machine's network interface, eth0 unless the spec says otherwise.
	Interface string `json:"interface"`
}

// Postgres is the database tier.
type Postgres struct {
	Version int `json:"version"` // major, like 13
}

// Access is how a human gets in when all else fails.
type Access struct {
	SSH []string `json:"ssh,omitempty"` // authorized_keys lines
}

// Node is one machine: its role, its slot in that role, its address and its data disk.
type Node struct {
	Name    string     `json:"name"` // role and slot, like postgres-1; a single heartbeat is heartbeat-1
	Role    Role       `json:"role"`
	Slot    int        `json:"slot"` // from 1
	Address netip.Addr `json:"address"`
	// Disk is the block device that outlives the image, like /dev/vdb. Empty: the role keeps its state on the root disk.
	Disk string `json:"disk,omitempty"`
}

// Node returns the machine called name.
func (r *Resolved) Node(name string) (Node, error) {
	for _, n := range r.Nodes {
		if n.Name == name {
			return n, nil
		}
	}
	return Node{}, fmt.Errorf("cluster %s has no node %q", r.Name, name)
}

// NodesOf returns the machines of the given roles, in order.
func (r *Resolved) NodesOf(roles ...Role) []Node {
	var found []Node
	for _, n := range r.Nodes {
		for _, role := range roles {
			if n.Role == role {
				found = append(found, n)
			}
		}
	}
	return found
}

// Voters returns the members of the etcd quorum: the database nodes and the heartbeat.
func (r *Resolved) Voters() []Node { return r.NodesOf(RolePostgres, RoleHeartbeat) }

// Ports of the services that machines of one cluster reach on each other.
const (
	PortPostgres   = 5432
	PortPatroni    = 8008
	PortEtcdClient = 2379
	PortEtcdPeer   = 2380
	PortAgent      = 9440 // the boot agent's mTLS endpoint
)

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

// Formation is how far a machine's state is part of a formed etcd cluster.
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
	// Token names the formation that this machine takes or took part in; see roles/etcd.
	Token string `json:"token,omitempty"`
	// ClusterID and MemberID are etcd's own ids in hexadecimal, once formed.
	ClusterID string `json:"clusterId,omitempty"`
	MemberID  string `json:"memberId,omitempty"`
}

// Status is the document a machine keeps about its own boot, at /run/cincbake/status.json and over the agent's endpoint.
type Status struct {
	Format     int       `json:"format"` // 1
	Cluster    string    `json:"cluster"`
	Node       string    `json:"node"`
	Role       Role      `json:"role"`
	InstanceID string    `json:"instanceId"`
	BootID     string    `json:"bootId"` // a document of another boot is stale
	Phase      string    `json:"phase"`  // the phase that runs, or the last one that ran
	Result     Result    `json:"result"`
	Reason     string    `json:"reason,omitempty"`
	Hint       string    `json:"hint,omitempty"`
	Phases     []Phase   `json:"phases"`
	Updated    time.Time `json:"updated"`
	// Database is what the node's Patroni says, on postgres nodes once it runs.
	Database *Database `json:"database,omitempty"`
	// Quorum is what the node's etcd says, on voters once it runs.
	Quorum *Quorum `json:"quorum,omitempty"`
	// CertificateExpires is when the node's own certificate ends.
	CertificateExpires time.Time `json:"certificateExpires,omitzero"`
}

// Result is where a boot stands.
type Result string

// The results of a boot. Only ResultReady is success.
const (
	ResultRunning Result = "running"
	ResultWaiting Result = "waiting" // for something outside this machine; Reason says what
	ResultReady   Result = "ready"
	ResultFailed  Result = "failed"
	ResultRefused Result = "refused" // going on would be unsafe; Hint names the way out
)

// Phase is one phase of a boot and how long it took. Waited is the part of Seconds spent waiting for others.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Waited  float64 `json:"waited,omitempty"`
}

// Database is a database node's own view, from Patroni's REST API.
type Database struct {
	State    string `json:"state"` // running, starting, …
	Role     string `json:"role"`  // primary, replica, sync_standby
	Timeline int    `json:"timeline,omitempty"`
	// LagBytes is how far a replica's replayed position is behind what it has received or the primary wrote; 0 on the primary.
	LagBytes int64 `json:"lagBytes,omitempty"`
	// TTL, LoopWait and RetryTimeout are the effective failover settings in seconds: Patroni raises small ones in silence.
	TTL          int `json:"ttl,omitempty"`
	LoopWait     int `json:"loopWait,omitempty"`
	RetryTimeout int `json:"retryTimeout,omitempty"`
}

// Quorum is a voter's view of etcd.
type Quorum struct {
	Healthy   bool   `json:"healthy"` // answered a linearizable read
	Leader    string `json:"leader,omitempty"`
	Members   int    `json:"members"`
	ClusterID string `json:"clusterId,omitempty"`
}
