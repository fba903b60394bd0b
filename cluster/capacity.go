package cluster

// What one API node takes of the database. Cinc Server's services open their pools when they start, and one opens as it
// needs them.
const (
	erchefConnections    = 20 // opscode_erchef.db_pool_size, eager
	bifrostConnections   = 20 // oc_bifrost.db_pool_size, eager
	bookshelfConnections = 20 // bookshelf.db_pool_size with SQL storage, eager
	ocidConnections      = 20 // oc_id.db_pool_size, as Rails needs them

	connectionsPerNode = erchefConnections + bifrostConnections + bookshelfConnections + ocidConnections
)

// reservedConnections are for everybody else: superuser, Patroni, replication, backups, and what a reconfigure opens.
const reservedConnections = 50

// mostAPINodes is how large a pool may be: a database with connections for more would do nothing but hold them.
const mostAPINodes = 64

// connections returns how many connections the database must allow when there may be so many API nodes. A database tier
// without an API tier is sized for one node.
func connections(nodes int) int { return connectionsPerNode*max(nodes, 1) + reservedConnections }

// The shape of the search index. More shards than nodes serve nothing, and a replica must be on another node than what it
// copies.
const (
	mostShards   = 3
	mostReplicas = 2
)

// indexShape returns the index's shards and replicas for so many search nodes.
func indexShape(nodes int) (shards, replicas int) {
	return min(mostShards, max(nodes, 1)), max(0, min(mostReplicas, nodes-1))
}
