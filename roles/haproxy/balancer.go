package haproxy

import (
	"fmt"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// trustDir holds the certificate authorities by which the balancer knows API nodes: the certificate that clients see may
// be the cluster CA's or the user's own.
const trustDir = "/etc/haproxy/trust"

// Balancer returns the steps that lead clients to the API nodes. Its servers are the whole pool, so that one more API node
// changes nothing here.
//
// Which node gets a client is decided by Cinc's deep check: /_status asks the database and search too. Those are shared, so
// it can fail on every node at once. The nodes then still have the better answer: clients see Cinc's own error, not a
// closed connection.
func Balancer(in role.Inputs) (step.Plan, error) {
	var t text
	t.write(preamble)
	t.section("frontend", "http")
	t.rows(
		fmt.Sprintf("bind :%d", cluster.PortHTTP),
		"mode http",
		"option httplog",
		"timeout client 10s",
		"timeout http-request 5s",
		"http-request redirect prefix https://"+in.Cluster.Domain+" code 301",
	)
	t.section("frontend", "https")
	t.rows(
		// A balancer that loses the clients' address has some who wait for an answer. The kernel sends it from an address that
		// is no longer there only if the listener is transparent; without, they hear nothing, not even that it is over.
		fmt.Sprintf("bind :%d transparent", cluster.PortHTTPS),
		fmt.Sprintf("use_backend %s if { nbsrv(%[1]s) gt 0 }", backendAPI),
		"default_backend "+backendAny,
	)
	servers, err := t.pool(in.Cluster)
	if err != nil {
		return nil, err
	}
	t.section("backend", backendAPI)
	t.rows(
		"balance leastconn",
		"option httpchk",
		"http-check send meth GET uri /_status ver HTTP/1.1 hdr Host "+in.Cluster.Domain,
		"http-check expect status 200",
		server("fall 2 rise 2 check-ssl check-sni "+in.Cluster.Domain+" verify required ca-file "+trustDir+" verifyhost "+in.Cluster.Domain),
	)
	t.rows(servers...)
	// When every deep check fails: whoever takes connections.
	t.section("backend", backendAny)
	t.rows("balance leastconn", server("fall 3 rise 1"))
	t.rows(servers...)
	return append(trust(), serve(t.bytes(), role.CAFile)...), nil
}

// server are the settings of a backend's servers. Each API node's agent says when its node should get no new clients; an
// agent that does not answer changes nothing.
func server(settings string) string {
	return fmt.Sprintf("default-server inter 2s fastinter 1s downinter 2s check %s agent-check agent-port %d agent-inter 2s on-marked-down shutdown-sessions",
		settings, cluster.PortAgentCheck)
}

// pool writes the way to every API node that may ever be, and returns the servers that stand for them.
func (t *text) pool(r *cluster.Resolved) ([]string, error) {
	if r.API == nil {
		return nil, fmt.Errorf("cluster %s has no API nodes to lead to", r.Name)
	}
	var servers []string
	for slot := range r.API.Pool {
		n, err := r.PoolNode(slot + 1)
		if err != nil {
			return nil, err
		}
		hop := t.hop(n.Name, fmt.Sprintf("%s:%d", n.Address, cluster.PortHTTPS))
		servers = append(servers, fmt.Sprintf("server %s %s addr %s port %d agent-addr %[3]s", n.Name, hop, n.Address, cluster.PortHTTPS))
	}
	return servers, nil
}

// trust links what is trusted into one directory, which haproxy reads whole.
func trust() step.Plan {
	reason := "the certificate that clients see is signed by one of them"
	return step.Plan{
		{
			Title:  "Let haproxy trust the cluster's CA",
			Reason: reason,
			Action: step.Symlink{Path: trustDir + "/cluster.pem", Target: role.CAFile},
		},
		{
			Title:  "Let haproxy trust the system's CAs",
			Reason: reason,
			Action: step.Symlink{Path: trustDir + "/system.crt", Target: base.SystemCAFile},
		},
	}
}
