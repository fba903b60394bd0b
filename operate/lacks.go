package operate

import (
	"fmt"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
)

// green is how OpenSearch says that every index has all the copies that it should have.
const green = "green"

// searchLacks tells what the search cluster lacks: the nodes must be one cluster, of all of them, with every copy of the
// index in its place.
func searchLacks(all []NodeStatus) []string {
	var lacks []string
	nodes := 0
	for _, s := range all {
		if s.Node.Role == cluster.RoleOpenSearch {
			nodes++
		}
	}
	clusters, managers := map[string]bool{}, map[string]bool{}
	for _, s := range all {
		if s.Node.Role != cluster.RoleOpenSearch || !s.Answered() {
			continue
		}
		name, search := s.Node.Name, s.Status.Search
		switch {
		case search == nil:
			lacks = append(lacks, name+" runs no OpenSearch")
			continue
		case search.Health == "":
			lacks = append(lacks, name+" is in no search cluster")
			continue
		case search.Health != green:
			lacks = append(lacks, fmt.Sprintf("%s sees a search cluster that is %s, not green", name, search.Health))
		}
		if search.Nodes != nodes {
			lacks = append(lacks, fmt.Sprintf("%s sees a search cluster of %d nodes instead of %d", name, search.Nodes, nodes))
		}
		clusters[search.ClusterUUID], managers[search.Manager] = true, true
	}
	if len(clusters) > 1 {
		lacks = append(lacks, "the search nodes are in different search clusters")
	}
	if len(managers) > 1 || managers[""] {
		lacks = append(lacks, "the search nodes do not agree on a manager")
	}
	return lacks
}

// serviceLacks tells which Cinc Servers do not work. One that is drained does: an operator wants it so.
func serviceLacks(all []NodeStatus) []string {
	var lacks []string
	for _, s := range all {
		if s.Node.Role != cluster.RoleAPI && s.Node.Role != cluster.RoleStandalone || !s.Answered() {
			continue
		}
		switch service := s.Status.Service; {
		case service == nil:
			lacks = append(lacks, s.Node.Name+" runs no Cinc Server")
		case service.Status == pong:
		case len(service.Failing) == 0:
			lacks = append(lacks, s.Node.Name+"'s Cinc Server does not answer")
		default:
			lacks = append(lacks, fmt.Sprintf("%s's Cinc Server fails: %s", s.Node.Name, strings.Join(service.Failing, ", ")))
		}
	}
	return lacks
}

// pong is how a Cinc Server that works answers.
const pong = "pong"

// balancerLacks tells what the balancers lack: exactly one holds the clients' address, and each finds API nodes that work.
func balancerLacks(all []NodeStatus) []string {
	var lacks, holders []string
	balancers := 0
	for _, s := range all {
		if s.Node.Role != cluster.RoleLB {
			continue
		}
		balancers++
		if !s.Answered() {
			continue
		}
		b := s.Status.Balancer
		if b == nil {
			lacks = append(lacks, s.Node.Name+" runs no haproxy")
			continue
		}
		if b.HoldsVIP {
			holders = append(holders, s.Node.Name)
		}
		if b.Degraded {
			lacks = append(lacks, s.Node.Name+" finds no API node that passes its check, and leads clients to any that takes connections")
		}
	}
	switch {
	case balancers == 0 || len(holders) == 1:
	case len(holders) == 0:
		lacks = append(lacks, "no balancer says that it holds the clients' address")
	default:
		lacks = append(lacks, fmt.Sprintf("%d balancers hold the clients' address: %s", len(holders), strings.Join(holders, ", ")))
	}
	return lacks
}

// Urgent tells what keeps no cluster from being whole, and must not wait: certificates that every machine's doctor finds ill.
func Urgent(all []NodeStatus, now time.Time) []string {
	return ending(all, now, "FAIL", "certificates end within days")
}

// Warnings tells what a whole cluster will lack before long: certificates that end soon, and what machines do not take up
// since their refresh fails.
func Warnings(all []NodeStatus, now time.Time) []string {
	warnings := ending(all, now, "warn", "certificates end soon")
	for _, s := range all {
		if s.Status.Refresh != "" {
			why := strings.ReplaceAll(strings.TrimSpace(s.Status.Refresh), "\n", "; ")
			warnings = append(warnings, fmt.Sprintf("the refresh of %s fails, so it does not take up what changes: %s: cincbake doctor %[1]s", s.Node.Name, why))
		}
	}
	return warnings
}

// ending names the machines whose certificates are judged so, and what to do.
func ending(all []NodeStatus, now time.Time, mark, what string) []string {
	var names []string
	remedy := ""
	for _, s := range all {
		end := s.Status.CertificateExpires
		if end.IsZero() {
			continue // a silent machine's is not known
		}
		if judged := cluster.JudgeCertificate(end, now); judged.Mark() == mark {
			names, remedy = append(names, fmt.Sprintf("%s (%s)", s.Node.Name, remaining(end, now))), judged.Hint
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []string{what + ": " + strings.Join(names, ", ") + ": " + remedy}
}
