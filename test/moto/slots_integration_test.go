//go:build integration

package moto_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
)

// slots launches a cluster whose databases and search nodes are machines of its own: each slot keeps an interface and a disk.
func (s *stage) slots() {
	s.Helper()
	ctx := s.Context()
	fleet := s.newFleet(s.cluster(cluster.SelfHosted, "other", "api", "postgres", "heartbeat", "opensearch"))
	named := map[cluster.Role]string{}
	for _, role := range cluster.Roles() {
		if len(fleet.Cluster.NodesOf(role)) > 0 {
			named[role] = s.image("cincbake-other-"+string(role), "other", fleet.Cluster.Recipe(role))
		}
	}
	found, err := fleet.Images(ctx, "stable", named)
	s.check(err)
	s.rest()
	s.applied("slots", fleet, found)
	state, err := fleet.Read(ctx)
	s.check(err)
	var lines []string
	for _, node := range slices.Sorted(maps.Keys(state.Interfaces)) {
		card, disk := state.Interfaces[node], state.Volumes[node]
		address, err := netip.ParseAddr(card.Address)
		lines = append(lines, fmt.Sprintf("%s: a card in %s with %d security groups, an address: %t, a disk in %q", node, state.Zones[card.Subnet], len(card.SecurityGroups), err == nil && address.IsPrivate(), disk.Zone))
	}
	s.fact("what slots keep", strings.Join(lines, "\n"))
	lines = nil
	for _, name := range slices.Sorted(maps.Keys(state.Groups)) {
		g := state.Groups[name]
		lines = append(lines, fmt.Sprintf("%s: %s %q, %d to %d, version %d, zones %v, %d subnets, ready within %d s, health by %s",
			name, g.Role, g.Node, g.Min, g.Max, g.Version, g.Zones, len(g.Subnets), g.HookTimeout, g.HealthCheck))
	}
	s.fact("groups of slots", strings.Join(lines, "\n"))

	tokens := map[string]bool{}
	for _, kind := range []struct{ action, kind string }{{"CreateNetworkInterface", "network-interface"}, {"CreateVolume", "volume"}} {
		for _, c := range s.proxy.Calls(kind.action) {
			tags := c.Tags(kind.kind)
			if tags[cluster.TagCluster] != "other" || tags[cluster.TagNode] == "" || tags[cluster.TagRole] == "" {
				s.Errorf("%s has only the tags %v", c.Name(), tags)
			}
			if token := c.Params.Get("ClientToken"); token == "" || tokens[token] {
				s.Errorf("%s has the token %q, which is none of its own", c.Name(), token)
			}
			tokens[c.Params.Get("ClientToken")] = true
			if kind.kind == "volume" && (c.Params.Get("Encrypted") != "true" || c.Params.Get("KmsKeyId") != key) {
				s.Errorf("%s makes a disk that is not encrypted as it should be: %v", c.Name(), c.Params)
			}
		}
	}
	if len(tokens) != len(state.Interfaces)+len(state.Volumes) {
		s.Errorf("%d cards and %d disks were made by %d calls", len(state.Interfaces), len(state.Volumes), len(tokens))
	}
	s.rest()
}
