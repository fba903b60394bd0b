package secrets

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
