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
	CA      string  // the CA's certificate, PEM
	Leaf    KeyPair // serves and dials for every program on the machine; its names are the node's name and address
	// Postgres holds the database passwords; nil for roles that run no database.
	Postgres *Postgres
}

// Postgres are the passwords of a database node.
type Postgres struct {
	Superuser   Secret
	Replication Secret
	Rewind      Secret
	Owner       Secret // the role that owns the Cinc databases: CREATEROLE and CREATEDB, no superuser
	RestAPI     Secret // Patroni's REST API, for calls that change something
}

// Scope returns the part of the bundle that a machine may hold: its own leaf, and the database passwords only where a
// database runs.
func (b *Bundle) Scope(node cluster.Node) (Scoped, error) {
	leaf, ok := b.Nodes[node.Name]
	if !ok {
		return Scoped{}, fmt.Errorf("no certificate for %s among the secrets of cluster %s: %s", node.Name, b.Cluster, remedy)
	}
	scoped := Scoped{Cluster: b.Cluster, Node: node.Name, CA: b.CA.Certificate, Leaf: leaf}
	if node.Role == cluster.RolePostgres {
		postgres := b.Postgres
		scoped.Postgres = &postgres
	}
	return scoped, nil
}
