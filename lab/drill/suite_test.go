package drill

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// elevenNodes is a cluster with every tier, and what its machines say of themselves.
func elevenNodes() (*cluster.Resolved, map[string]cluster.Status) {
	c := &cluster.Resolved{Name: "prod"}
	add := func(role cluster.Role, disk string, names ...string) {
		for i, name := range names {
			c.Nodes = append(c.Nodes, cluster.Node{Name: name, Role: role, Slot: i + 1, Disk: disk, Address: netip.AddrFrom4([4]byte{10, 20, byte(len(c.Nodes)), 1})})
		}
	}
	add(cluster.RoleLB, "", "lb-1", "lb-2")
	add(cluster.RoleAPI, "", "api-1", "api-2", "api-3")
	add(cluster.RolePostgres, "/dev/vdb", "postgres-1", "postgres-2")
	add(cluster.RoleHeartbeat, "", "heartbeat-1")
	add(cluster.RoleOpenSearch, "/dev/vdb", "opensearch-1", "opensearch-2", "opensearch-3")
	quorum := &cluster.Quorum{Healthy: true, Leader: "postgres-2", Members: 3}
	search := func() *cluster.Search { return &cluster.Search{Manager: "opensearch-2", ClusterUUID: "one"} }
	return c, map[string]cluster.Status{
		"api-1": {}, "api-2": {}, "api-3": {},
		"lb-1":         {Balancer: &cluster.Balancer{}},
		"lb-2":         {Balancer: &cluster.Balancer{HoldsVIP: true}},
		"postgres-1":   {Database: &cluster.Database{Role: "sync_standby"}, Quorum: quorum},
		"postgres-2":   {Database: &cluster.Database{Role: "primary"}, Quorum: quorum},
		"heartbeat-1":  {Quorum: quorum},
		"opensearch-1": {Search: search()}, "opensearch-2": {Search: search()}, "opensearch-3": {Search: search()},
	}
}

func TestTargets(t *testing.T) {
	c, statuses := elevenNodes()
	for _, row := range []struct {
		selector string
		turn     int
		want     string
	}{
		{"primary", 0, "postgres-2"},
		{"replica", 0, "postgres-1"},
		{"witness", 0, "heartbeat-1"},
		{"etcd-leader", 0, "postgres-2"},
		{"vip", 0, "lb-2"},
		{"other-lb", 0, "lb-1"},
		{"api", 0, "api-1"},
		{"api", 1, "api-2"},
		{"api", 5, "api-3"},
		{"search-manager", 0, "opensearch-2"},
		{"search-other", 0, "opensearch-1"},
		{"opensearch-3", 0, "opensearch-3"},
		{"all", 0, "lb-1 lb-2 api-1 api-2 api-3 postgres-1 postgres-2 heartbeat-1 opensearch-1 opensearch-2 opensearch-3"},
	} {
		got, err := view{c, statuses, row.turn}.targets(row.selector)
		if err != nil || strings.Join(got, " ") != row.want {
			t.Errorf("%s, turn %d: %v %v", row.selector, row.turn, got, err)
		}
	}
	small := &cluster.Resolved{Nodes: c.Nodes[5:8]}
	for _, selector := range []string{"vip", "api", "search-manager"} {
		if _, err := (view{small, statuses, 0}).targets(selector); !errors.As(err, &absent{}) {
			t.Errorf("%s of a cluster without: %v", selector, err)
		}
	}
	if _, err := (view{c, statuses, 0}).targets("mainframe"); err == nil {
		t.Error("a machine that is not there is a target")
	}
	statuses["opensearch-3"] = cluster.Status{Search: &cluster.Search{ClusterUUID: "another"}}
	delete(statuses, "opensearch-1")
	if (view{c, statuses, 0}).complete() {
		t.Error("a view is complete, in which a search node says nothing")
	}
	if diff := cmp.Diff([]string{"", "another", "one"}, view{c, statuses, 0}.searchClusters()); diff != "" {
		t.Error(diff)
	}
}

