package operate

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
)

// testTiers is a cluster of the tiers around the database.
func testTiers() *cluster.Resolved {
	return &cluster.Resolved{
		Name: "prod", Platform: cluster.OnPrem,
		LB: &cluster.LB{Kind: cluster.LBNodes, VIP: netip.MustParseAddr("10.20.0.10")},
		Nodes: []cluster.Node{
			{Name: "lb-1", Role: cluster.RoleLB, Slot: 1, Address: netip.MustParseAddr("10.20.0.11")},
			{Name: "lb-2", Role: cluster.RoleLB, Slot: 2, Address: netip.MustParseAddr("10.20.0.12")},
			{Name: "api-1", Role: cluster.RoleAPI, Slot: 1, Address: netip.MustParseAddr("10.20.0.21")},
			{Name: "api-2", Role: cluster.RoleAPI, Slot: 2, Address: netip.MustParseAddr("10.20.0.22")},
			{Name: "opensearch-1", Role: cluster.RoleOpenSearch, Slot: 1, Address: netip.MustParseAddr("10.20.0.41")},
			{Name: "opensearch-2", Role: cluster.RoleOpenSearch, Slot: 2, Address: netip.MustParseAddr("10.20.0.42")},
		},
	}
}

// wholeTiers is how they say that they are when nothing is missing; api-2 is drained.
func wholeTiers() []NodeStatus {
	up := []string{"api-1", "api-2"}
	statuses := []cluster.Status{
		{Balancer: &cluster.Balancer{HoldsVIP: true, Up: up}},
		{Balancer: &cluster.Balancer{Up: up}},
		{Service: &cluster.Service{Status: "pong"}},
		{Service: &cluster.Service{Status: "pong", Drained: true}},
		{Search: &cluster.Search{Health: "green", Manager: "opensearch-1", Nodes: 2, ClusterUUID: "u1"}},
		{Search: &cluster.Search{Health: "green", Manager: "opensearch-1", Nodes: 2, ClusterUUID: "u1"}},
	}
	all := make([]NodeStatus, len(statuses))
	for i, s := range statuses {
		s.Phase, s.Result = "ready", cluster.ResultReady
		all[i] = NodeStatus{Node: testTiers().Nodes[i], Status: s}
	}
	return all
}

// The tiers' places in wholeTiers.
const (
	lb1 = iota
	lb2
	api1
	api2
	search1
	search2
)

func TestWholeOfEveryTier(t *testing.T) {
	// Each row breaks one thing of a whole cluster. State is how the table says it, where it does.
	for _, row := range []struct {
		name  string
		spoil func(all []NodeStatus)
		want  string
		state string
	}{
		{"nothing", func([]NodeStatus) {}, "", "pong, drained"},
		{"a silent balancer that held the address", func(all []NodeStatus) {
			all[lb1] = NodeStatus{Node: all[lb1].Node, Error: "lb-1 does not answer"}
		}, "lb-1 does not answer\nno balancer says that it holds the clients' address", "silent"},
		{"no haproxy", func(all []NodeStatus) { all[lb2].Status.Balancer = nil }, "lb-2 runs no haproxy", ""},
		{
			"two holders", func(all []NodeStatus) { all[lb2].Status.Balancer.HoldsVIP = true },
			"2 balancers hold the clients' address: lb-1, lb-2", "",
		},
		{"a degraded balancer", func(all []NodeStatus) {
			all[lb2].Status.Balancer = &cluster.Balancer{Up: []string{}, Degraded: true}
		}, "lb-2 finds no API node that passes its check, and leads clients to any that takes connections", "degraded"},
		{"a degraded holder", func(all []NodeStatus) {
			all[lb1].Status.Balancer = &cluster.Balancer{HoldsVIP: true, Degraded: true}
		}, "lb-1 finds no API node that passes its check, and leads clients to any that takes connections", "holds 10.20.0.10, degraded"},
		{"no Cinc Server", func(all []NodeStatus) { all[api1].Status.Service = nil }, "api-1 runs no Cinc Server", ""},
		{
			"a silent Cinc Server", func(all []NodeStatus) { all[api1].Status.Service.Status = "fail" },
			"api-1's Cinc Server does not answer", "fail",
		},
		{"no search behind it", func(all []NodeStatus) {
			all[api1].Status.Service = &cluster.Service{Status: "fail", Failing: []string{"chef_opensearch"}}
		}, "api-1's Cinc Server fails: chef_opensearch", "fail: chef_opensearch"},
		{"nothing behind it", func(all []NodeStatus) {
			all[api1].Status.Service = &cluster.Service{Status: "fail", Failing: []string{"chef_opensearch", "chef_sql"}}
		}, "api-1's Cinc Server fails: chef_opensearch, chef_sql", "fail: chef_opensearch, chef…"},
		{"no OpenSearch", func(all []NodeStatus) { all[search1].Status.Search = nil }, "opensearch-1 runs no OpenSearch", ""},
		{
			"a search node alone", func(all []NodeStatus) { all[search1].Status.Search = &cluster.Search{} },
			"opensearch-1 is in no search cluster", "no cluster",
		},
		{
			"yellow", func(all []NodeStatus) { all[search2].Status.Search.Health = "yellow" },
			"opensearch-2 sees a search cluster that is yellow, not green", "yellow",
		},
		{"red", func(all []NodeStatus) {
			all[search1].Status.Search.Health, all[search2].Status.Search.Health = "red", "red"
		}, "opensearch-1 sees a search cluster that is red, not green\nopensearch-2 sees a search cluster that is red, not green", "red, manager"},
		{
			"a missing search node", func(all []NodeStatus) { all[search1].Status.Search.Nodes = 1 },
			"opensearch-1 sees a search cluster of 1 nodes instead of 2", "",
		},
		{
			"two search clusters", func(all []NodeStatus) { all[search2].Status.Search.ClusterUUID = "u2" },
			"the search nodes are in different search clusters", "",
		},
		{
			"two managers", func(all []NodeStatus) { all[search2].Status.Search.Manager = "opensearch-2" },
			"the search nodes do not agree on a manager", "green, manager",
		},
		{"no manager", func(all []NodeStatus) {
			all[search1].Status.Search.Manager, all[search2].Status.Search.Manager = "", ""
		}, "the search nodes do not agree on a manager", "green"},
		{"a standalone server", func(all []NodeStatus) {
			all[api1].Node.Role, all[api1].Status.Service.Status = cluster.RoleStandalone, "fail"
		}, "api-1's Cinc Server does not answer", "fail"},
	} {
		t.Run(row.name, func(t *testing.T) {
			all := wholeTiers()
			row.spoil(all)
			got := ""
			if err := Whole(all); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
			var drawn bytes.Buffer
			if err := Table(&drawn, testTiers(), all, time.Now()); err != nil {
				t.Fatal(err)
			}
			table, _, _ := strings.Cut(drawn.String(), "\n\n")
			if !strings.Contains(table, " "+row.state+" ") {
				t.Errorf("%q is not in\n%s", row.state, table)
			}
		})
	}
}

