// Package etcd is the quorum that decides which database node is primary: one member on every database node and one on
// the heartbeat. It holds the join's decision table, what is baked and written for a member, and a small client.
package etcd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/formation"
	"github.com/cincbake/cincbake/roles/role"
)

// View is what a machine sees before its etcd starts: its own disk, its peers' agents, and the quorum if there is one.
type View struct {
	Self  cluster.Node
	Nodes []cluster.Node // every voter, Self among them
	Own   cluster.Observation
	// HasLog tells whether the data directory holds a write-ahead log.
	HasLog bool
	// Peers are the other voters' agents.
	Peers cluster.Peers
	// Quorum is what a linearizable read through a peer gave. Only such a read proves a quorum; nil: none answered.
	Quorum *Quorum
	// Expected is what a peer's own list says, proved by nobody, when this machine once asked to be added and no quorum
	// answers; nil otherwise.
	Expected *Quorum
	// TakenBy is another address from which a live member of this machine's name answers; empty: nobody does.
	TakenBy string
	// Rescue is the token of the cluster that an operator ordered this machine's data to become; empty: none was ordered.
	Rescue string
}

// Quorum is a cluster that answers linearizable reads.
type Quorum struct {
	ClusterID string
	Members   []Member
}

// Member is one entry of etcd's member list. A member that never started has neither name nor client URLs.
type Member struct {
	ID         string // hexadecimal
	Name       string
	PeerURLs   []string
	ClientURLs []string
}

// Change is what a decision asks of the cluster before this machine's etcd starts.
type Change struct {
	Remove string // id of a member to remove
	Update string // id of a member whose peer URL becomes this machine's
	Add    bool   // add this machine's peer URL
}

// PeerURL is where a node's member talks to other members.
func PeerURL(n cluster.Node) string {
	return fmt.Sprintf("https://%s:%d", n.Host(), cluster.PortEtcdPeer)
}

// ClientURL is where a node's member answers clients.
func ClientURL(n cluster.Node) string {
	return fmt.Sprintf("https://%s:%d", n.Host(), cluster.PortEtcdClient)
}

// The rows of the join table, by name.
const (
	RowRescue         = "rescue"                    // data, no quorum, an operator's order, and every peer is empty
	RowRescueWaits    = "rescue-waits"              // the same, but a peer does not answer
	RowRescueVoid     = "rescue-void"               // the same, but a peer holds data
	RowRestart        = "restart"                   // data, no quorum: what is on the disk decides
	RowForeign        = "foreign-cluster"           // data of another cluster than the quorum's
	RowRemoved        = "removed"                   // data, but the quorum no longer has this member
	RowMoved          = "moved"                     // data, and the quorum has this member under another peer URL
	RowMember         = "member"                    // data, and the quorum has this member
	RowUnrecorded     = "unrecorded-data"           // data that no record accounts for
	RowLost           = "lost-data"                 // a record of a formed cluster without its data, and no quorum
	RowTaken          = "name-taken"                // empty, but somebody alive has this name
	RowAdd            = "add"                       // empty, quorum without this machine
	RowReuse          = "reuse"                     // empty, quorum expects this machine
	RowReplace        = "replace"                   // empty, quorum holds this machine's dead predecessor
	RowExpected       = "expected"                  // empty, asked to be added, and a peer that lost its quorum by that waits for it
	RowQuorumLost     = formation.RowQuorumLost     // empty, no quorum, a peer belongs to a formed cluster
	RowPeerUnknown    = formation.RowPeerUnknown    // empty, no quorum, a peer holds data that it can't account for
	RowSilent         = formation.RowSilent         // empty, no quorum, a peer does not answer
	RowOtherFormation = formation.RowOtherFormation // empty, no quorum, a peer forms a cluster that this machine was not asked about
	RowForm           = formation.RowForm           // every voter is empty: the first formation
)

// Rows lists every row, so that a test can demand a case for each.
func Rows() []string {
	return []string{
		RowRescue, RowRescueWaits, RowRescueVoid, RowRestart, RowForeign, RowRemoved, RowMoved, RowMember, RowUnrecorded, RowLost, RowTaken, RowAdd, RowReuse,
		RowReplace, RowExpected, RowQuorumLost, RowPeerUnknown, RowSilent, RowOtherFormation, RowForm,
	}
}

// Decide is the table. It is pure: the same view gives the same decision.
func Decide(clusterName string, v View) (role.Decision, Change) {
	switch {
	case v.HasLog && v.Quorum == nil:
		return decideAlone(v), Change{}
	case v.HasLog:
		return decideMember(v)
	case v.Quorum != nil:
		return decideNewcomer(v)
	case v.Expected.waitsFor(v.Self):
		return decideExpected(v), Change{}
	}
	return decideFormation(clusterName, v), Change{}
}

