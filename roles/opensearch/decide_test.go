package opensearch

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/formation"
	"github.com/cincbake/cincbake/roles/role"
)

func nodes() []cluster.Node {
	var all []cluster.Node
	for _, name := range []string{"opensearch-1", "opensearch-2", "opensearch-3"} {
		all = append(all, cluster.Node{Name: name, Role: cluster.RoleOpenSearch})
	}
	return all
}

// peersSay builds the two other nodes' answers; one without a formation is silent.
func peersSay(second, third cluster.Observation) cluster.Peers {
	list := cluster.Peers{}
	for i, o := range []cluster.Observation{second, third} {
		p := cluster.Peer{Node: nodes()[i+1], Observation: o}
		if o.Formation == "" {
			p.Error = "no answer"
		}
		list[p.Node.Name] = p
	}
	return list
}

func TestDecide(t *testing.T) {
	says := func(f cluster.Formation, incarnation, token string) cluster.Observation {
		return cluster.Observation{Formation: f, Incarnation: incarnation, Token: token}
	}
	formed := func(uuid string) cluster.Observation {
		return cluster.Observation{Formation: cluster.FormationFormed, Incarnation: "x", ClusterID: uuid}
	}
	var (
		token                = formation.Token("prod", map[string]string{"opensearch-1": "a", "opensearch-2": "b", "opensearch-3": "c"})
		empty                = says(cluster.FormationEmpty, "a", "")
		emptyB, emptyC       = says(cluster.FormationEmpty, "b", ""), says(cluster.FormationEmpty, "c", "")
		formingA             = says(cluster.FormationForming, "a", token)
		formingB, formingC   = says(cluster.FormationForming, "b", token), says(cluster.FormationForming, "c", token)
		joining              = says(cluster.FormationForming, "a", "")
		unknown              = says(cluster.FormationUnknown, "a", "")
		silent               = cluster.Observation{}
		form                 = role.OpenSearchStart{InitialManagers: []string{"opensearch-1", "opensearch-2", "opensearch-3"}, Token: token}
		without              = role.OpenSearchStart{} // never forms anything
		begins, stays        = cluster.FormationForming, cluster.Formation("")
		goes, waits, refuses = role.Proceed, role.Wait, role.Refuse
	)
	tests := []struct {
		name    string
		view    View
		row     string
		verdict role.Verdict
		start   role.OpenSearchStart
		record  cluster.Formation
	}{
		// There is data.
		{"data that no record accounts for", View{HasData: true, Own: unknown, Peers: peersSay(emptyB, emptyC)}, RowUnrecorded, refuses, without, stays},
		{"the same beside a live cluster", View{HasData: true, Own: unknown, Live: "u1"}, RowUnrecorded, refuses, without, stays},
		{"an empty record beside data", View{HasData: true, Own: empty}, RowUnrecorded, refuses, without, stays},
		{"data of another cluster", View{HasData: true, Own: formed("u1"), Live: "u2"}, RowForeign, refuses, without, stays},
		{"an order does not help data of another cluster", View{HasData: true, Own: formed("u1"), Live: "u2", Rescue: true}, RowForeign, refuses, without, stays},
		{"a restart", View{HasData: true, Own: formed("u1"), Live: "u1"}, RowRestart, goes, without, stays},
		{"all restart together", View{HasData: true, Own: formed("u1"), Peers: peersSay(formed("u1"), silent)}, RowRestart, goes, without, stays},
		{"the last one with data", View{HasData: true, Own: formed("u1"), Peers: peersSay(emptyB, emptyC)}, RowRestart, goes, without, stays},
		{"the same, and an order", View{HasData: true, Own: formed("u1"), Peers: peersSay(emptyB, emptyC), Rescue: true}, RowRescue, goes, role.OpenSearchStart{Rescue: true}, stays},
		{"cut off between the rescue and its record", View{HasData: true, Own: formed(""), Peers: peersSay(emptyB, silent), Rescue: true}, RowRescue, goes, role.OpenSearchStart{Rescue: true}, stays},
		{"an order, and a formed peer came back", View{HasData: true, Own: formed("u1"), Peers: peersSay(emptyB, formed("u1")), Rescue: true}, RowRestart, goes, without, stays},
		{"an order, and the cluster came back", View{HasData: true, Own: formed("u1"), Live: "u1", Rescue: true}, RowRestart, goes, without, stays},
		{"an order for a node that formed nothing", View{HasData: true, Own: joining, Peers: peersSay(emptyB, emptyC), Rescue: true}, RowResume, goes, without, stays},
		{"it was about to join", View{HasData: true, Own: joining, Peers: peersSay(silent, silent)}, RowResume, goes, without, stays},
		{"it was about to form, and others did", View{HasData: true, Own: formingA, Peers: peersSay(formed("u1"), silent)}, RowResume, goes, without, stays},
		{"it was about to form, and there is a cluster", View{HasData: true, Own: formingA, Live: "u1"}, RowJoin, goes, without, begins},
		{"it was about to form, and so are all", View{HasData: true, Own: formingA, Peers: peersSay(formingB, formingC)}, RowForm, goes, form, begins},
		{"it was about to form, and a peer is silent", View{HasData: true, Own: formingA, Peers: peersSay(formingB, silent)}, RowSilent, waits, without, stays},
		{
			"it was about to form, and both others were replaced",
			View{HasData: true, Own: formingA, Peers: peersSay(says(cluster.FormationEmpty, "b2", ""), says(cluster.FormationEmpty, "c2", ""))},
			RowOtherFormation, waits, without, stays,
		},

		// There is none.
		{"a replacement", View{Own: empty, Peers: peersSay(formed("u1"), formed("u1")), Live: "u1"}, RowJoin, goes, without, begins},
		{"a replacement, another one down", View{Own: empty, Peers: peersSay(formed("u1"), silent), Live: "u1"}, RowJoin, goes, without, begins},
		{"its data is gone, and there is a cluster", View{Own: formed("u0"), Live: "u1"}, RowJoin, goes, without, begins},
		{"its data is gone, and there is none", View{Own: formed("u1"), Peers: peersSay(emptyB, emptyC)}, RowLost, waits, without, stays},
		{"everyone is empty", View{Own: empty, Peers: peersSay(emptyB, emptyC)}, RowForm, goes, form, begins},
		{"a peer was quicker", View{Own: empty, Peers: peersSay(formingB, emptyC)}, RowForm, goes, form, begins},
		{"killed before the first byte", View{Own: formingA, Peers: peersSay(formingB, formingC)}, RowForm, goes, form, begins},
		{"two replacements, the third down", View{Own: empty, Peers: peersSay(says(cluster.FormationEmpty, "b2", ""), silent)}, RowSilent, waits, without, stays},
		{"two replacements, the third returns", View{Own: empty, Peers: peersSay(says(cluster.FormationEmpty, "b2", ""), formed("u1"))}, RowQuorumLost, waits, without, stays},
		{"one replacement, one formed, one silent", View{Own: empty, Peers: peersSay(formed("u1"), silent)}, RowQuorumLost, waits, without, stays},
		{"a peer forms without this machine", View{Own: says(cluster.FormationEmpty, "a2", ""), Peers: peersSay(formingB, emptyC)}, RowOtherFormation, waits, without, stays},
		{"a peer holds what it can't account for", View{Own: empty, Peers: peersSay(unknown, emptyC)}, RowPeerUnknown, waits, without, stays},
	}
	var covered []string
	for _, test := range tests {
		covered = append(covered, test.row)
		t.Run(test.name, func(t *testing.T) {
			test.view.Nodes = nodes()
			test.view.Self = test.view.Nodes[0]
			got := Decide("prod", test.view)
			if got.Row != test.row || got.Verdict != test.verdict || got.Formation != test.record {
				t.Errorf("row %s, verdict %s, record %q; want %s, %s, %q", got.Row, got.Verdict, got.Formation, test.row, test.verdict, test.record)
			}
			if diff := cmp.Diff(test.start, got.OpenSearch); diff != "" {
				t.Errorf("start (-want +got):\n%s", diff)
			}
			if got.Reason == "" || (got.Verdict != role.Proceed && got.Hint == "") {
				t.Errorf("reason %q, hint %q: a person needs both", got.Reason, got.Hint)
			}
			if got.Row == RowQuorumLost && !strings.Contains(got.Hint, "cincbake rescue opensearch --node opensearch-") {
				t.Errorf("the hint names no rescue: %s", got.Hint)
			}
		})
	}
	for _, row := range Rows() {
		if !slices.Contains(covered, row) {
			t.Errorf("no case for row %s", row)
		}
	}
}

