package cluster

import (
	"cmp"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
)

// What Resolve fills in.
const (
	defaultInterface    = "eth0"
	defaultRouterID     = 51
	defaultPostgresPort = 5432
	defaultOwner        = "cinc_owner"
	defaultSearchUser   = "cinc"
	defaultVolumeType   = "gp3"
	defaultFullBackups  = 4
	tlsRequire          = "require"
	tlsDisable          = "disable"
	rdsSuffix           = ".rds.amazonaws.com"
)

// awsTime is Amazon's time service, which every instance reaches at this address.
func awsTime() []netip.Addr { return []netip.Addr{netip.AddrFrom4([4]byte{169, 254, 169, 123})} }

// awsDNS is Amazon's resolver, which every VPC has at this address too. Without it a machine could not find an external
// database by its name.
func awsDNS() []netip.Addr { return []netip.Addr{netip.AddrFrom4([4]byte{169, 254, 169, 253})} }

// Resolve fills in what the spec leaves out, names every machine, and reads the files that the result depends on:
// certificates, and packages for their digests. It fails with Problems on a spec that breaks a rule, which one from Load
// or Parse does only through those files; so nobody who holds a Resolved has to check it again.
func (s *Spec) Resolve() (*Resolved, error) {
	if problems := check(s, nil); len(problems) > 0 {
		problems.sort()
		return nil, problems
	}
	read, problems := s.readFiles()
	if len(problems) > 0 {
		problems.sort()
		return nil, problems
	}
	os, err := OSFor(s.Image.OS)
	if err != nil {
		return nil, fmt.Errorf("resolve cluster %s: %w", s.Name, err)
	}
	resolved := &Resolved{
		Name:           s.Name,
		Platform:       s.Platform,
		Region:         s.Region,
		Domain:         s.Domain,
		Image:          Image{OS: os.Name, Arch: cmp.Or(s.Image.Arch, os.Arches[0]), Mirror: s.Image.Mirror, Proxy: s.Image.Proxy},
		Network:        s.network(),
		LB:             s.lb(),
		API:            s.api(),
		Backup:         s.backup(),
		AWS:            s.account(),
		Access:         Access{SSH: s.Access.SSH},
		CACertificates: read.authorities,
		Lock:           read.lock,
	}
	if s.Cinc != nil {
		resolved.Cinc = &Cinc{
			Version: string(s.Cinc.Version), Package: s.packageOf(PackageCinc, s.Cinc.Package, read.cincDigest, read.lock), Settings: s.Cinc.Settings,
			PreConfigure: s.Cinc.Hooks.PreConfigure, PostReady: s.Cinc.Hooks.PostReady,
		}
	}
	if resolved.Postgres, err = s.postgres(os); err != nil {
		return nil, fmt.Errorf("resolve cluster %s: %w", s.Name, err)
	}
	if s.OpenSearch != nil {
		resolved.OpenSearch = s.opensearch()
		resolved.OpenSearch.Package = s.packageOf(PackageOpenSearch, s.OpenSearch.Package, read.searchDigest, read.lock)
	}
	for _, m := range s.machines() {
		resolved.Nodes = append(resolved.Nodes, s.node(m))
	}
	return resolved, nil
}

func (s *Spec) network() Network {
	n := Network{Prefix: s.Network.Prefix, Gateway: s.Network.Gateway, DNS: s.Network.DNS, NTP: s.Network.NTP, Subnets: s.Network.Subnets}
	if s.Platform != AWS {
		n.Interface = cmp.Or(s.Network.Interface, defaultInterface)
		return n
	}
	if len(n.NTP) == 0 {
		n.NTP = awsTime()
	}
	if len(n.DNS) == 0 {
		n.DNS = awsDNS()
	}
	return n
}

func (s *Spec) lb() *LB {
	switch {
	case s.LB == nil:
		return nil
	case s.LB.Kind == LBNLB:
		return &LB{Kind: LBNLB}
	default:
		return &LB{Kind: LBNodes, VIP: s.LB.VIP, RouterID: cmp.Or(s.LB.RouterID, defaultRouterID)}
	}
}

func (s *Spec) api() *API {
	switch {
	case s.API == nil:
		return nil
	case s.Standalone():
		return &API{Pool: s.API.Addresses.expand(1), Min: 1, Max: 1, InstanceType: s.API.InstanceType}
	case s.Platform == AWS:
		return &API{Min: s.API.least(), Max: s.API.Max, InstanceType: s.API.InstanceType}
	default:
		pool := s.API.Addresses.expand(mostAPINodes)
		return &API{Pool: pool, Min: s.API.launched(), Max: len(pool)}
	}
}