// waitsFor tells whether the list has the node as a member that never started.
func (q *Quorum) waitsFor(self cluster.Node) bool {
	return q != nil && slices.ContainsFunc(q.Members, func(m Member) bool {
		return len(m.ClientURLs) == 0 && slices.Contains(m.PeerURLs, PeerURL(self))
	})
}

// decideExpected : a cluster of one that adds a second member has no quorum before that one starts. Whoever asked and lost
// the answer would wait for the quorum, which waits for it. The list may be old, but the record of the question lies where
// the log would, so this member never started.
func decideExpected(v View) role.Decision {
	d := proceed(RowExpected, "this machine asked to be added, and the quorum that added it waits for it")
	d.Etcd, d.Formation = role.EtcdStart{State: "existing", Cluster: initial(v.Self, v.Expected)}, cluster.FormationForming
	return d
}

// decideAlone : there is data, and nobody to ask.
func decideAlone(v View) role.Decision {
	switch {
	case v.Own.Formation == cluster.FormationEmpty || v.Own.Formation == cluster.FormationUnknown:
		return refuse(RowUnrecorded, "the data disk holds an etcd log, but no record that this machine formed or joined a cluster",
			"the disk may belong to another machine; attach this machine's own disk, or an empty one")
	case v.Rescue != "":
		return decideRescue(v)
	}
	return restart(v, RowRestart, "the data on the disk decides; etcd ignores its start flags")
}

// decideRescue : the order is carried out only as long as it is safe, which is what it was when it was given: nobody else can
// hold the majority, for every other voter says that it is empty. Time may have passed since. But where the data was exchanged
// already, this machine's vote in the old cluster is gone, and what was begun is brought to its end.
func decideRescue(v View) role.Decision {
	var silent, holding []string
	for _, peer := range formation.Sorted(v.Peers) {
		switch {
		case !peer.Answered():
			silent = append(silent, peer.Node.Name)
		case peer.Observation.Formation != cluster.FormationEmpty:
			holding = append(holding, fmt.Sprintf("%s is not empty but %s", peer.Node.Name, peer.Observation.Formation))
		}
	}
	begun := v.Own.Token == v.Rescue
	switch {
	case len(holding) > 0 && !begun:
		return restart(v, RowRescueVoid, fmt.Sprintf("the rescue that an operator ordered is void: %s; if no quorum comes back, order it again",
			strings.Join(holding, ", ")))
	case len(silent) > 0 && !begun:
		return wait(RowRescueWaits,
			fmt.Sprintf("an operator ordered this machine's data to become the cluster, but there is no answer from %s, which may hold the quorum",
				strings.Join(silent, " and ")),
			"start it, or replace it by an empty machine of its name; the order is void once any voter is found to hold data")
	}
	d := proceed(RowRescue, "an operator ordered this machine's data to become the cluster")
	d.Etcd = role.EtcdStart{State: "existing", Cluster: initial(v.Self, nil), Token: v.Rescue, Rescue: true}
	return d
}

func restart(v View, row, reason string) role.Decision {
	d := proceed(row, reason)
	d.Etcd = role.EtcdStart{State: state(v.Own.Formation), Cluster: static(v.Nodes), Token: v.Own.Token}
	return d
}

func state(f cluster.Formation) string {
	if f == cluster.FormationForming {
		return "new"
	}
	return "existing"
}

// decideMember : there is data, and a quorum to compare it with.
func decideMember(v View) (role.Decision, Change) {
	if v.Own.ClusterID != "" && v.Own.ClusterID != v.Quorum.ClusterID {
		return refuse(RowForeign,
			fmt.Sprintf("this machine's data is of etcd cluster %s, but its peers form cluster %s", v.Own.ClusterID, v.Quorum.ClusterID),
			"two clusters were formed under one name; keep the one that holds the data and give the other machine an empty disk"), Change{}
	}
	start := role.EtcdStart{State: "existing", Cluster: initial(v.Self, v.Quorum), Token: v.Own.Token}
	mine := v.find(func(m Member) bool { return m.ID == v.Own.MemberID })
	if v.Own.MemberID == "" { // began to form or join, and never got as far as to learn its id
		mine = v.find(func(m Member) bool { return m.Name == v.Self.Name || slices.Contains(m.PeerURLs, PeerURL(v.Self)) })
	}
	switch {
	case mine == nil:
		d, change := decideNewcomer(v)
		if d.Verdict == role.Proceed {
			d.Row, d.Etcd.SetAside = RowRemoved, true
			d.Reason = "the quorum removed this member; its old data is set aside and it joins anew"
		}
		return d, change
	case !slices.Contains(mine.PeerURLs, PeerURL(v.Self)):
		d := proceed(RowMoved, "the quorum knows this member under another address")
		d.Etcd = start
		return d, Change{Update: mine.ID}
	}
	d := proceed(RowMember, "the quorum has this member")
	d.Etcd = start
	return d, Change{}
}

