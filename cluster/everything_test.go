package cluster

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// everything and everythingOnAWS use every key that their platform has, but for those that exclude each other.
const everything = `apiVersion: cincbake/v1
kind: Cluster
name: every
platform: onprem
domain: chef.example.com
tls: {certificate: tls/chef.pem, key: tls/chef.key}
image: {os: debian-13, arch: amd64, mirror: "http://mirror.example.com/debian", proxy: "http://proxy.example.com:3128"}
network: {prefix: 10.20.0.0/24, gateway: 10.20.0.1, dns: [10.9.9.9], ntp: [10.9.9.8], interface: ens18}
cinc:
  version: 15.10.91
  package:
    url: https://downloads.example.com/cinc-server-core_15.10.91-1_amd64.deb
    sha256: 1111111111111111111111111111111111111111111111111111111111111111
  settings:
    default_orgname: acme
    opscode_erchef: {depsolver_timeout: 10000, strict_search_result_acls: true}
    nginx: {ssl_protocols: TLSv1.2 TLSv1.3}
    oc_id: {administrators: [alice, bob]}
  hooks: {preConfigure: [/usr/local/sbin/announce, begin], postReady: [/usr/local/sbin/announce, ready]}
lb:
  vip: 10.20.0.10
  nodes: [10.20.0.11, {address: 10.20.0.12}]
  routerId: 77
api: {nodes: 2, addresses: [10.20.0.20, 10.20.0.22-10.20.0.24]}
postgres:
  version: 13
  nodes: [10.20.0.31, {address: 10.20.0.32, disk: /dev/vdc}]
  disk: /dev/vdb
heartbeat: {address: 10.20.0.33, disk: /dev/vdb}
opensearch:
  version: 1.3.20
  package: {file: testdata/package.deb}
  nodes: [10.20.0.41, 10.20.0.42, 10.20.0.43]
  disk: /dev/vdb
backup:
  sftp:
    host: backup.example.com
    user: cinc
    path: /srv/cinc
    hostKey: ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789
  full: 8
  restore: {time: 2026-11-26T08:00:00Z}
caCertificates: [testdata/authority.pem]
access: {ssh: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ops]}
secrets:
  file: secrets.age
  recipients: [age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq]
`

const everythingOnAWS = `apiVersion: cincbake/v1
kind: Cluster
name: every
platform: aws
region: eu-west-1
domain: chef.example.com
network: {prefix: 10.30.0.0/16, subnets: [subnet-0a1b2c3d, subnet-1b2c3d4e], dns: [10.30.0.2], ntp: [10.9.9.8]}
cinc: {version: 15.10.125, package: {official: true}}
lb: nlb
api: {min: 3, max: 9, instanceType: m6i.xlarge}
postgres:
  version: 14
  external: {host: every.abcdef.eu-west-1.rds.amazonaws.com, port: 5433, tls: disable, owner: root_user, maxConnections: 770}
opensearch:
  package: {official: true}
  instanceType: r6i.large
  volume: {size: 50, type: gp2}
  nodes:
    - {subnet: subnet-0a1b2c3d, instanceType: r6i.xlarge, volume: {size: 80}}
    - {subnet: subnet-1b2c3d4e}
    - {subnet: subnet-1b2c3d4e}
aws:
  bucket: every-images
  key: arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-00000000aaaa
  volumeKey: arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-00000000bbbb
  instanceProfiles: {api: every-api, opensearch: every-opensearch}
  securityGroups: {api: [sg-0a1b2c3d, sg-1b2c3d4e], opensearch: [sg-0a1b2c3d4e5f60718]}
  targetGroups: ["arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/every/0123456789abcdef"]
`