// least is how many nodes an autoscaling group keeps. Default: two, so that one may fail.
func (a *APISpec) least() int { return cmp.Or(a.Min, min(2, a.Max)) }

// mostNodes is how many API nodes there may ever be.
func (s *Spec) mostNodes() int {
	if api := s.api(); api != nil {
		return api.Max
	}
	return 0
}

func (s *Spec) postgres(os OS) (*Postgres, error) {
	if s.Postgres == nil {
		return nil, nil
	}
	resolved := &Postgres{Version: s.Postgres.Version, MaxConnections: connections(s.mostNodes())}
	if e := s.Postgres.External; e != nil {
		resolved.Version = cmp.Or(s.Postgres.Version, defaultExternalPostgres)
		resolved.External = &ExternalPostgres{
			Host: e.Host, Port: cmp.Or(e.Port, defaultPostgresPort), TLS: e.TLS != tlsDisable,
			Owner: cmp.Or(e.Owner, defaultOwner), RDS: e.RDS || strings.HasSuffix(e.Host, rdsSuffix),
		}
		return resolved, nil
	}
	source, err := PostgresFor(os.Name, s.Postgres.Version)
	resolved.Version = source.Major
	return resolved, err
}

func (s *Spec) opensearch() *OpenSearch {
	resolved := &OpenSearch{Version: cmp.Or(string(s.OpenSearch.Version), defaultOpenSearch)}
	nodes := len(s.OpenSearch.Nodes)
	if e := s.OpenSearch.External; e != nil {
		nodes = e.Nodes
		resolved.External = &ExternalOpenSearch{URL: strings.TrimSuffix(e.URL, "/"), Nodes: e.Nodes, User: cmp.Or(e.User, defaultSearchUser)}
		resolved.Version = cmp.Or(string(s.OpenSearch.Version), defaultExternalOpenSearch)
	}
	resolved.Shards, resolved.Replicas = indexShape(nodes)
	return resolved
}

func (s *Spec) backup() *Backup {
	if s.Backup == nil {
		return nil
	}
	resolved := &Backup{Path: s.Backup.Path, Full: cmp.Or(s.Backup.Full, defaultFullBackups)}
	if b := s.Backup.S3; b != nil {
		resolved.S3 = &BackupS3{
			Bucket: b.Bucket, Region: b.Region, Endpoint: cmp.Or(b.Endpoint, "s3."+b.Region+".amazonaws.com"),
			Prefix: "/" + strings.Trim(cmp.Or(b.Prefix, s.Name), "/"),
		}
	}
	if b := s.Backup.SFTP; b != nil {
		resolved.SFTP = &BackupSFTP{Host: b.Host, User: b.User, Path: b.Path, HostKey: strings.ToLower(b.HostKey)}
	}
	if r := s.Backup.Restore; r != nil {
		resolved.Restore = &Restore{Time: r.Time}
	}
	return resolved
}

func (s *Spec) node(m machine) Node {
	n := Node{Name: fmt.Sprintf("%s-%d", m.role, m.slot), Role: m.role, Slot: m.slot, Address: m.Address, Disk: m.Disk}
	if m.slot == 0 {
		n.Name = string(m.role)
	}
	if s.Platform == AWS {
		n.Placement = &Placement{Subnet: m.Subnet, InstanceType: m.InstanceType, VolumeGiB: m.Volume.Size}
		if m.Volume.Size > 0 {
			n.Placement.VolumeType = cmp.Or(m.Volume.Type, defaultVolumeType)
		}
	}
	return n
}

// packageOf returns a package's source; the digest is of its file, if it is one, or what the lock says.
func (s *Spec) packageOf(name string, p PackageSpec, fileDigest string, lock Lock) Package {
	switch {
	case p.Official:
		for _, wanted := range s.Official() {
			if locked, ok := lock.Find(wanted); ok && wanted.Name == name {
				return Package{URL: locked.URL, Digest: locked.Digest, Official: true}
			}
		}
		return Package{Official: true}
	case p.File != "":
		return Package{File: filepath.Clean(s.path(p.File)), Digest: fileDigest}
	case p.URL != "":
		return Package{URL: p.URL, Digest: p.digest()}
	default:
		return Package{} // an external search has none
	}
}

// digest returns the digest that a package source states, in the form of Package.Digest; empty: it states none.
func (p PackageSpec) digest() string {
	switch {
	case p.SHA256 != "":
		return "sha256:" + strings.ToLower(string(p.SHA256))
	case p.SHA512 != "":
		return "sha512:" + strings.ToLower(string(p.SHA512))
	}
	return ""
}
