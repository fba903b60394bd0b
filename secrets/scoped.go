package secrets

import (
	"fmt"

	"github.com/cincbake/cincbake/cluster"
)

// KeyPair is a certificate and its private key, both PEM.
type KeyPair struct {
	Certificate string
	Key         Secret
}

// Scoped is the part of a bundle that one machine may hold: never the CA's key, never another slot's leaf.
type Scoped struct {
	Cluster string
	Node    string
	CA      string  // the certificates of the CAs to trust, PEM: one, or two while one replaces the other
	Leaf    KeyPair // serves and dials for every program on the machine; its names are the node's name and address
	// Postgres holds the database passwords; nil for roles that run no database.
	Postgres *Postgres
	// Cinc holds what Cinc Server needs, its superuser's key among it; for api and standalone.
	Cinc *Cinc
	// OpenSearch holds the search cluster's passwords; for opensearch. API nodes have the one of Cinc's user in Cinc.
	OpenSearch *OpenSearch
	// Front is the certificate that clients see; for api and standalone.
	Front *KeyPair
	// Backup opens the backup repository; for postgres and standalone, where the cluster has one.
	Backup *Backup
}

// Cinc are Cinc Server's secrets. Lengths and alphabets are those of required_secrets in its cookbook: nothing checks them
// there, and a wrong one breaks a service much later.
type Cinc struct {
	DatabaseOwner Secret // password of the login that makes databases and roles (postgresql.db_superuser_password)
	Search        Secret // password of Cinc's OpenSearch user (opscode_erchef.search_auth_password)

	RedisPassword    Secret // redis_lb.password, 100 hexadecimal digits
	ErchefSQL        Secret // opscode_erchef.sql_password, 60 hexadecimal digits
	ErchefSQLRO      Secret // opscode_erchef.sql_ro_password, 60
	ErchefStats      Secret // opscode_erchef.stats_password, 100
	BifrostSuperuser Secret // oc_bifrost.superuser_id, 32, lower case
	BifrostSQL       Secret // oc_bifrost.sql_password, 100
	BifrostSQLRO     Secret // oc_bifrost.sql_ro_password, 100
	OCIDKeyBase      Secret // oc_id.secret_key_base, 100
	OCIDSQL          Secret // oc_id.sql_password, 100
	OCIDSQLRO        Secret // oc_id.sql_ro_password, 100
	BookshelfKeyID   Secret // bookshelf.access_key_id, 40
	BookshelfSecret  Secret // bookshelf.secret_access_key, 80
	BookshelfSQL     Secret // bookshelf.sql_password, 80
	BookshelfSQLRO   Secret // bookshelf.sql_ro_password, 80

	Superuser KeyPEM // chef-server.superuser_key: the key of pivotal, which may do everything
	WebUI     KeyPEM // chef-server.webui_key and webui_pub_key
}

// KeyPEM is an RSA key pair of 2048 bits, PEM.
type KeyPEM struct {
	Private Secret
	Public  string
}

// OpenSearch are the search cluster's passwords, with the bcrypt hashes that its security plugin keeps: a hash made anew
// would change the rendered bytes every time.
type OpenSearch struct {
	Admin     Secret
	AdminHash Secret
	Cinc      Secret
	CincHash  Secret
}

// Backup opens the backup repository.
type Backup struct {
	Cipher      Secret // passphrase that the repository is encrypted with
	S3KeyID     Secret // zero: the instance's own role
	S3KeySecret Secret
	SFTPKey     Secret // private key, PEM
}

// Postgres are the passwords of a database node.
type Postgres struct {
	Superuser   Secret
	Replication Secret
	Rewind      Secret
	Owner       Secret // the role that owns the Cinc databases: CREATEROLE and CREATEDB, no superuser
	RestAPI     Secret // Patroni's REST API, for calls that change something
}

// Scope returns the part of the bundle that a machine may hold: its own leaf, and of everything else what its role uses.
// A node of the pool that is not launched yet has one too.
func (b *Bundle) Scope(node cluster.Node) (Scoped, error) {
	leaf, ok := b.Nodes[node.Name]
	if !ok {
		return Scoped{}, fmt.Errorf("no certificate for %s among the secrets of cluster %s: %s", node.Name, b.Cluster, remedy)
	}
	scoped := Scoped{Cluster: b.Cluster, Node: node.Name, CA: b.Trusted(), Leaf: leaf}
	switch node.Role {
	case cluster.RolePostgres:
		scoped.Postgres, scoped.Backup = clone(b.Postgres), clone(b.Backup)
	case cluster.RoleOpenSearch:
		scoped.OpenSearch = clone(b.OpenSearch)
	case cluster.RoleAPI:
		scoped.Cinc, scoped.Front = clone(b.Cinc), clone(b.Front)
	case cluster.RoleStandalone:
		scoped.Cinc, scoped.Front, scoped.Backup = clone(b.Cinc), clone(b.Front), clone(b.Backup)
	}
	return scoped, nil
}

// clone keeps a machine's part apart from the bundle, so that changing one changes nothing of the other.
func clone[T any](value *T) *T {
	if value == nil {
		return nil
	}
	copied := *value
	return &copied
}
