// Package cluster is the heart of cincbake: what a user writes (Spec), what follows from it (Resolved), the part of that
// an image depends on (Recipe), and what is only known on a running machine (Facts, Peers, Status).
//
// The way through is spec → Resolved → Recipe for the bake and Node for the boot; nothing is computed twice.
package cluster

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Platform is where a cluster's machines run.
type Platform string

// The platforms.
const (
	OnPrem Platform = "onprem" // virtual machines of any hypervisor, booted with a NoCloud seed
	AWS    Platform = "aws"    // instances from launch templates, in autoscaling groups
)

// Role names a kind of machine. It is also the image's name, the key of the spec and the prefix of a node's name.
type Role string

// The roles.
const (
	RoleLB         Role = "lb"
	RoleAPI        Role = "api"
	RoleStandalone Role = "standalone" // a Cinc Server with its own database and search inside, on a data disk
	RolePostgres   Role = "postgres"
	RoleHeartbeat  Role = "heartbeat"
	RoleOpenSearch Role = "opensearch"
)

// Roles lists the roles that are built, in the order in which people read a cluster: from the client inwards.
func Roles() []Role {
	return []Role{RoleLB, RoleAPI, RoleStandalone, RolePostgres, RoleHeartbeat, RoleOpenSearch}
}

// Topology is the shape of a cluster. It is derived from its tiers, and only names what people call it: no code asks for it
// where it can ask for a tier.
type Topology string

// The topologies.
const (
	Standalone   Topology = "standalone"
	Managed      Topology = "managed"     // API nodes; database and search are somebody else's
	SelfHosted   Topology = "self-hosted" // every tier is the cluster's own
	Mixed        Topology = "mixed"       // some tiers are external
	DatabaseOnly Topology = "database"    // a database tier without an API
)

// Resolved is a cluster with everything filled in and nothing secret: the spec's defaults applied, every machine named.
// It travels to each machine inside the node document, so its JSON form is part of the document format. A tier that the
// cluster does not have is nil.
type Resolved struct {
	Name       string      `json:"name"`
	Platform   Platform    `json:"platform"`
	Region     string      `json:"region,omitempty"` // on AWS
	Domain     string      `json:"domain,omitempty"` // what clients connect to; empty without an API tier
	Image      Image       `json:"image"`
	Network    Network     `json:"network"`
	Cinc       *Cinc       `json:"cinc,omitempty"`
	LB         *LB         `json:"lb,omitempty"`
	API        *API        `json:"api,omitempty"` // standalone too: a pool of one
	Postgres   *Postgres   `json:"postgres,omitempty"`
	OpenSearch *OpenSearch `json:"opensearch,omitempty"`
	Backup     *Backup     `json:"backup,omitempty"`
	Access     Access      `json:"access"`
	// AWS is what the cluster uses in its account. Machines are not told: another name there makes no other machine.
	AWS *Account `json:"-"`
	// CACertificates are extra certificate authorities that every machine trusts, PEM.
	CACertificates string `json:"caCertificates,omitempty"`
	// Lock is what the lock file says; for bakes only.
	Lock Lock `json:"-"`
	// Nodes holds every machine that has a slot, by role in the order of Roles, then by slot. On AWS the API pool is one
	// group without slots: its one entry here has slot 0 and stands for all of its instances.
	Nodes []Node `json:"nodes"`
}

// Image is what every machine of the cluster is made from.
type Image struct {
	OS   string `json:"os"`   // a row of the OS table, like debian-13
	Arch string `json:"arch"` // Debian's word: amd64, arm64
	// Mirror and Proxy are for bakes only: http URLs, empty for Debian's own mirrors, directly.
	Mirror string `json:"-"`
	Proxy  string `json:"-"`
}

// Network is the one network that a cluster lives in.
type Network struct {
	Prefix  netip.Prefix `json:"prefix"`           // on AWS: of the VPC
	Gateway netip.Addr   `json:"gateway,omitzero"` // zero: no default route; on AWS always, DHCP gives it
	DNS     []netip.Addr `json:"dns,omitempty"`
	NTP     []netip.Addr `json:"ntp,omitempty"`
	// Interface is the name of the machine's network interface, eth0 unless the spec says otherwise; empty on AWS.
	Interface string `json:"interface,omitempty"`
	// Subnets are where AWS machines live, in at least two zones.
	Subnets []string `json:"subnets,omitempty"`
}