// The widest that each column gets.
func TestTableFits(t *testing.T) {
	now := time.Now()
	r := testTiers()
	r.LB.VIP = netip.MustParseAddr("192.168.100.100")
	node := cluster.Node{Name: "opensearch-1", Role: cluster.RoleOpenSearch, Address: netip.MustParseAddr("192.168.100.141")}
	wide := cluster.Status{Result: cluster.ResultWaiting, Phase: "endpoint", CertificateExpires: now.AddDate(10, 0, 0), Quorum: &cluster.Quorum{}}
	holds, fails := wide, wide
	holds.Balancer = &cluster.Balancer{HoldsVIP: true, Up: make([]string, 3)}
	fails.Service = &cluster.Service{Status: "fail", Failing: []string{"chef_opensearch", "chef_sql", "oc_chef_authz"}}
	var drawn bytes.Buffer
	if err := Table(&drawn, r, []NodeStatus{{Node: node, Status: holds}, {Node: node, Status: fails}}, now); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(drawn.String(), "holds 192.168.100.100, 3 up ") {
		t.Errorf("the address is cut off:\n%s", drawn.String())
	}
	for line := range strings.Lines(drawn.String()) {
		if width := len([]rune(strings.TrimSuffix(line, "\n"))); width > columns {
			t.Errorf("%d columns: %s", width, line)
		}
	}
}

func TestWarnings(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	all := wholeTiers()
	all[lb1].Status.CertificateExpires = now.AddDate(0, 0, 30)
	all[lb2].Status.CertificateExpires = now.AddDate(0, 0, 30).Add(-time.Second)
	all[api1].Status.CertificateExpires = now.AddDate(0, 0, 7)
	all[api2].Status.CertificateExpires = now.AddDate(0, 0, 7).Add(-time.Second)
	all[search1].Status.CertificateExpires = now
	all[search2].Status.Refresh = "not running: chrony"
	want := []string{
		"certificates end soon: lb-2 (29 days), api-1 (7 days): cincbake secrets rotate leaves --apply",
		"the refresh of opensearch-2 fails, so it does not take up what changes: not running: chrony: cincbake doctor opensearch-2",
	}
	if diff := cmp.Diff(want, Warnings(all, now)); diff != "" {
		t.Error(diff)
	}
	want = []string{"certificates end within days: api-2 (6 days), opensearch-1 (EXPIRED): cincbake secrets rotate leaves --apply"}
	if diff := cmp.Diff(want, Urgent(all, now)); diff != "" {
		t.Error(diff)
	}
	if err := Whole(all); err != nil {
		t.Errorf("a certificate that ends is no lack: %v", err)
	}
	if got := append(Warnings(wholeTiers(), now), Urgent(wholeTiers(), now)...); got != nil {
		t.Errorf("got %q", got)
	}
}
