// Package cloudinit is how a machine is told who it is: the node document, the seed or the user data that carries it there,
// and the typed cloud-config and network-config that those are made of.
package cloudinit

import (
	"fmt"
	"reflect"

	"github.com/cincbake/cincbake/cluster"
)

// DocumentFormat is the format of the node document that this release writes and that its agents read.
const DocumentFormat = 1

// Where cloud-init writes a machine's two files, both 0600 and root's. They are also what later boots work from.
const (
	DocumentPath = "/etc/cincbake/node.json"
	SecretsPath  = "/etc/cincbake/secrets.json"
)

// Document is everything a machine is told about itself and its cluster, without secrets. It never changes during a
// machine's life: a changed spec makes another document, and so another instance.
type Document struct {
	Format int    `json:"format"`
	Node   string `json:"node"`   // name of this machine in Cluster.Nodes; a group's machines share its name
	Recipe string `json:"recipe"` // digest of the recipe that the image must have been baked from
	// Secrets is the digest of the secrets file that came with the document: a torn seed is found out. Empty when the machine
	// fetches its secrets from SecretStore. One of the two is set.
	Secrets     string           `json:"secrets,omitempty"`
	SecretStore *SecretStore     `json:"secretStore,omitempty"`
	Cluster     cluster.Resolved `json:"cluster"` // as far as it concerns this machine, see NewDocument
}

// SecretStore is where a machine fetches its secrets from, by the right that its role has: a name, never a value.
type SecretStore struct {
	Kind StoreKind `json:"kind"`
	Name string    `json:"name"`
}

// StoreKind is what keeps the secrets.
type StoreKind string

// AWSSecretsManager keeps one secret for each machine of a cluster, and one for all of its API pool: what is in a machine's
// certificate is that machine's.
const AWSSecretsManager StoreKind = "aws-secrets-manager"

// SecretStoreOf returns where the node, or each machine of the pool, fetches its secrets from on AWS.
func SecretStoreOf(r *cluster.Resolved, node cluster.Node) SecretStore {
	return SecretStore{Kind: AWSSecretsManager, Name: r.SecretName(node)}
}

// NewDocument returns the document of a node of the cluster, or of a slot of its API pool that is not launched, as far as
// it does not depend on secrets.
//
// The document leaves out what its machine has no use for, since everything in it makes another machine when it changes:
// launching one more API node, or resizing them, must not replace a database.
func NewDocument(r *cluster.Resolved, node cluster.Node) (Document, error) {
	known, err := r.Node(node.Name)
	if err != nil && node.Role == cluster.RoleAPI && node.Slot > 0 {
		known, err = r.PoolNode(node.Slot)
	}
	if err != nil {
		return Document{}, err
	}
	if !reflect.DeepEqual(known, node) {
		return Document{}, fmt.Errorf("cluster %s has another node of that name", r.Name)
	}
	return Document{
		Format:  DocumentFormat,
		Node:    node.Name,
		Recipe:  r.Recipe(node.Role).Digest(),
		Cluster: concerning(*r, node),
	}, nil
}

// concerning returns the part of the cluster that a machine needs to know.
func concerning(r cluster.Resolved, self cluster.Node) cluster.Resolved {
	r.Nodes = nodesConcerning(r.Nodes, self)
	r.Network.Subnets = nil // where machines are launched
	if r.API != nil {
		// How many API nodes there are is known to what launches them. What follows from it for others is in
		// Postgres.MaxConnections, and the pool's addresses stay.
		r.API = &cluster.API{Pool: r.API.Pool}
	}
	hasDatabase := self.Role == cluster.RolePostgres || self.Role == cluster.RoleStandalone
	if r.Postgres != nil && !hasDatabase {
		postgres := *r.Postgres
		postgres.MaxConnections = 0
		r.Postgres = &postgres
	}
	if !hasDatabase {
		r.Backup = nil
	}
	if self.Role != cluster.RoleAPI && self.Role != cluster.RoleStandalone {
		r.Cinc = nil
	}
	return r
}

// nodesConcerning returns the nodes in the same order, without the other API nodes: nobody needs to know which of the pool's
// addresses are in use. A group stays, as it stands for all of its machines. What other nodes run on is left out.
func nodesConcerning(nodes []cluster.Node, self cluster.Node) []cluster.Node {
	var found []cluster.Node
	placed := self.Role != cluster.RoleAPI
	for _, n := range nodes {
		switch {
		case n.Role == cluster.RoleAPI && !placed: // launched or not, it stands where the tier does
			found, placed = append(found, self), true
		case n.Role == cluster.RoleAPI && n.Slot > 0:
		case n.Name == self.Name:
			found = append(found, self)
		default:
			n.Placement = nil
			found = append(found, n)
		}
	}
	return found
}

// InstanceID names the machine that the document makes: cloud-init treats another id as another machine.
func (d Document) InstanceID() string {
	id, _, err := d.encode()
	if err != nil {
		panic(err) // texts, numbers and addresses
	}
	return id
}
