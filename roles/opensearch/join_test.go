package opensearch

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// joinOn joins opensearch-1 as its disk and its peers have it; no OpenSearch answers.
func joinOn(t *testing.T, host step.Host, peers cluster.Peers) role.Decision {
	t.Helper()
	own, err := Role{}.Observe(host, nodes()[0])
	if err != nil {
		t.Fatal(err)
	}
	in := role.Inputs{Cluster: &cluster.Resolved{Name: "prod", Nodes: nodes()}, Self: nodes()[0], Own: own, Peers: peers}
	decision, err := Joiner{Host: host}.Join(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return decision
}

func recordOn(t *testing.T, host step.Host) cluster.Observation {
	t.Helper()
	o, err := Role{}.Observe(host, nodes()[0])
	if err != nil {
		t.Fatal(err)
	}
	o.Node, o.Role, o.Incarnation = "", "", ""
	return o
}

// From an empty disk to a cluster, and on: what the record says at each step, and what a list is given for.
func TestLifeOfARecord(t *testing.T) {
	host := step.NewRecorder()
	empty := func(incarnation string) cluster.Observation {
		return cluster.Observation{Formation: cluster.FormationEmpty, Incarnation: incarnation}
	}
	all := peersSay(empty("b"), empty("c"))
	if diff := cmp.Diff(cluster.Observation{Formation: cluster.FormationEmpty}, recordOn(t, host)); diff != "" {
		t.Errorf("at first (-want +got):\n%s", diff)
	}
	first := joinOn(t, host, all)
	if first.Row != RowForm || len(first.OpenSearch.InitialManagers) != 3 {
		t.Fatalf("%+v", first)
	}
	if diff := cmp.Diff(cluster.Observation{Formation: cluster.FormationForming, Token: first.OpenSearch.Token}, recordOn(t, host)); diff != "" {
		t.Errorf("before the first byte (-want +got):\n%s", diff)
	}
	host.Entries[StoreDir] = step.Entry{Kind: step.KindDir}
	host.Entries[StoreDir+"/nodes"] = step.Entry{Kind: step.KindDir}
	if again := joinOn(t, host, all); cmp.Diff(first, again) != "" {
		t.Errorf("after a cut: %+v", again)
	}
	if err := markFormed(host, "u1"); err != nil {
		t.Fatal(err)
	}
	if got := recordOn(t, host); got.Formation != cluster.FormationFormed || got.ClusterID != "u1" {
		t.Errorf("formed: %+v", got)
	}
	if later := joinOn(t, host, all); later.Row != RowRestart || len(later.OpenSearch.InitialManagers) != 0 {
		t.Errorf("a later boot: %+v", later)
	}
	var refusal *role.Refusal
	if err := markFormed(host, "u2"); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "u1") || !strings.Contains(refusal.Hint, "empty disk") {
		t.Errorf("in another cluster: %v", err)
	}
	if got := recordOn(t, host); got.ClusterID != "u1" {
		t.Errorf("a refusal changed the record: %+v", got)
	}
}

// Data that no record accounts for is never taken for an empty disk, wherever below the directory it lies.
func TestDataWithoutARecord(t *testing.T) {
	for path, want := range map[string]cluster.Formation{
		StoreDir:                           cluster.FormationEmpty, // the plan makes it before OpenSearch starts
		Dir + "/formation.json.cincbake-7": cluster.FormationEmpty, // a power loss while the record was written
		StoreDir + "/nodes":                cluster.FormationUnknown,
		Dir + "/nodes":                     cluster.FormationUnknown,
	} {
		host := step.NewRecorder()
		host.Entries[path] = step.Entry{Kind: step.KindDir}
		if got := recordOn(t, host); got.Formation != want {
			t.Errorf("with %s: %s, want %s", path, got.Formation, want)
		}
	}
}

// rescued is a host with formed data and an order.
func rescued(t *testing.T) *step.Recorder {
	t.Helper()
	host := step.NewRecorder()
	if _, err := Home.Prepare(host); err != nil {
		t.Fatal(err)
	}
	if err := markFormed(host, "u1"); err != nil {
		t.Fatal(err)
	}
	host.Entries[StoreDir+"/nodes"] = step.Entry{Kind: step.KindDir}
	in := role.Inputs{Self: nodes()[0]}
	in.Self.Address = loopback
	in.Secrets = searchSecrets(t)
	if err := OrderRescue(t.Context(), host, in); err != nil {
		t.Fatal(err)
	}
	return host
}

// A rescue that is cut off at any program is done again whole, before anything starts, and the order is gone at the end.
func TestRescueCanBeCutOff(t *testing.T) {
	for cut := range 3 {
		host := rescued(t)
		calls := 0
		var ran []step.Command
		host.Answer = func(c step.Command) (step.Output, error) {
			if calls++; calls == cut {
				return step.Output{}, &step.ExitError{Argv: c.Argv, Status: 1}
			}
			ran = append(ran, c)
			return step.Output{}, nil
		}
		empty := cluster.Observation{Formation: cluster.FormationEmpty}
		d := joinOn(t, host, peersSay(empty, empty))
		if !d.OpenSearch.Rescue {
			t.Fatalf("an order is not carried out: %+v", d)
		}
		plan := step.Plan{{Title: "rescue", Action: rescue{}}}
		if _, err := plan.Apply(context.Background(), host, nil); (err != nil) != (cut > 0) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if cut > 0 {
			if got := recordOn(t, host); got.ClusterID != "u1" {
				t.Errorf("cut at %d: the record says %+v before the data does", cut, got)
			}
			ran = nil
		}
		if _, err := plan.Apply(context.Background(), host, nil); err != nil {
			t.Fatalf("after a cut at %d: %v", cut, err)
		}
		if len(ran) != 2 || ran[1].As != role.UserOpenSearch || string(ran[1].Stdin) != "y\n" || ran[0].Argv[1] != "stop" {
			t.Errorf("cut at %d: ran %+v", cut, ran)
		}
		if got := recordOn(t, host); got.Formation != cluster.FormationFormed || got.ClusterID != "" {
			t.Errorf("cut at %d: record %+v", cut, got)
		}
		if ordered, err := rescueOrdered(host); ordered || err != nil {
			t.Errorf("cut at %d: the order is still there (%v)", cut, err)
		}
	}
}

// An order that nobody needs any more must not lie in wait for a later boot.
func TestVoidOrderIsTakenAway(t *testing.T) {
	host := rescued(t)
	formed := cluster.Observation{Formation: cluster.FormationFormed, ClusterID: "u1"}
	if d := joinOn(t, host, peersSay(formed, cluster.Observation{})); d.Row != RowRestart {
		t.Fatalf("%+v", d)
	}
	if ordered, err := rescueOrdered(host); ordered || err != nil {
		t.Errorf("the order is still there (%v)", err)
	}
}
