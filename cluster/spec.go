package cluster

import (
	"net/netip"
	"path/filepath"
)

// APIVersion and Kind open every spec that this release reads.
const (
	APIVersion = "cincbake/v1"
	Kind       = "Cluster"
)

// Spec is the file that a user writes, cluster.yaml: short, flat, and nothing in it that can be derived. One that comes
// from Load or Parse keeps every rule in the table of rules.
//
// The loader reads these types: the yaml tag is the key, and the required tag marks a key that must be there and holds
// the example that its absence is answered with. Everything else may be left out; Resolve fills it in.
type Spec struct {
	APIVersion string       `yaml:"apiVersion" required:"cincbake/v1"`
	Kind       string       `yaml:"kind" required:"Cluster"`
	Name       string       `yaml:"name" required:"prod"`
	Platform   Platform     `yaml:"platform" required:"onprem"`
	Image      ImageSpec    `yaml:"image"`
	Network    NetworkSpec  `yaml:"network" required:"{prefix: 10.20.0.0/24}"`
	Postgres   PostgresSpec `yaml:"postgres" required:"{nodes: [10.20.0.31, 10.20.0.32], disk: /dev/vdb}"`
	// Heartbeat is the tie-breaker of a two-node database. Its disk, if it is given one, outlives the image.
	Heartbeat NodeSpec    `yaml:"heartbeat"`
	Access    AccessSpec  `yaml:"access"`
	Secrets   SecretsSpec `yaml:"secrets"`

	folder    string              // absolute: what relative paths in the file start from
	file      string              // as the user named it: what problems are reported under
	positions map[string]position // where each path stands in the file; nil for a Spec that was not read from one
}

// ImageSpec is what the machines are made from. Default: Debian 13 on amd64.
type ImageSpec struct {
	OS   string `yaml:"os"`
	Arch string `yaml:"arch"`
}

// NetworkSpec is the network that the machines live in.
type NetworkSpec struct {
	Prefix  netip.Prefix `yaml:"prefix" required:"10.20.0.0/24"`
	Gateway netip.Addr   `yaml:"gateway"` // absent: no default route
	DNS     []netip.Addr `yaml:"dns"`
	NTP     []netip.Addr `yaml:"ntp"`
	// Interface is the name of the network interface inside each machine. Default: eth0.
	Interface string `yaml:"interface"`
}

// PostgresSpec is the database tier.
type PostgresSpec struct {
	Version int        `yaml:"version"` // major. Default: what PostgresFor names for the OS
	Nodes   []NodeSpec `yaml:"nodes" required:"[10.20.0.31, 10.20.0.32]"`
	Disk    string     `yaml:"disk"` // of every node that names none itself
}

// NodeSpec is one machine, written as a plain address or as a mapping where it needs more.
type NodeSpec struct {
	Address netip.Addr `yaml:"address" required:"10.20.0.31"`
	Disk    string     `yaml:"disk"`
}

func (n *NodeSpec) short() any { return &n.Address }

// AccessSpec is how a human gets in when all else fails. Default: nobody does.
type AccessSpec struct {
	SSH []string `yaml:"ssh"` // authorized_keys lines, without options
}

// SecretsSpec says where the cluster's secrets are kept.
type SecretsSpec struct {
	File string `yaml:"file"` // relative to the spec's folder. Default: secrets.json
}

const defaultSecretsFile = "secrets.json"

// SecretsPath returns the absolute path of the cluster's bundle of secrets.
func (s *Spec) SecretsPath() string {
	file := s.Secrets.File
	if file == "" {
		file = defaultSecretsFile
	}
	if filepath.IsAbs(file) {
		return filepath.Clean(file)
	}
	return filepath.Join(s.folder, file)
}

// machine is a node of the spec together with what Resolve will call it.
type machine struct {
	NodeSpec
	path string
	role Role
	slot int // from 1
}

// machines lists every machine of the spec, by role in the order of Roles, then by slot.
func (s *Spec) machines() []machine {
	var list []machine
	for i, node := range s.Postgres.Nodes {
		if node.Disk == "" {
			node.Disk = s.Postgres.Disk
		}
		list = append(list, machine{node, index("postgres.nodes", i), RolePostgres, i + 1})
	}
	if s.Heartbeat != (NodeSpec{}) {
		list = append(list, machine{s.Heartbeat, "heartbeat", RoleHeartbeat, 1})
	}
	return list
}