// Whatever the peers say, a list is given only when all of them answered that they hold nothing, and never over data that may
// belong to a cluster.
func TestAListOnlyWhenAllAreEmpty(t *testing.T) {
	formations := []cluster.Formation{"", cluster.FormationEmpty, cluster.FormationForming, cluster.FormationFormed, cluster.FormationUnknown}
	lists := 0
	for _, own := range formations[1:] {
		for _, second := range formations {
			for _, third := range formations {
				for _, live := range []string{"", "u1"} {
					for _, data := range []bool{false, true} {
						v := View{
							Self: nodes()[0], Nodes: nodes(), HasData: data, Live: live, Own: cluster.Observation{Formation: own, Incarnation: "a"},
							Peers: peersSay(cluster.Observation{Formation: second, Incarnation: "b"}, cluster.Observation{Formation: third, Incarnation: "c"}),
						}
						d := Decide("prod", v)
						if len(d.OpenSearch.InitialManagers) == 0 {
							continue
						}
						lists++
						if live != "" || data || own == cluster.FormationFormed || second != cluster.FormationEmpty || third != cluster.FormationEmpty {
							t.Errorf("a list for own %s, peers %q and %q, live %q, data %v", own, second, third, live, data)
						}
					}
				}
			}
		}
	}
	if lists != 2 {
		t.Errorf("%d lists, want one for an empty node and one for a forming node without data", lists)
	}
}
