package cluster

import "time"

// Status is the document a machine keeps about its own boot, at /run/cincbake/status.json and over the agent's endpoint.
type Status struct {
	Format     int       `json:"format"` // 1
	Cluster    string    `json:"cluster"`
	Node       string    `json:"node"`
	Role       Role      `json:"role"`
	InstanceID string    `json:"instanceId"`
	BootID     string    `json:"bootId"` // a document of another boot is stale
	Phase      string    `json:"phase"`  // the phase that runs, or the last one that ran
	Result     Result    `json:"result"`
	Reason     string    `json:"reason,omitempty"`
	Hint       string    `json:"hint,omitempty"`
	Phases     []Phase   `json:"phases"`
	Updated    time.Time `json:"updated"`
	// Database is what the node's Patroni says, on postgres nodes once it runs.
	Database *Database `json:"database,omitempty"`
	// Quorum is what the node's etcd says, on voters once it runs.
	Quorum *Quorum `json:"quorum,omitempty"`
	// Search is what the node's OpenSearch says, on search nodes once it runs.
	Search *Search `json:"search,omitempty"`
	// Service is what the node's Cinc Server says, on API nodes and standalone servers once it is configured.
	Service *Service `json:"service,omitempty"`
	// Balancer is what the node's haproxy and keepalived say, on lb nodes once they run.
	Balancer *Balancer `json:"balancer,omitempty"`
	// CertificateExpires is when the node's own certificate ends.
	CertificateExpires time.Time `json:"certificateExpires,omitzero"`
	// Refresh is why the last refresh of a ready machine failed; empty: it did not.
	Refresh string `json:"refresh,omitempty"`
}

// Result is where a boot stands.
type Result string

// The results of a boot. Only ResultReady is success.
const (
	ResultRunning Result = "running"
	ResultWaiting Result = "waiting" // for something outside this machine; Reason says what
	ResultReady   Result = "ready"
	ResultFailed  Result = "failed"
	ResultRefused Result = "refused" // going on would be unsafe; Hint names the way out
)

// Phase is one phase of a boot and how long it took. Waited is the part of Seconds spent waiting for others.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Waited  float64 `json:"waited,omitempty"`
}

// Database is a database node's own view, from Patroni's REST API.
type Database struct {
	State    string `json:"state"` // running, starting, …
	Role     string `json:"role"`  // primary, replica, sync_standby
	Timeline int    `json:"timeline,omitempty"`
	// LagBytes is how far a replica's replayed position is behind what it has received or the primary wrote; 0 on the primary.
	LagBytes int64 `json:"lagBytes,omitempty"`
	// TTL, LoopWait and RetryTimeout are the effective failover settings in seconds: Patroni raises small ones in silence.
	TTL          int `json:"ttl,omitempty"`
	LoopWait     int `json:"loopWait,omitempty"`
	RetryTimeout int `json:"retryTimeout,omitempty"`
}

// Quorum is a voter's view of etcd.
type Quorum struct {
	Healthy   bool   `json:"healthy"` // answered a linearizable read
	Leader    string `json:"leader,omitempty"`
	Members   int    `json:"members"`
	ClusterID string `json:"clusterId,omitempty"`
}

// Search is a search node's view of its cluster.
type Search struct {
	Health      string `json:"health"` // green, yellow, red; empty: the node is in no cluster
	Manager     string `json:"manager,omitempty"`
	Nodes       int    `json:"nodes"`
	ClusterUUID string `json:"clusterUuid,omitempty"`
}

// Service is a node's own Cinc Server.
type Service struct {
	Status  string   `json:"status"`            // pong, or fail
	Failing []string `json:"failing,omitempty"` // upstreams that do not answer, sorted
	Version string   `json:"version,omitempty"` // of Cinc Server
	Drained bool     `json:"drained,omitempty"` // an operator asked for no new clients
}

// Balancer is an lb node's view of what it balances.
type Balancer struct {
	HoldsVIP bool     `json:"holdsVip"`
	Up       []string `json:"up"` // API nodes that get clients, sorted
	// Sessions is how many connections of clients each API node has through this machine; one that has none is left out.
	Sessions map[string]int `json:"sessions,omitempty"`
	// Degraded tells that no API node passes the deep check, so that clients go to any that takes connections.
	Degraded bool `json:"degraded,omitempty"`
}