// Every strike of every suite can be made of a whole cluster, under a name of its own.
func TestSuites(t *testing.T) {
	c, statuses := elevenNodes()
	for name, counts := range map[string]struct{ least, most int }{"reduced": {8, 12}, "full": {200, 260}} {
		suite, err := SuiteCalled(name)
		if err != nil {
			t.Fatal(err)
		}
		if n := suite.Count(); n < counts.least || n > counts.most {
			t.Errorf("%s makes %d strikes", name, n)
		}
		var names []string
		for _, s := range suite.Strikes {
			if slices.Contains(names, s.Name) || s.Runs < 1 || len(s.Blows) == 0 {
				t.Errorf("%s: %+v is there twice, or never made", name, s)
			}
			if cut(s.Name) != s.Name {
				t.Errorf("%q does not fit into the report", s.Name)
			}
			names = append(names, s.Name)
			blows, err := s.resolve(view{c, statuses, 0}, &fakeMachines{}, &fakeSite{})
			if err != nil {
				t.Errorf("%s: %s: %v", name, s.Name, err)
			}
			var last []string
			for _, b := range blows {
				if (b.Do == actKill) != (len(b.Programs) > 0) || (len(b.With) > 0 && b.Do != actPartition) {
					t.Errorf("%s: %s: %+v does not fit together", name, s.Name, b.Blow)
				}
				for _, node := range b.nodes {
					if slices.Contains(last, node) {
						t.Errorf("%s: %s strikes %s twice", name, s.Name, node)
					}
					last = append(last, node)
				}
			}
		}
	}
	if _, err := SuiteCalled("endless"); exit.CodeOf(err) != exit.Invalid {
		t.Errorf("a suite that is none: %v", err)
	}
	if _, err := readSuites([]byte("x: [{name: a, blow: []}]")); err == nil {
		t.Error("a field that is none was taken")
	}
}

func TestFigures(t *testing.T) {
	at := func(seconds float64) time.Time {
		return time.Unix(0, 0).Add(time.Duration(seconds * float64(time.Second)))
	}
	done := func(client int, seconds ...float64) (ops []op) {
		for _, s := range seconds {
			ops = append(ops, op{client, at(s - 0.1), at(s), nil})
		}
		return ops
	}
	tr := trace{window: span{at(0), at(40)}, clients: []Client{{Node: "api-1"}, {}, {}}}
	for second := range 40 {
		if second < 10 || second > 15 {
			tr.ops = append(tr.ops, done(1, float64(second)+0.5)...)
		}
		if second < 5 || second > 30 {
			tr.ops = append(tr.ops, done(0, float64(second)+0.6)...)
		}
	}
	tr.ops = append(tr.ops, done(2, 1, 39)...)
	if gap := longest(tr.pauses(everyone)); gap.from != at(9.5) || gap.to != at(16.5) {
		t.Errorf("the gap is %v to %v", gap.from, gap.to)
	}
	if got := tr.worstClient([]string{"api-1"}); got != 38*time.Second {
		t.Errorf("the worst client waited %v", got)
	}
	tr.clients[2].Node = "api-2"
	if got := tr.worstClient([]string{"api-2"}); got != 27*time.Second {
		t.Errorf("the worst client of those not struck waited %v", got)
	}
	counts := tr.perSecond()
	if diff := cmp.Diff([]int{2, 3, 2, 2, 2, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1}, counts[:17]); diff != "" || len(counts) != 40 {
		t.Errorf("%d seconds: %s", len(counts), diff)
	}
	for _, row := range []struct {
		name        string
		client      int
		began, took float64
		want        int
	}{
		{"while others are served", 1, 20, 11, 1},
		{"not for long enough", 1, 20, 9, 0},
		{"mostly while nobody is", 1, 8, 12, 0},
		{"with the service away in between", 1, 5, 18, 1},
		{"on the machine that is struck", 0, 20, 15, 0},
	} {
		with := tr
		with.ops = append(slices.Clone(tr.ops), op{row.client, at(row.began), at(row.began + row.took), errors.New("given up")})
		if got := len(with.hanging([]string{"api-1"})); got != row.want {
			t.Errorf("%s: %d hang", row.name, got)
		}
	}
}

func TestComplete(t *testing.T) {
	c, statuses := elevenNodes()
	statuses["api-4"] = cluster.Status{} // from the pool
	if !(view{c, statuses, 0}).complete() {
		t.Error("it is not, though every machine said what it is")
	}
	delete(statuses, "lb-1")
	if (view{c, statuses, 0}).complete() {
		t.Error("it is, though lb-1 is silent")
	}
}