// Cinc is the Cinc Server that API nodes run.
type Cinc struct {
	Version string `json:"version"` // full, like 15.10.91
	// Package is where a bake gets it.
	Package Package `json:"-"`
	// Settings are the user's own lines of cinc-server.rb.
	Settings Settings `json:"settings,omitempty"`
	// PreConfigure runs before a machine is configured for the first time, PostReady once it is ready. The programs are in
	// the image: the user's own, baked in. Empty: none.
	PreConfigure []string `json:"preConfigure,omitempty"`
	PostReady    []string `json:"postReady,omitempty"`
}

// Package is a package that is not in the distribution: a URL, a file, or the vendor's own. The last has its URL and
// digest from the lock file, and neither before it was looked up.
type Package struct {
	URL      string `json:"url,omitempty"`
	File     string `json:"file,omitempty"`   // absolute
	Digest   string `json:"digest,omitempty"` // "sha256:…" or "sha512:…"; always set for URL
	Official bool   `json:"official,omitempty"`
}

// LB is how clients reach the API nodes.
type LB struct {
	Kind LBKind `json:"kind"`
	// VIP is the address that clients connect to, and RouterID the VRRP group of its holders; for LBNodes.
	VIP      netip.Addr `json:"vip,omitzero"`
	RouterID int        `json:"routerId,omitempty"`
}

// LBKind is what balances.
type LBKind string

// The kinds of load balancers.
const (
	LBNodes LBKind = "nodes" // machines of role lb
	LBNLB   LBKind = "nlb"   // AWS's network load balancer
)

// API is the pool of API nodes.
type API struct {
	// Pool is every address that an API node may have; the first len(NodesOf(RoleAPI)) of them are launched now. Empty on AWS.
	Pool []netip.Addr `json:"pool,omitempty"`
	// Min and Max bound how many nodes there may be. On-prem Max is the pool's size. Machines are not told.
	Min          int    `json:"min,omitempty"`
	Max          int    `json:"max,omitempty"`
	InstanceType string `json:"instanceType,omitempty"` // on AWS
}

// Postgres is the database tier.
type Postgres struct {
	Version int `json:"version"` // major, like 13
	// MaxConnections is what the pools of every API node that may exist need, plus reserve. For an external database it has
	// been checked against its limit. Only machines with a database are told.
	MaxConnections int `json:"maxConnections,omitempty"`
	// External is somebody else's database; nil: the cluster's own, on nodes of role postgres.
	External *ExternalPostgres `json:"external,omitempty"`
}

// ExternalPostgres is a database that the cluster uses and does not run.
type ExternalPostgres struct {
	Host string `json:"host"` // name or address of the primary; one, since Cinc's driver takes no list
	Port int    `json:"port"`
	TLS  bool   `json:"tls"`
	// Owner is the login that makes Cinc's databases and roles. It needs CREATEROLE and CREATEDB.
	Owner string `json:"owner"`
	// RDS says that the database is Amazon's: md5 must be set for the owner before Cinc makes its roles.
	RDS bool `json:"rds,omitempty"`
}

// OpenSearch is the search tier.
type OpenSearch struct {
	Version  string  `json:"version"` // full, like 1.3.20; for an external one what it must at least look like, 1.3
	Package  Package `json:"-"`
	Shards   int     `json:"shards"`
	Replicas int     `json:"replicas"`
	// External is somebody else's; nil: the cluster's own, on nodes of role opensearch.
	External *ExternalOpenSearch `json:"external,omitempty"`
}

// ExternalOpenSearch is a search cluster that the cluster uses and does not run.
type ExternalOpenSearch struct {
	URL   string `json:"url"`   // https, one endpoint
	Nodes int    `json:"nodes"` // how many data nodes it has
	User  string `json:"user"`
}