func TestResolveEverything(t *testing.T) {
	r := resolve(t, everything)
	at := time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)
	want := &Cinc{
		Version: "15.10.91",
		Package: Package{URL: "https://downloads.example.com/cinc-server-core_15.10.91-1_amd64.deb", Digest: "sha256:1111111111111111111111111111111111111111111111111111111111111111"},
		Settings: Settings{
			"":               {"default_orgname": "acme"},
			"opscode_erchef": {"depsolver_timeout": 10000, "strict_search_result_acls": true},
			"nginx":          {"ssl_protocols": "TLSv1.2 TLSv1.3"},
			"oc_id":          {"administrators": []any{"alice", "bob"}},
		},
		PreConfigure: []string{"/usr/local/sbin/announce", "begin"},
		PostReady:    []string{"/usr/local/sbin/announce", "ready"},
	}
	if diff := cmp.Diff(want, r.Cinc); diff != "" {
		t.Errorf("cinc (-want +got)\n%s", diff)
	}
	backup := &Backup{
		SFTP:    &BackupSFTP{Host: "backup.example.com", User: "cinc", Path: "/srv/cinc", HostKey: "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789"},
		Full:    8,
		Restore: &Restore{Time: at},
	}
	if diff := cmp.Diff(backup, r.Backup); diff != "" {
		t.Errorf("backup (-want +got)\n%s", diff)
	}
	const digest = "sha256:c0cd5ccfdb563a59366e33e73001b78fdb8cca5a6c48e2f90fffcde44b81f1f6" // printf 'a package' | sha256sum
	if r.OpenSearch.Package.Digest != digest || r.OpenSearch.Package.File == "" {
		t.Errorf("got %+v", r.OpenSearch.Package)
	}
	if r.API.Max != 4 || r.API.Min != 2 || r.Postgres.MaxConnections != 370 || r.LB.RouterID != 77 || r.Image.Proxy != "http://proxy.example.com:3128" {
		t.Errorf("got %+v, %+v, %+v, %+v", r.API, r.Postgres, r.LB, r.Image)
	}
	var names []string
	for _, n := range r.Nodes {
		names = append(names, n.Name+" "+n.Address.String()+" "+n.Disk)
	}
	nodes := []string{
		"lb-1 10.20.0.11 ", "lb-2 10.20.0.12 ", "api-1 10.20.0.20 ", "api-2 10.20.0.22 ", "postgres-1 10.20.0.31 /dev/vdb", "postgres-2 10.20.0.32 /dev/vdc",
		"heartbeat-1 10.20.0.33 /dev/vdb", "opensearch-1 10.20.0.41 /dev/vdb", "opensearch-2 10.20.0.42 /dev/vdb", "opensearch-3 10.20.0.43 /dev/vdb",
	}
	if diff := cmp.Diff(nodes, names); diff != "" {
		t.Errorf("nodes (-want +got)\n%s", diff)
	}
	checkResolved(t, r)
}

func TestResolveEverythingOnAWS(t *testing.T) {
	r := resolve(t, everythingOnAWS)
	if r.Topology() != Mixed || !r.Postgres.External.RDS || r.Postgres.External.TLS || r.Postgres.External.Port != 5433 || r.Postgres.MaxConnections != 770 {
		t.Errorf("got %s, %+v", r.Topology(), r.Postgres)
	}
	want := []Placement{
		{"", "m6i.xlarge", 0, ""},
		{"subnet-0a1b2c3d", "r6i.xlarge", 80, "gp3"},
		{"subnet-1b2c3d4e", "r6i.large", 50, "gp2"},
		{"subnet-1b2c3d4e", "r6i.large", 50, "gp2"},
	}
	var got []Placement
	for _, n := range r.Nodes {
		got = append(got, *n.Placement)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("placements (-want +got)\n%s", diff)
	}
	if r.OpenSearch.Package != (Package{Official: true}) {
		t.Errorf("got %+v", r.OpenSearch.Package)
	}
	account := &Account{
		Bucket:           "every-images",
		Key:              "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-00000000aaaa",
		VolumeKey:        "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-00000000bbbb",
		InstanceProfiles: map[Role]string{RoleAPI: "every-api", RoleOpenSearch: "every-opensearch"},
		SecurityGroups:   map[Role][]string{RoleAPI: {"sg-0a1b2c3d", "sg-1b2c3d4e"}, RoleOpenSearch: {"sg-0a1b2c3d4e5f60718"}},
		TargetGroups:     []string{"arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/every/0123456789abcdef"},
	}
	if diff := cmp.Diff(account, r.AWS); diff != "" {
		t.Errorf("account (-want +got)\n%s", diff)
	}
	checkResolved(t, r)
}

// TestEverythingIsEverything: the two specs use every key of the types, but for the alternatives of those that they use.
func TestEverythingIsEverything(t *testing.T) {
	used := map[string]bool{}
	for _, text := range []string{everything, everythingOnAWS} {
		spec, err := Parse("cluster.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for path := range spec.positions {
			used[indexes.ReplaceAllString(path, "")] = true
		}
	}
	alternatives := map[string]bool{
		"backup.s3": true, "backup.path": true, "backup.restore.latest": true, "opensearch.external": true, "postgres.external.rds": true,
		"aws.instanceProfiles.postgres": true, "aws.instanceProfiles.heartbeat": true, "aws.securityGroups.postgres": true, "aws.securityGroups.heartbeat": true,
		"api.disk": true, "api.volume": true, "postgres.instanceType": true, "postgres.volume": true,
	}
	for _, path := range paths(reflect.TypeFor[Spec](), "") {
		covered := used[path]
		for at := path; at != "" && !covered; at = parent(at) {
			covered = alternatives[at]
		}
		if last := path[len(parent(path)):]; !covered && last != ".sha256" && last != ".sha512" && last != ".url" && last != ".file" {
			t.Errorf("no spec of the tests uses %s", path)
		}
	}
}
