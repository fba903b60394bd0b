package etcd_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/etcd"
	"github.com/cincbake/cincbake/roles/formation"
	"github.com/cincbake/cincbake/roles/role"
)

func voter(name string, address string, r cluster.Role) cluster.Node {
	return cluster.Node{Name: name, Role: r, Address: netip.MustParseAddr(address)}
}

func voters() []cluster.Node {
	return []cluster.Node{
		voter("postgres-1", "10.0.0.1", cluster.RolePostgres),
		voter("postgres-2", "10.0.0.2", cluster.RolePostgres),
		voter("heartbeat-1", "10.0.0.3", cluster.RoleHeartbeat),
	}
}

// peers builds the two other voters' answers; an empty formation is a silent peer.
func peers(second, third cluster.Observation) cluster.Peers {
	list := cluster.Peers{}
	for i, o := range []cluster.Observation{second, third} {
		p := cluster.Peer{Node: voters()[i+1], Observation: o}
		if o.Formation == "" {
			p.Error = "no answer"
		}
		list[p.Node.Name] = p
	}
	return list
}

func says(formation cluster.Formation, incarnation string) cluster.Observation {
	return cluster.Observation{Formation: formation, Incarnation: incarnation}
}

func forming(incarnation, token string) cluster.Observation {
	return cluster.Observation{Formation: cluster.FormationForming, Incarnation: incarnation, Token: token}
}

func formed(member string) cluster.Observation {
	return cluster.Observation{Formation: cluster.FormationFormed, Incarnation: "a", Token: "t", ClusterID: "c1", MemberID: member}
}

func member(id, name, address string, started bool) etcd.Member {
	m := etcd.Member{ID: id, Name: name, PeerURLs: []string{"https://" + address + ":2380"}}
	if started {
		m.ClientURLs = []string{"https://" + address + ":2379"}
	}
	return m
}

func quorum(members ...etcd.Member) *etcd.Quorum {
	return &etcd.Quorum{ClusterID: "c1", Members: append(members,
		member("2", "postgres-2", "10.0.0.2", true), member("3", "heartbeat-1", "10.0.0.3", true))}
}

const (
	self1 = "postgres-1=https://10.0.0.1:2380"
	peer2 = "postgres-2=https://10.0.0.2:2380"
	peer3 = "heartbeat-1=https://10.0.0.3:2380"
)