// decideNewcomer : nothing on the disk (or nothing that counts), and a quorum to join.
func decideNewcomer(v View) (role.Decision, Change) {
	if v.TakenBy != "" {
		return refuse(RowTaken, fmt.Sprintf("a live member called %s answers at %s", v.Self.Name, v.TakenBy),
			"two machines were given one name; power one of them off"), Change{}
	}
	start := role.EtcdStart{State: "existing", Cluster: initial(v.Self, v.Quorum)}
	mine := v.find(func(m Member) bool { return slices.Contains(m.PeerURLs, PeerURL(v.Self)) || m.Name == v.Self.Name })
	var d role.Decision
	var change Change
	switch {
	case mine == nil:
		d, change = proceed(RowAdd, "the quorum does not know this machine yet"), Change{Add: true}
	case len(mine.ClientURLs) == 0 && slices.Contains(mine.PeerURLs, PeerURL(v.Self)):
		d = proceed(RowReuse, "the quorum expects this machine")
	default:
		d, change = proceed(RowReplace, "this machine replaces a dead one of its name"), Change{Remove: mine.ID, Add: true}
	}
	d.Etcd, d.Formation = start, cluster.FormationForming
	return d, change
}

// decideFormation : nothing on the disk, and no quorum. The first formation is unanimous.
func decideFormation(clusterName string, v View) role.Decision {
	if v.Own.Formation == cluster.FormationFormed {
		return wait(RowLost, "this machine was a member, but its etcd data is gone, and no quorum answers",
			"bring the other machines back; it then joins them by itself")
	}
	if v.Own.Formation == cluster.FormationUnknown {
		return wait(RowUnrecorded, "the data disk holds a database, but no etcd record, and no quorum answers",
			"bring the other machines back; if this disk is the last one left, see the rescue guide")
	}
	d, token := formation.Unanimous(clusterName, v.Self.Name, v.Own, v.Peers, words())
	if d.Verdict == role.Proceed {
		d.Etcd = role.EtcdStart{State: "new", Cluster: static(v.Nodes), Token: token}
	}
	return d
}

// words are how a voter says what it waits for.
func words() formation.Words {
	return formation.Words{
		Members: "every voter", Silence: "no quorum answers", Without: "etcd does not answer with a quorum", Unit: "etcd", Program: "etcd",
	}
}

func (v View) find(match func(Member) bool) *Member {
	for i := range v.Quorum.Members {
		if match(v.Quorum.Members[i]) {
			return &v.Quorum.Members[i]
		}
	}
	return nil
}

// static is the initial cluster of a first formation: every voter.
func static(nodes []cluster.Node) []string {
	var rows []string
	for _, n := range nodes {
		rows = append(rows, n.Name+"="+PeerURL(n))
	}
	slices.Sort(rows)
	return rows
}

// initial is the initial cluster of a member that joins a quorum: the members that started, and this one.
func initial(self cluster.Node, quorum *Quorum) []string {
	rows := []string{self.Name + "=" + PeerURL(self)}
	if quorum == nil {
		return rows
	}
	for _, m := range quorum.Members {
		if m.Name == self.Name || slices.Contains(m.PeerURLs, PeerURL(self)) {
			continue
		}
		name := m.Name
		if name == "" { // added, never started: etcd compares by URL only
			name = "unstarted-" + m.ID
		}
		for _, url := range m.PeerURLs {
			rows = append(rows, name+"="+url)
		}
	}
	slices.Sort(rows)
	return rows
}

func proceed(row, reason string) role.Decision {
	return role.Decision{Verdict: role.Proceed, Row: row, Reason: reason}
}

func wait(row, reason, hint string) role.Decision {
	return role.Decision{Verdict: role.Wait, Row: row, Reason: reason, Hint: hint}
}

func refuse(row, reason, hint string) role.Decision {
	return role.Decision{Verdict: role.Refuse, Row: row, Reason: reason, Hint: hint}
}
