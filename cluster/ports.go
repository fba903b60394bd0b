package cluster

// Ports of the services that machines reach on each other, or that are reached from outside.
const (
	PortHTTPS          = 443  // API nodes and load balancers
	PortHTTP           = 80   // redirects to HTTPS
	PortSSH            = 22   // emergencies
	PortPostgres       = 5432 // PostgreSQL; API nodes' local router listens on it on loopback
	PortPatroni        = 8008 // Patroni's REST API: members, and routers' checks
	PortEtcdClient     = 2379
	PortEtcdPeer       = 2380
	PortOpenSearch     = 9200 // OpenSearch's HTTP API; API nodes' local router listens on it on loopback
	PortOpenSearchPeer = 9300
	PortAgent          = 9440 // the agent's mTLS endpoint
	PortAgentCheck     = 9441 // haproxy's agent-check, on API nodes
)
