package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func exampleOf(t *testing.T, topology Topology, platform Platform) *Resolved {
	t.Helper()
	text, err := Example(topology, platform)
	if err != nil {
		t.Fatal(err)
	}
	return resolve(t, text)
}

func flowsOf(flows []Flow) []string {
	var list []string
	for _, f := range flows {
		list = append(list, fmt.Sprintf("%s → %s %d/%s", f.From, f.To, f.Port, f.Protocol))
	}
	return list
}

func TestPortsFollowTheTiers(t *testing.T) {
	agents := func(roles ...string) []string {
		var list []string
		for _, role := range roles {
			list = append(list, "cluster → "+role+" 9440/tcp", "operators → "+role+" 9440/tcp")
		}
		return list
	}
	voters := []string{
		"postgres → postgres 5432/tcp", "postgres → postgres 8008/tcp", "postgres → postgres 2379/tcp", "postgres → heartbeat 2379/tcp",
		"heartbeat → postgres 2379/tcp", "postgres → postgres 2380/tcp", "postgres → heartbeat 2380/tcp", "heartbeat → postgres 2380/tcp",
	}
	direct := []string{"clients → api 443/tcp", "clients → api 80/tcp"}
	balanced := []string{"clients → lb 443/tcp", "clients → lb 80/tcp", "lb → lb 0/vrrp", "lb → api 443/tcp", "lb → api 9441/tcp"}
	data := []string{"api → postgres 5432/tcp", "api → postgres 8008/tcp"}
	search := []string{"api → opensearch 9200/tcp", "opensearch → opensearch 9200/tcp", "opensearch → opensearch 9300/tcp"}
	for _, test := range []struct {
		name string
		r    *Resolved
		want []string
	}{
		{"standalone", exampleOf(t, Standalone, OnPrem), slices.Concat([]string{"clients → standalone 443/tcp", "clients → standalone 80/tcp"}, agents("standalone"))},
		{"managed", exampleOf(t, Managed, OnPrem), slices.Concat(balanced, agents("lb", "api"), []string{"api → postgres 5432/tcp", "api → opensearch 443/tcp"})},
		{"self-hosted", exampleOf(t, SelfHosted, OnPrem), slices.Concat(balanced, data, voters, search, agents("lb", "api", "postgres", "heartbeat", "opensearch"))},
		{"self-hosted on AWS", exampleOf(t, SelfHosted, AWS), slices.Concat(direct, data, voters, search, []string{"postgres → backup 443/tcp"}, agents("api", "postgres", "heartbeat", "opensearch"))},
		{"database", resolve(t, smallest), slices.Concat([]string{"clients → postgres 5432/tcp", "clients → postgres 8008/tcp"}, voters, agents("postgres", "heartbeat"))},
	} {
		if diff := cmp.Diff(test.want, flowsOf(Ports(test.r))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", test.name, diff)
		}
	}
	r := resolve(t, everything)
	if got := flowsOf(Ports(r)); !slices.Contains(got, "postgres → backup 22/tcp") || !slices.Contains(got, "operators → lb 22/tcp") {
		t.Errorf("got %v", got)
	}
	want := []string{"postgres → heartbeat 2379/tcp", "postgres → heartbeat 2380/tcp", "cluster → heartbeat 9440/tcp", "operators → heartbeat 9440/tcp", "operators → heartbeat 22/tcp"}
	if diff := cmp.Diff(want, flowsOf(Inbound(r, RoleHeartbeat))); diff != "" {
		t.Errorf("inbound (-want +got)\n%s", diff)
	}
	if got := Inbound(exampleOf(t, Managed, OnPrem), RolePostgres); got != nil {
		t.Errorf("somebody else's database has no firewall of ours: %v", got)
	}
}

// TestPortsWithoutTheOthers: a machine that is not told of the others makes the same firewall.
func TestPortsWithoutTheOthers(t *testing.T) {
	for _, topology := range Topologies() {
		for _, platform := range PlatformsOf(topology) {
			r := exampleOf(t, topology, platform)
			for _, role := range rolesOf(r) {
				alone := *r
				alone.Nodes = slices.DeleteFunc(slices.Clone(r.Nodes), func(n Node) bool { return n.Role == RoleAPI || n.Role == RoleLB })
				if diff := cmp.Diff(flowsOf(Inbound(r, role)), flowsOf(Inbound(&alone, role))); diff != "" {
					t.Errorf("%s on %s, %s (-all +alone)\n%s", topology, platform, role, diff)
				}
			}
		}
	}
}

// TestPortTable: rows are complete, and none stands twice.
func TestPortTable(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range portTable() {
		if row.From == "" || row.To == "" || row.Why == "" || (row.Protocol != TCP && row.Protocol != VRRP) || (row.Port == 0) != (row.Protocol == VRRP) {
			t.Errorf("the row is not complete: %+v", row.Flow)
		}
		if name := strings.Join(flowsOf([]Flow{row.Flow}), ""); seen[name] {
			t.Errorf("%s stands twice", name)
		} else {
			seen[name] = true
		}
	}
}

func TestExternalSearchPort(t *testing.T) {
	for url, want := range map[string]int{"https://search.example.com": 443, "https://search.example.com:9200": 9200} {
		if got := (&ExternalOpenSearch{URL: url}).Port(); got != want {
			t.Errorf("%s: %d, want %d", url, got, want)
		}
	}
}
