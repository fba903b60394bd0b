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

// warnAhead is how long before its end a certificate is worth a word.
const warnAhead = 30 * 24 * time.Hour

// Warnings tells what a whole cluster will lack before long: certificates that end soon.
func Warnings(all []NodeStatus, now time.Time) []string {
	var ending []string
	for _, s := range all {
		if end := s.Status.CertificateExpires; !end.IsZero() && end.Sub(now) < warnAhead {
			ending = append(ending, fmt.Sprintf("%s (%s)", s.Node.Name, remaining(end, now)))
		}
	}
	if len(ending) == 0 {
		return nil
	}
	return []string{"certificates end soon: " + strings.Join(ending, ", ") + ": cincbake secrets rotate leaves --apply"}
}
