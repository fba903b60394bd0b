package cluster

import (
	"net/netip"
	"path/filepath"
	"time"
)

// APIVersion and Kind open every spec that this release reads.
const (
	APIVersion = "cincbake/v1"
	Kind       = "Cluster"
)

// Spec is the file that a user writes, cluster.yaml: short, flat, and nothing in it that can be derived. One that comes
// from Load or Parse keeps every rule in the table of rules.
//
// The loader reads these types by their tags: yaml is the key; required marks a key that must be there, and holds the
// example that its absence is answered with; only names the one platform that has the key. Everything else may be left
// out; Resolve fills it in. What each key means, and what a change of it does, is in Fields. A tier is nil when the
// cluster does not have it.
type Spec struct {
	APIVersion     string          `yaml:"apiVersion" required:"cincbake/v1"`
	Kind           string          `yaml:"kind" required:"Cluster"`
	Name           string          `yaml:"name" required:"prod"`
	Platform       Platform        `yaml:"platform" required:"onprem"`
	Region         string          `yaml:"region" required:"eu-west-1" only:"aws"`
	Domain         string          `yaml:"domain"`
	TLS            *TLSSpec        `yaml:"tls"`
	Image          ImageSpec       `yaml:"image"`
	Network        NetworkSpec     `yaml:"network" required:"{prefix: 10.20.0.0/24}"`
	Cinc           *CincSpec       `yaml:"cinc"`
	LB             *LBSpec         `yaml:"lb"`
	API            *APISpec        `yaml:"api"`
	Postgres       *PostgresSpec   `yaml:"postgres"`
	Heartbeat      *NodeSpec       `yaml:"heartbeat"`
	OpenSearch     *OpenSearchSpec `yaml:"opensearch"`
	Backup         *BackupSpec     `yaml:"backup"`
	AWS            *AWSSpec        `yaml:"aws" only:"aws"`
	CACertificates []string        `yaml:"caCertificates"` // files
	Access         AccessSpec      `yaml:"access"`
	Secrets        SecretsSpec     `yaml:"secrets"`

	folder    string              // absolute: what relative paths in the file start from
	file      string              // as the user named it: what problems are reported under
	positions map[string]position // where each path stands in the file; nil for a Spec that was not read from one
}

// TLSSpec is the certificate that clients see, if it is not to be signed by the cluster's own CA: two files.
type TLSSpec struct {
	Certificate string `yaml:"certificate" required:"tls/chef.pem"`
	Key         string `yaml:"key" required:"tls/chef.key"`
}

// ImageSpec is what the machines are made from. Default: Debian 13 on amd64, from Debian's own mirrors.
type ImageSpec struct {
	OS     string `yaml:"os"`
	Arch   string `yaml:"arch"`
	Mirror string `yaml:"mirror"`
	Proxy  string `yaml:"proxy"`
}

// NetworkSpec is the network that the machines live in.
type NetworkSpec struct {
	Prefix    netip.Prefix `yaml:"prefix" required:"10.20.0.0/24"`
	Subnets   []string     `yaml:"subnets" required:"[subnet-0a1b2c3d, subnet-1b2c3d4e]" only:"aws"`
	Gateway   netip.Addr   `yaml:"gateway" only:"onprem"` // absent: no default route
	DNS       []netip.Addr `yaml:"dns"`
	NTP       []netip.Addr `yaml:"ntp"`                     // default on AWS: the link-local one of every instance
	Interface string       `yaml:"interface" only:"onprem"` // default: eth0
}

// CincSpec is the Cinc Server.
type CincSpec struct {
	Version  Literal     `yaml:"version" required:"15.10.91"`
	Package  PackageSpec `yaml:"package" required:"{url: https://…, sha256: …}"`
	Settings Settings    `yaml:"settings"`
	Hooks    HooksSpec   `yaml:"hooks"`
}

// PackageSpec is where a bake gets a package that the distribution does not have: a URL with its digest, a file, or the
// vendor's own lookup.
type PackageSpec struct {
	URL      string  `yaml:"url"`
	File     string  `yaml:"file"`
	SHA256   Literal `yaml:"sha256"`
	SHA512   Literal `yaml:"sha512"`
	Official bool    `yaml:"official"`
}

