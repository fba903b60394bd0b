package drill

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cincbake/cincbake/cluster"
)

// Site is the cluster that is struck.
type Site interface {
	// Statuses returns what every machine says of itself, by name. A machine that does not answer is not in it.
	Statuses(ctx context.Context) map[string]cluster.Status
	// WaitWhole waits until nothing is missing of the cluster.
	WaitWhole(ctx context.Context, within time.Duration) error
	// Switchover moves the primary in good order.
	Switchover(ctx context.Context) error
	// Rollout boots a new machine in every one's place, one after the other.
	Rollout(ctx context.Context) error
}

// What a database node says of its role, in Patroni's words.
const (
	primaryRole = "primary"
	syncRole    = "sync_standby"
)

// absent is a target that the cluster does not have, or that nobody is at the moment.
type absent struct{ what string }

func (a absent) Error() string { return "there is no " + a.what }

// view is a cluster as it is at one moment.
type view struct {
	cluster  *cluster.Resolved
	statuses map[string]cluster.Status
	turn     int // how often this kind of strike was made before
}

// targets returns the machines that a selector names.
func (v view) targets(selector string) ([]string, error) {
	switch selector {
	case Everybody:
		return v.where(func(cluster.Node, cluster.Status) bool { return true }), nil
	case "primary":
		return v.one("primary", v.database(primaryRole))
	case "replica":
		return v.one("replica", append(v.database(syncRole), v.where(func(n cluster.Node, s cluster.Status) bool {
			return n.Role == cluster.RolePostgres && s.Database != nil && s.Database.Role != primaryRole
		})...))
	case "witness":
		return v.one("witness", v.of(cluster.RoleHeartbeat))
	case "etcd-leader":
		return v.one("leader of etcd", v.where(func(n cluster.Node, _ cluster.Status) bool {
			return slices.ContainsFunc(v.cluster.Voters(), func(voter cluster.Node) bool {
				q := v.statuses[voter.Name].Quorum
				return q != nil && q.Healthy && q.Leader == n.Name
			})
		}))
	case "vip":
		return v.one("balancer that holds the clients' address", v.balancer(true))
	case "other-lb":
		return v.one("other balancer", v.balancer(false))
	case "api":
		nodes := v.of(cluster.RoleAPI)
		if len(nodes) > 0 {
			nodes = nodes[v.turn%len(nodes):]
		}
		return v.one("API node", nodes)
	case "search-manager":
		return v.one("search manager", v.search(true))
	case "search-other":
		return v.one("other search node", v.search(false))
	}
	_, err := v.cluster.Node(selector)
	return []string{selector}, err
}

// diskless tells whether a machine keeps what it has on its root disk.
func (v view) diskless(name string) bool {
	node, err := v.cluster.Node(name)
	return err == nil && node.Disk == ""
}

func (v view) one(what string, found []string) ([]string, error) {
	if len(found) == 0 {
		return nil, absent{what}
	}
	return found[:1], nil
}

func (v view) where(holds func(cluster.Node, cluster.Status) bool) []string {
	var names []string
	for _, n := range v.cluster.Nodes {
		if holds(n, v.statuses[n.Name]) {
			names = append(names, n.Name)
		}
	}
	return names
}

func (v view) of(role cluster.Role) []string {
	return v.where(func(n cluster.Node, _ cluster.Status) bool { return n.Role == role })
}

func (v view) database(role string) []string {
	return v.where(func(_ cluster.Node, s cluster.Status) bool { return s.Database != nil && s.Database.Role == role })
}

func (v view) balancer(holds bool) []string {
	return v.where(func(_ cluster.Node, s cluster.Status) bool { return s.Balancer != nil && s.Balancer.HoldsVIP == holds })
}

func (v view) search(manages bool) []string {
	return v.where(func(n cluster.Node, s cluster.Status) bool {
		return n.Role == cluster.RoleOpenSearch && s.Search != nil && s.Search.Manager != "" && (s.Search.Manager == n.Name) == manages
	})
}

// complete tells whether every machine said what it is, and every search node in which cluster. Machines of the pool may have
// said something too.
func (v view) complete() bool {
	silent := v.where(func(n cluster.Node, _ cluster.Status) bool {
		_, said := v.statuses[n.Name]
		return !said
	})
	return len(silent) == 0 && !slices.Contains(v.searchClusters(), "")
}

// searchClusters returns the ids of the search clusters that the search nodes say they are in, each once, sorted; "" stands
// for a node that is in none or does not say.
func (v view) searchClusters() []string {
	var ids []string
	for _, name := range v.of(cluster.RoleOpenSearch) {
		id := ""
		if s := v.statuses[name].Search; s != nil {
			id = s.ClusterUUID
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// resolved is a blow with its targets.
type resolved struct {
	Blow
	nodes []string
	fault Fault
}

// resolve finds whom a strike hits. All of it is decided before the first blow: after that, nobody may know.
func (s Strike) resolve(v view, m Machines, site Site) ([]resolved, error) {
	var blows []resolved
	for _, b := range s.Blows {
		nodes, err := v.targets(b.To)
		if err != nil {
			return nil, err
		}
		if b.Do == actFill && v.diskless(nodes[0]) {
			return nil, absent{"data disk of " + nodes[0]}
		}
		var with []string
		for _, selector := range b.With {
			company, err := v.targets(selector)
			if err != nil {
				return nil, err
			}
			with = append(with, company...)
		}
		fault, err := b.fault(m, site, with)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		blows = append(blows, resolved{b, nodes, fault})
	}
	return blows, nil
}