// Backup is where the databases are copied to, off the nodes.
type Backup struct {
	// Exactly one of S3, SFTP and Path is set.
	S3   *BackupS3   `json:"s3,omitempty"`
	SFTP *BackupSFTP `json:"sftp,omitempty"`
	Path string      `json:"path,omitempty"` // a mounted share, like NFS
	Full int         `json:"full"`           // how many full backups are kept
	// Restore tells a cluster that has no data yet to begin with a backup; nil: to begin empty.
	Restore *Restore `json:"restore,omitempty"`
}

// BackupS3 is a bucket.
type BackupS3 struct {
	Bucket   string `json:"bucket"`
	Region   string `json:"region"`
	Endpoint string `json:"endpoint"` // host name; AWS's own for the region by default
	Prefix   string `json:"prefix"`   // starts with a slash
}

// BackupSFTP is an account on another machine.
type BackupSFTP struct {
	Host    string `json:"host"`
	User    string `json:"user"`
	Path    string `json:"path"`
	HostKey string `json:"hostKey"` // its fingerprint, as pgBackRest's repo-sftp-host-fingerprint takes it: hexadecimal SHA-256
}

// Restore is the point to go back to.
type Restore struct {
	Time time.Time `json:"time,omitzero"` // zero: the newest that the repository has
}

// Access is how a human gets in when all else fails.
type Access struct {
	SSH []string `json:"ssh,omitempty"` // authorized_keys lines
}

// Node is one machine: its role, its slot in that role, its address and its data disk.
type Node struct {
	Name    string     `json:"name"` // role and slot, like postgres-1; a group without slots has its role's name
	Role    Role       `json:"role"`
	Slot    int        `json:"slot"`             // from 1; 0 for a group
	Address netip.Addr `json:"address,omitzero"` // zero on AWS: discovered
	// Found tells that the address was found, as on AWS: it is in no document and in no certificate.
	Found bool `json:"-"`
	// Disk is the block device that outlives the image, like /dev/vdb. Empty: the role keeps its state on the root disk.
	Disk string `json:"disk,omitempty"`
	// Placement is where and as what the machine runs on AWS.
	Placement *Placement `json:"placement,omitempty"`
}

// Placement is an AWS slot.
type Placement struct {
	Subnet       string `json:"subnet,omitempty"` // empty: any of the network's
	InstanceType string `json:"instanceType"`
	VolumeGiB    int    `json:"volumeGiB,omitempty"` // size of the data volume
	VolumeType   string `json:"volumeType,omitempty"`
}

// Host is how programs on other machines call this one in their settings: by its address or, where that was found and
// certificates hold names alone, by its name, which every machine's /etc/hosts knows.
func (n Node) Host() string {
	if n.Found {
		return n.Name
	}
	return n.Address.String()
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

// Partners returns the machines that form one cluster with n, n left out: the other voters of a voter, the other search
// nodes of a search node. The other roles form none.
func (r *Resolved) Partners(n Node) []Node {
	var all []Node
	switch n.Role {
	case RolePostgres, RoleHeartbeat:
		all = r.Voters()
	case RoleOpenSearch:
		all = r.NodesOf(RoleOpenSearch)
	}
	return slices.DeleteFunc(all, func(other Node) bool { return other.Name == n.Name })
}

// Topology names the cluster's shape.
func (r *Resolved) Topology() Topology {
	switch {
	case r.API == nil:
		return DatabaseOnly
	case r.Postgres == nil && r.OpenSearch == nil:
		return Standalone
	case r.Postgres.External != nil && r.OpenSearch.External != nil:
		return Managed
	case r.Postgres.External == nil && r.OpenSearch.External == nil:
		return SelfHosted
	}
	return Mixed
}

// PoolNode returns the API node of a slot of the pool, launched or not: scaling launches the next one.
func (r *Resolved) PoolNode(slot int) (Node, error) {
	if r.API == nil || slot < 1 || slot > len(r.API.Pool) {
		return Node{}, fmt.Errorf("cluster %s has no API slot %d", r.Name, slot)
	}
	return Node{Name: fmt.Sprintf("%s-%d", RoleAPI, slot), Role: RoleAPI, Slot: slot, Address: r.API.Pool[slot-1]}, nil
}