// Literal is text that needs no quotes where YAML would take it for a number, like the version 1.3.
type Literal string

// UnmarshalText takes the text as it stands in the file.
func (l *Literal) UnmarshalText(text []byte) error {
	*l = Literal(text)
	return nil
}

// HooksSpec are programs of the user's own, which are in the image.
type HooksSpec struct {
	PreConfigure []string `yaml:"preConfigure"`
	PostReady    []string `yaml:"postReady"`
}

// LBSpec is the load balancer: two machines with an address that moves between them, or the one word nlb.
type LBSpec struct {
	Kind     LBKind     // from the short form; empty: LBNodes
	VIP      netip.Addr `yaml:"vip" required:"10.20.0.10"`
	Nodes    []NodeSpec `yaml:"nodes" required:"[10.20.0.11, 10.20.0.12]"`
	RouterID int        `yaml:"routerId"`
}

func (l *LBSpec) short() any { return &l.Kind }

// APISpec is the pool of API nodes, or the one machine of a standalone server.
type APISpec struct {
	Nodes        int         `yaml:"nodes" only:"onprem"`
	Addresses    AddressList `yaml:"addresses" required:"10.20.0.20-10.20.0.29" only:"onprem"`
	Min          int         `yaml:"min" only:"aws"`
	Max          int         `yaml:"max" only:"aws"`
	InstanceType string      `yaml:"instanceType" required:"m6i.xlarge" only:"aws"`
	Disk         string      `yaml:"disk" only:"onprem"`
	Volume       VolumeSpec  `yaml:"volume" only:"aws"`
}

// VolumeSpec is a data volume on AWS.
type VolumeSpec struct {
	Size int    `yaml:"size" required:"100"` // GiB
	Type string `yaml:"type"`
}

// PostgresSpec is the database tier: nodes, or somebody else's database.
type PostgresSpec struct {
	Version      int                   `yaml:"version"` // major. Default: what PostgresFor names for the OS
	Nodes        []NodeSpec            `yaml:"nodes"`
	Disk         string                `yaml:"disk" only:"onprem"`      // of every node that names none itself
	InstanceType string                `yaml:"instanceType" only:"aws"` // likewise
	Volume       VolumeSpec            `yaml:"volume" only:"aws"`       // likewise
	External     *ExternalPostgresSpec `yaml:"external"`
}

// ExternalPostgresSpec is a database that the cluster uses and does not run.
type ExternalPostgresSpec struct {
	Host           string `yaml:"host" required:"db.example.com"`
	Port           int    `yaml:"port"`
	TLS            string `yaml:"tls"`
	Owner          string `yaml:"owner"`
	MaxConnections int    `yaml:"maxConnections" required:"500"`
	RDS            bool   `yaml:"rds"`
}

// OpenSearchSpec is the search tier: nodes, or somebody else's search cluster.
type OpenSearchSpec struct {
	Version      Literal                 `yaml:"version"`
	Package      PackageSpec             `yaml:"package"`
	Nodes        []NodeSpec              `yaml:"nodes"`
	Disk         string                  `yaml:"disk" only:"onprem"`
	InstanceType string                  `yaml:"instanceType" only:"aws"`
	Volume       VolumeSpec              `yaml:"volume" only:"aws"`
	External     *ExternalOpenSearchSpec `yaml:"external"`
}

// ExternalOpenSearchSpec is a search cluster that the cluster uses and does not run.
type ExternalOpenSearchSpec struct {
	URL   string `yaml:"url" required:"https://search.example.com"`
	Nodes int    `yaml:"nodes" required:"3"`
	User  string `yaml:"user"`
}

// NodeSpec is one machine. On-prem it is written as a plain address, or as a mapping where it needs more.
type NodeSpec struct {
	Address      netip.Addr `yaml:"address" required:"10.20.0.31" only:"onprem"`
	Disk         string     `yaml:"disk" only:"onprem"`
	Subnet       string     `yaml:"subnet" required:"subnet-0a1b2c3d" only:"aws"`
	InstanceType string     `yaml:"instanceType" only:"aws"`
	Volume       VolumeSpec `yaml:"volume" only:"aws"`
}

