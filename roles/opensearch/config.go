package opensearch

import (
	"bytes"
	"fmt"

	"gopkg.in/yaml.v3"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/role"
)

// config is the part of opensearch.yml that cincbake writes; the names are OpenSearch 1.3's. How long a lost node's shards
// wait for its return (index.unassigned.node_left.delayed_timeout, one minute) is a setting of each index, which the file
// may not hold; Cinc makes the index, and a minute is right for a restart.
type config struct {
	ClusterName string   `yaml:"cluster.name"`
	NodeName    string   `yaml:"node.name"`
	NodeRoles   []string `yaml:"node.roles"`
	PathData    string   `yaml:"path.data"`
	PathLogs    string   `yaml:"path.logs"`
	NetworkHost string   `yaml:"network.host"`
	HTTPPort    int      `yaml:"http.port"`
	PeerPort    int      `yaml:"transport.port"`
	SeedHosts   []string `yaml:"discovery.seed_hosts"`

	// InitialManagers is there at the first formation only, as the join decided.
	InitialManagers []string `yaml:"cluster.initial_master_nodes,omitempty"`
	// How long a node that is silent counts as there. OpenSearch's own three times ten seconds, and thirty for a publication,
	// leave a cluster without a manager for a minute when its machine is cut off.
	LeaderTimeout   string `yaml:"cluster.fault_detection.leader_check.timeout"`
	FollowerTimeout string `yaml:"cluster.fault_detection.follower_check.timeout"`
	PublishTimeout  string `yaml:"cluster.publish.timeout"`
	MemoryLock      bool   `yaml:"bootstrap.memory_lock"`
	// AutoCreate: Cinc makes its index with a mapping of its own. After a loss, a first write must not make another one.
	AutoCreate      string `yaml:"action.auto_create_index"`
	DestructiveName bool   `yaml:"action.destructive_requires_name"`
	MaxClauses      int    `yaml:"indices.query.bool.max_clause_count"`

	TransportCert   string `yaml:"plugins.security.ssl.transport.pemcert_filepath"`
	TransportKey    string `yaml:"plugins.security.ssl.transport.pemkey_filepath"`
	TransportCA     string `yaml:"plugins.security.ssl.transport.pemtrustedcas_filepath"`
	VerifyHostname  bool   `yaml:"plugins.security.ssl.transport.enforce_hostname_verification"`
	HTTPTLS         bool   `yaml:"plugins.security.ssl.http.enabled"`
	HTTPCert        string `yaml:"plugins.security.ssl.http.pemcert_filepath"`
	HTTPKey         string `yaml:"plugins.security.ssl.http.pemkey_filepath"`
	HTTPCA          string `yaml:"plugins.security.ssl.http.pemtrustedcas_filepath"`
	DefaultSecurity bool   `yaml:"plugins.security.allow_default_init_securityindex"`
	// NodesDN are the certificates of nodes, and AdminDN the one that may change the security settings.
	NodesDN []string `yaml:"plugins.security.nodes_dn"`
	AdminDN []string `yaml:"plugins.security.authcz.admin_dn"`
}

// Files with the machine's certificate, which OpenSearch reads from its configuration's directory only.
const (
	certName = "node.pem"
	keyName  = "node.key"
	caName   = "ca.pem"
)

// maxClauses is how many clauses a query may have. Cinc's own OpenSearch gets its setting from Cinc; one beside it has 1024
// unless told, which a search over many nodes can exceed.
const maxClauses = 16384

// securityIndex is where the security plugin keeps users and roles.
const securityIndex = ".opendistro_security"

// operatorDN is the subject of the operator's certificate.
const operatorDN = "CN=operator"

// settings returns opensearch.yml for the machine.
func settings(in role.Inputs) ([]byte, error) {
	own, err := base.Address(in)
	if err != nil {
		return nil, err
	}
	c := config{
		ClusterName: in.Cluster.Name,
		NodeName:    in.Self.Name,
		NodeRoles:   []string{"master", "data"},
		PathData:    StoreDir,
		PathLogs:    "/var/log/opensearch",
		NetworkHost: own.String(),
		HTTPPort:    cluster.PortOpenSearch,
		PeerPort:    cluster.PortOpenSearchPeer,

		InitialManagers: in.Joined.OpenSearch.InitialManagers,
		LeaderTimeout:   "3s",
		FollowerTimeout: "3s",
		PublishTimeout:  "10s",
		MemoryLock:      true,
		AutoCreate:      securityIndex,
		DestructiveName: true,
		MaxClauses:      maxClauses,
		TransportCert:   certName, TransportKey: keyName, TransportCA: caName,
		// Peers are known by the names in NodesDN: a certificate of any other machine is refused whatever its address.
		VerifyHostname: false,
		HTTPTLS:        true, HTTPCert: certName, HTTPKey: keyName, HTTPCA: caName,
		DefaultSecurity: true,
		AdminDN:         []string{operatorDN},
	}
	// Where seeds are named, a node without a list of managers waits for its cluster; without seeds it would form its own.
	for _, n := range in.Located(cluster.RoleOpenSearch) {
		c.SeedHosts = append(c.SeedHosts, fmt.Sprintf("%s:%d", n.Address, cluster.PortOpenSearchPeer))
	}
	for _, n := range in.Cluster.NodesOf(cluster.RoleOpenSearch) {
		c.NodesDN = append(c.NodesDN, "CN="+n.Name)
	}
	return document(c)
}

// document marshals a file of OpenSearch.
func document(content any) ([]byte, error) {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(content); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// heap is Java's share of the memory: half of it, since the file system's cache needs the other half, and at most 31 GiB,
// above which Java's pointers grow and a larger heap holds less.
func heap(memory uint64) uint64 { return min(memory/2, 31<<30) }

// jvmOptions fixes the heap's size: it is locked in memory whole.
func jvmOptions(memory uint64) []byte {
	megabytes := heap(memory) >> 20
	return fmt.Appendf(nil, "-Xms%dm\n-Xmx%dm\n", megabytes, megabytes)
}