func TestDecide(t *testing.T) {
	token := formation.Token("prod", map[string]string{"postgres-1": "a", "postgres-2": "b", "heartbeat-1": "c"})
	everyone := []string{peer3, self1, peer2}
	empty := says(cluster.FormationEmpty, "a")
	tests := []struct {
		name    string
		view    etcd.View
		row     string
		verdict role.Verdict
		start   role.EtcdStart
		change  etcd.Change
		record  cluster.Formation
	}{
		// There is a log, and no quorum answers.
		{
			"a log, alone",
			etcd.View{HasLog: true, Own: formed("1")},
			etcd.RowRestart, role.Proceed,
			role.EtcdStart{State: "existing", Cluster: everyone, Token: "t"},
			etcd.Change{},
			"",
		},
		{
			"a log of a formation under way",
			etcd.View{HasLog: true, Own: forming("a", "t")},
			etcd.RowRestart, role.Proceed,
			role.EtcdStart{State: "new", Cluster: everyone, Token: "t"},
			etcd.Change{},
			"",
		},
		{
			"a log that no record accounts for",
			etcd.View{HasLog: true, Own: empty},
			etcd.RowUnrecorded, role.Refuse,
			role.EtcdStart{},
			etcd.Change{},
			"",
		},
		{
			"a log, an operator's order, and only empty peers",
			etcd.View{HasLog: true, Own: formed("1"), Rescue: "r", Peers: peers(says(cluster.FormationEmpty, "b2"), says(cluster.FormationEmpty, "c2"))},
			etcd.RowRescue, role.Proceed,
			role.EtcdStart{State: "existing", Cluster: []string{self1}, Token: "r", Rescue: true},
			etcd.Change{},
			"",
		},
		{
			"an order, and a peer is silent",
			etcd.View{HasLog: true, Own: formed("1"), Rescue: "r", Peers: peers(says(cluster.FormationEmpty, "b2"), cluster.Observation{})},
			etcd.RowRescueWaits, role.Wait,
			role.EtcdStart{},
			etcd.Change{},
			"",
		},
		{
			"an order, and a peer's disk was found",
			etcd.View{HasLog: true, Own: formed("1"), Rescue: "r", Peers: peers(formed("2"), says(cluster.FormationEmpty, "c2"))},
			etcd.RowRescueVoid, role.Proceed,
			role.EtcdStart{State: "existing", Cluster: everyone, Token: "t"},
			etcd.Change{},
			"",
		},
		{
			"an order, a peer that joins whoever holds the quorum, and a silent one",
			etcd.View{HasLog: true, Own: formed("1"), Rescue: "r", Peers: peers(forming("b2", ""), cluster.Observation{})},
			etcd.RowRescueVoid, role.Proceed,
			role.EtcdStart{State: "existing", Cluster: everyone, Token: "t"},
			etcd.Change{},
			"",
		},
		{
			"an order, and a peer holds what it can't account for",
			etcd.View{HasLog: true, Own: formed("1"), Rescue: "r", Peers: peers(says(cluster.FormationUnknown, "b2"), says(cluster.FormationEmpty, "c2"))},
			etcd.RowRescueVoid, role.Proceed,
			role.EtcdStart{State: "existing", Cluster: everyone, Token: "t"},
			etcd.Change{},
			"",
		},
		{
			"a rescue that was cut off after the data was exchanged",
			etcd.View{HasLog: true, Own: forming("a", "r"), Rescue: "r", Peers: peers(formed("2"), cluster.Observation{})},
			etcd.RowRescue, role.Proceed,
			role.EtcdStart{State: "existing", Cluster: []string{self1}, Token: "r", Rescue: true},
			etcd.Change{},
			"",
		},

		// There is a log, and a quorum.
		{
			"a log of another cluster",
			etcd.View{HasLog: true, Own: cluster.Observation{Formation: cluster.FormationFormed, ClusterID: "c9", MemberID: "1"}, Quorum: quorum()},
			etcd.RowForeign, role.Refuse,
			role.EtcdStart{},
			etcd.Change{},
			"",
		},
		{
			"removed meanwhile",
			etcd.View{HasLog: true, Own: formed("1"), Quorum: quorum()},
			etcd.RowRemoved, role.Proceed,
			role.EtcdStart{State: "existing", Cluster: everyone, SetAside: true},
			etcd.Change{Add: true},
			cluster.FormationForming,
		},
		{
			"replaced, and the old disk returns",
			etcd.View{HasLog: true, Own: formed("1"), Quorum: quorum(member("9", "postgres-1", "10.0.0.1", true))},
			etcd.RowRemoved, role.Proceed,
			role.EtcdStart{State: "existing", Cluster: everyone, SetAside: true},
			etcd.Change{Remove: "9", Add: true},
			cluster.FormationForming,
		},
		{
			"another address now",
			etcd.View{HasLog: true, Own: formed("1"), Quorum: quorum(member("1", "postgres-1", "10.0.0.9", true))},
			etcd.RowMoved, role.Proceed,
			role.EtcdStart{State: "existing", Cluster: everyone, Token: "t"},
			etcd.Change{Update: "1"},
			"",
		},
		{
			"a member",
			etcd.View{HasLog: true, Own: formed("1"), Quorum: quorum(member("1", "postgres-1", "10.0.0.1", true))},
			etcd.RowMember, role.Proceed,
			role.EtcdStart{State: "existing", Cluster: everyone, Token: "t"},
			etcd.Change{},
			"",
		},
		{
			"a member that never learned its id",
			etcd.View{HasLog: true, Own: forming("a", "t"), Quorum: quorum(member("1", "", "10.0.0.1", false))},
			etcd.RowMember, role.Proceed,
			role.EtcdStart{State: "existing", Cluster: everyone, Token: "t"},
			etcd.Change{},
			"",
		},
		{
			"a rescue is not ordered over a quorum",
			etcd.View{HasLog: true, Own: formed("1"), Rescue: "r", Quorum: quorum(member("1", "postgres-1", "10.0.0.1", true))},
			etcd.RowMember, role.Proceed,
			role.EtcdStart{State: "existing", Cluster: everyone, Token: "t"},
			etcd.Change{},
			"",
		},

		// Nothing is there, and a quorum.
		{
			"unknown to the quorum",
			etcd.View{Own: empty, Quorum: quorum()},
			etcd.RowAdd, role.Proceed,
			role.EtcdStart{State: "existing", Cluster: everyone},
			etcd.Change{Add: true},
			cluster.FormationForming,
		},
		{
			"expected by the quorum",
			etcd.View{Own: empty, Quorum: quorum(member("1", "", "10.0.0.1", false))},
			etcd.RowReuse, role.Proceed,
			role.EtcdStart{State: "existing", Cluster: everyone},
			etcd.Change{},
			cluster.FormationForming,
		},
		{
			"it asked, and who added it lost its quorum by that",
			etcd.View{Own: empty, Expected: quorum(member("1", "", "10.0.0.1", false)), Peers: peers(formed("2"), formed("3"))},
			etcd.RowExpected, role.Proceed,
			role.EtcdStart{State: "existing", Cluster: everyone},
			etcd.Change{},
			cluster.FormationForming,
		},
		{
			"an expected member that has run is somebody's data",
			etcd.View{Own: empty, Expected: quorum(member("1", "postgres-1", "10.0.0.1", true)), Peers: peers(formed("2"), formed("3"))},
			etcd.RowQuorumLost, role.Wait,
			role.EtcdStart{},
			etcd.Change{},
			"",
		},
		{
			"a dead predecessor",
			etcd.View{Own: empty, Quorum: quorum(member("1", "postgres-1", "10.0.0.1", true))},
			etcd.RowReplace, role.Proceed,
			role.EtcdStart{State: "existing", Cluster: everyone},
			etcd.Change{Remove: "1", Add: true},
			cluster.FormationForming,
		},
		{
			"a dead predecessor at another address",
			etcd.View{Own: empty, Quorum: quorum(member("1", "postgres-1", "10.0.0.9", true))},
			etcd.RowReplace, role.Proceed,
			role.EtcdStart{State: "existing", Cluster: everyone},
			etcd.Change{Remove: "1", Add: true},
			cluster.FormationForming,
		},
		{
			"somebody alive has the name",
			etcd.View{Own: empty, TakenBy: "10.0.0.9:2379", Quorum: quorum(member("1", "postgres-1", "10.0.0.9", true))},
			etcd.RowTaken, role.Refuse,
			role.EtcdStart{},
			etcd.Change{},
			"",
		},
		{
			"a database without its etcd, and a quorum",
			etcd.View{Own: says(cluster.FormationUnknown, "a"), Quorum: quorum()},
			etcd.RowAdd, role.Proceed,
			role.EtcdStart{State: "existing", Cluster: everyone},
			etcd.Change{Add: true},
			cluster.FormationForming,
		},

		// Nothing is there, and no quorum.
		{
			"everyone is empty",
			etcd.View{Own: empty, Peers: peers(says(cluster.FormationEmpty, "b"), says(cluster.FormationEmpty, "c"))},
			etcd.RowForm, role.Proceed,
			role.EtcdStart{State: "new", Cluster: everyone, Token: token},
			etcd.Change{},
			cluster.FormationForming,
		},
		{
			"a peer was quicker",
			etcd.View{Own: empty, Peers: peers(forming("b", token), says(cluster.FormationEmpty, "c"))},
			etcd.RowForm, role.Proceed,
			role.EtcdStart{State: "new", Cluster: everyone, Token: token},
			etcd.Change{},
			cluster.FormationForming,
		},
		{
			"killed before the first byte",
			etcd.View{Own: forming("a", token), Peers: peers(forming("b", token), forming("c", token))},
			etcd.RowForm, role.Proceed,
			role.EtcdStart{State: "new", Cluster: everyone, Token: token},
			etcd.Change{},
			cluster.FormationForming,
		},
		{
			"a peer is silent",
			etcd.View{Own: empty, Peers: peers(says(cluster.FormationEmpty, "b"), cluster.Observation{})},
			etcd.RowSilent, role.Wait,
			role.EtcdStart{},
			etcd.Change{},
			"",
		},
		{
			"two replacements, the third down",
			etcd.View{Own: empty, Peers: peers(says(cluster.FormationEmpty, "b2"), cluster.Observation{})},
			etcd.RowSilent, role.Wait,
			role.EtcdStart{},
			etcd.Change{},
			"",
		},
		{
			"two replacements, the third returns",
			etcd.View{Own: empty, Peers: peers(says(cluster.FormationEmpty, "b2"), formed("3"))},
			etcd.RowQuorumLost, role.Wait,
			role.EtcdStart{},
			etcd.Change{},
			"",
		},
		{
			"a member is there, another one silent",
			etcd.View{Own: empty, Peers: peers(formed("2"), cluster.Observation{})},
			etcd.RowQuorumLost, role.Wait,
			role.EtcdStart{},
			etcd.Change{},
			"",
		},
		{
			"a peer forms without this machine",
			etcd.View{Own: says(cluster.FormationEmpty, "a2"), Peers: peers(forming("b", token), says(cluster.FormationEmpty, "c"))},
			etcd.RowOtherFormation, role.Wait,
			role.EtcdStart{},
			etcd.Change{},
			"",
		},
		{
			"a peer holds what it can't account for",
			etcd.View{Own: empty, Peers: peers(says(cluster.FormationUnknown, "b"), says(cluster.FormationEmpty, "c"))},
			etcd.RowPeerUnknown, role.Wait,
			role.EtcdStart{},
			etcd.Change{},
			"",
		},
		{
			"this machine holds what it can't account for",
			etcd.View{Own: says(cluster.FormationUnknown, "a"), Peers: peers(says(cluster.FormationEmpty, "b"), says(cluster.FormationEmpty, "c"))},
			etcd.RowUnrecorded, role.Wait,
			role.EtcdStart{},
			etcd.Change{},
			"",
		},
		{
			"a record whose data is gone",
			etcd.View{Own: formed("1"), Peers: peers(says(cluster.FormationEmpty, "b"), says(cluster.FormationEmpty, "c"))},
			etcd.RowLost, role.Wait,
			role.EtcdStart{},
			etcd.Change{},
			"",
		},
	}
	var covered []string
	for _, test := range tests {
		covered = append(covered, test.row)
		t.Run(test.name, func(t *testing.T) {
			test.view.Nodes = voters()
			test.view.Self = test.view.Nodes[0]
			got, change := etcd.Decide("prod", test.view)
			if got.Row != test.row || got.Verdict != test.verdict || got.Formation != test.record {
				t.Errorf("row %s, verdict %s, record %q; want %s, %s, %q", got.Row, got.Verdict, got.Formation, test.row, test.verdict, test.record)
			}
			if diff := cmp.Diff(test.start, got.Etcd); diff != "" {
				t.Errorf("start (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.change, change); diff != "" {
				t.Errorf("change (-want +got):\n%s", diff)
			}
			if got.Reason == "" || (got.Verdict != role.Proceed && got.Hint == "") {
				t.Errorf("reason %q, hint %q: a person needs both", got.Reason, got.Hint)
			}
		})
	}
	for _, row := range etcd.Rows() {
		if !slices.Contains(covered, row) {
			t.Errorf("no case for row %s", row)
		}
	}
}

// A cluster is formed only by machines that all know of each other: whoever was replaced has another token.
func TestTokenChangesWithEveryIncarnation(t *testing.T) {
	all := map[string]string{"postgres-1": "a", "postgres-2": "b", "heartbeat-1": "c"}
	token := formation.Token("prod", all)
	for name := range all {
		changed := map[string]string{"postgres-1": "a", "postgres-2": "b", "heartbeat-1": "c"}
		changed[name] = "other"
		if formation.Token("prod", changed) == token {
			t.Errorf("a replaced %s gives the same token", name)
		}
	}
	if formation.Token("test", all) == token {
		t.Error("another cluster gives the same token")
	}
}
