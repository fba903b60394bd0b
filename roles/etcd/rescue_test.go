package etcd

import (
	"context"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// A rescue that is cut off after any of its programs goes on where it was: the data is never exchanged twice, which would
// bring the old data back, and the order is gone at the end.
func TestRescueCanBeCutOff(t *testing.T) {
	for cut := range 6 {
		host := step.NewRecorder()
		record, err := Home.Prepare(host)
		if err != nil {
			t.Fatal(err)
		}
		record.Formation, record.Token, record.ClusterID, record.MemberID = cluster.FormationFormed, "old", "c1", "m1"
		if err := Home.Write(host, record); err != nil {
			t.Fatal(err)
		}
		if err := OrderRescue(host, "prod"); err != nil {
			t.Fatal(err)
		}
		exchanges, calls := 0, 0
		host.Answer = func(c step.Command) (step.Output, error) {
			calls++
			if calls == cut {
				return step.Output{}, &step.ExitError{Argv: c.Argv, Status: 1}
			}
			switch {
			case c.Argv[0] == "etcdutl":
				host.Entries[restoredDir+"/member"] = step.Entry{Kind: step.KindDir}
			case c.Argv[0] == "mv" && c.Argv[1] == "--exchange":
				exchanges++
			case c.Argv[0] == "mv":
				delete(host.Entries, restoredDir+"/member")
			}
			return step.Output{}, nil
		}
		plan := step.Plan{{Title: "rescue", Action: rescue{role.Inputs{}}}}
		if _, err := plan.Apply(context.Background(), host, nil); (err != nil) != (cut > 0) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if _, err := plan.Apply(context.Background(), host, nil); err != nil {
			t.Fatalf("after a cut at %d: %v", cut, err)
		}
		if exchanges != 1 {
			t.Errorf("cut at %d: the data was exchanged %d times", cut, exchanges)
		}
		// Cut off once more, after the old data was set aside and before the order was taken away.
		rescued, err := Home.Read(host)
		if err != nil {
			t.Fatal(err)
		}
		host.Entries[rescueFile] = step.Entry{Kind: step.KindFile, Content: []byte(rescued.Token)}
		if _, err := plan.Apply(context.Background(), host, nil); err != nil || exchanges != 1 {
			t.Errorf("cut at %d, and then before the order went: %v, %d exchanges", cut, err, exchanges)
		}
		got, err := Home.Read(host)
		if err != nil {
			t.Fatal(err)
		}
		// The new cluster's ids are not known yet; the old ones would make this machine refuse its own cluster.
		if got.Formation != cluster.FormationForming || got.ClusterID != "" || got.MemberID != "" || !strings.HasPrefix(got.Token, "prod-rescue-") {
			t.Errorf("cut at %d: record %+v", cut, got)
		}
		if token, err := rescueOrdered(host); token != "" || err != nil {
			t.Errorf("cut at %d: the order is still there (%v)", cut, err)
		}
	}
}

// An order outlives the join that carries it out or still waits to, and no other: it would be carried out at some later boot, by
// which the others may have found a disk and hold the quorum.
func TestRescueOrderIsVoidAfterAnyOtherStart(t *testing.T) {
	self := cluster.Node{Name: "postgres-1", Role: cluster.RolePostgres}
	for row, test := range map[string]struct {
		peer cluster.Peer
		kept bool
	}{
		RowRescue:      {cluster.Peer{Observation: cluster.Observation{Formation: cluster.FormationEmpty}}, true},
		RowRescueWaits: {cluster.Peer{Error: "no answer"}, true},
		RowRescueVoid:  {cluster.Peer{Observation: cluster.Observation{Formation: cluster.FormationFormed}}, false},
	} {
		host := step.NewRecorder()
		host.Entries[StoreDir+"/member/wal/0.wal"] = step.Entry{Kind: step.KindFile}
		if err := OrderRescue(host, "prod"); err != nil {
			t.Fatal(err)
		}
		in := role.Inputs{
			Cluster: &cluster.Resolved{Name: "prod", Nodes: []cluster.Node{self}}, Self: self,
			Own: cluster.Observation{Formation: cluster.FormationFormed, Token: "t"}, Peers: cluster.Peers{"postgres-2": test.peer},
		}
		decision, err := Joiner{Host: host}.Join(t.Context(), in)
		if err != nil || decision.Row != row {
			t.Fatalf("got %+v, %v; want %s", decision, err, row)
		}
		if token, err := rescueOrdered(host); (token != "") != test.kept || err != nil {
			t.Errorf("%s: the order is %q, %v", row, token, err)
		}
	}
}