func (n *NodeSpec) short() any { return &n.Address }

// BackupSpec is where the databases are copied to: exactly one of S3, SFTP and Path.
type BackupSpec struct {
	S3      *BackupS3Spec   `yaml:"s3"`
	SFTP    *BackupSFTPSpec `yaml:"sftp"`
	Path    string          `yaml:"path"`
	Full    int             `yaml:"full"`
	Restore *RestoreSpec    `yaml:"restore"`
}

// BackupS3Spec is a bucket.
type BackupS3Spec struct {
	Bucket   string `yaml:"bucket" required:"chef-backups"`
	Region   string `yaml:"region" required:"eu-west-1"`
	Endpoint string `yaml:"endpoint"`
	Prefix   string `yaml:"prefix"`
}

// BackupSFTPSpec is an account on another machine.
type BackupSFTPSpec struct {
	Host    string `yaml:"host" required:"backup.example.com"`
	User    string `yaml:"user" required:"cinc"`
	Path    string `yaml:"path" required:"/srv/cinc"`
	HostKey string `yaml:"hostKey" required:"the host key's SHA-256, 64 hexadecimal digits"`
}

// RestoreSpec is the point that a cluster without data begins from: exactly one of the two.
type RestoreSpec struct {
	Latest bool      `yaml:"latest"`
	Time   time.Time `yaml:"time"`
}

// AWSSpec names what the cluster uses in the account and does not make itself. Bakes and seeds do without; what launching
// needs of it is LaunchProblems' to say.
type AWSSpec struct {
	Bucket           string         `yaml:"bucket"`
	Key              string         `yaml:"key"`
	VolumeKey        string         `yaml:"volumeKey"`
	InstanceProfiles TierNameSpec   `yaml:"instanceProfiles"`
	SecurityGroups   TierGroupsSpec `yaml:"securityGroups"`
	TargetGroups     []string       `yaml:"targetGroups"`
}

// TierNameSpec is a name for the machines of each tier.
type TierNameSpec struct {
	API        string `yaml:"api"`
	Postgres   string `yaml:"postgres"`
	Heartbeat  string `yaml:"heartbeat"`
	OpenSearch string `yaml:"opensearch"`
}

// TierGroupsSpec is a list of ids for the machines of each tier.
type TierGroupsSpec struct {
	API        []string `yaml:"api"`
	Postgres   []string `yaml:"postgres"`
	Heartbeat  []string `yaml:"heartbeat"`
	OpenSearch []string `yaml:"opensearch"`
}

// AccessSpec is how a human gets in when all else fails. Default: nobody does.
type AccessSpec struct {
	SSH []string `yaml:"ssh"` // authorized_keys lines, without options
}

// SecretsSpec says where the cluster's secrets are kept.
type SecretsSpec struct {
	File       string   `yaml:"file"`       // relative to the spec's folder. Default: secrets.json
	Recipients []string `yaml:"recipients"` // who can open a .age file
}

const defaultSecretsFile = "secrets.json"

// SecretsPath returns the absolute path of the cluster's bundle of secrets.
func (s *Spec) SecretsPath() string {
	if s.Secrets.File == "" {
		return s.path(defaultSecretsFile)
	}
	return s.path(s.Secrets.File)
}

// TLSPaths returns the absolute paths of the certificate that clients see and of its key; empty: the cluster's CA signs one.
func (s *Spec) TLSPaths() (certificate, key string) {
	if s.TLS == nil {
		return "", ""
	}
	return s.path(s.TLS.Certificate), s.path(s.TLS.Key)
}

// path returns the absolute path of a file that the spec names.
func (s *Spec) path(file string) string {
	if filepath.IsAbs(file) {
		return filepath.Clean(file)
	}
	return filepath.Join(s.folder, file)
}

// Standalone tells whether the API tier is one server with everything inside.
func (s *Spec) Standalone() bool {
	return s.API != nil && s.Postgres == nil && s.OpenSearch == nil && s.LB == nil
}
