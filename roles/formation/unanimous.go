package formation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
)

// Words are what differs between the programs when a machine says why it waits.
type Words struct {
	Members string // "every voter": who must answer
	Silence string // "no quorum answers": what is missing
	Without string // "etcd does not answer with a quorum": the same, of this machine's own program
	Unit    string // whose journal tells more
	Program string // what cincbake rescue calls it
}

// RescueOf is the command that lets a node's data continue alone.
func (w Words) RescueOf(node string) string {
	return fmt.Sprintf("cincbake rescue %s --node %s", w.Program, node)
}

// The rows of a first formation, by name.
const (
	RowQuorumLost     = "quorum-lost"         // empty, nothing answers, a peer belongs to a formed cluster
	RowPeerUnknown    = "peer-unknown"        // empty, nothing answers, a peer holds data that it can't account for
	RowSilent         = "peer-silent"         // empty, nothing answers, a peer does not answer
	RowOtherFormation = "formed-without-this" // empty, nothing answers, a peer forms a cluster that this machine was not asked about
	RowForm           = "form"                // everybody is empty: the first formation
)

// Unanimous decides the first formation of a machine that holds nothing, where no cluster answers: it forms one only with
// peers that all answered that they never were part of one. The token names that formation; it is empty unless the machine
// proceeds.
func Unanimous(clusterName, self string, own cluster.Observation, peers cluster.Peers, w Words) (d role.Decision, token string) {
	incarnations := map[string]string{self: own.Incarnation}
	var silent, unknown, formed []string
	for _, peer := range Sorted(peers) {
		switch {
		case !peer.Answered():
			silent = append(silent, fmt.Sprintf("%s (%s)", peer.Node.Name, peer.Error))
		case peer.Observation.Formation == cluster.FormationFormed:
			formed = append(formed, peer.Node.Name)
		case peer.Observation.Formation == cluster.FormationUnknown:
			unknown = append(unknown, peer.Node.Name)
		default:
			incarnations[peer.Node.Name] = peer.Observation.Incarnation
		}
	}
	switch {
	case len(formed) > 0:
		return wait(RowQuorumLost,
			fmt.Sprintf("%s belongs to a formed cluster, but %s; this machine is empty and must not form another%s",
				strings.Join(formed, " and "), w.Silence, alsoSilent(silent)),
			"bring the missing machines back; if their disks are lost, run: "+w.RescueOf(formed[0])), ""
	case len(unknown) > 0:
		return wait(RowPeerUnknown, strings.Join(unknown, " and ")+" holds data that no record accounts for", "look at its status"), ""
	case len(silent) > 0:
		return wait(RowSilent, "the first formation is unanimous, and there is no answer from "+strings.Join(silent, ", "),
			"start every machine of the cluster; nothing is formed before all of them have answered"), ""
	}
	token = Token(clusterName, incarnations)
	for _, peer := range Sorted(peers) {
		if o := peer.Observation; o.Formation == cluster.FormationForming && o.Token != token {
			return wait(RowOtherFormation,
				fmt.Sprintf("%s began to form a cluster that this machine was not asked about: one of its members was replaced meanwhile", peer.Node.Name),
				"bring the missing machine back, or run: "+w.RescueOf(peer.Node.Name)), ""
		}
	}
	return role.Decision{
		Verdict: role.Proceed, Row: RowForm, Formation: cluster.FormationForming,
		Reason: w.Members + " answered that it is empty and was never part of a cluster",
	}, token
}

// NotYet explains why this machine's own program finds no cluster, by what the peers' agents last said.
func (w Words) NotYet(in role.Inputs, cause error) error {
	var seen, empty []string
	for _, peer := range Sorted(in.Peers) {
		switch o := peer.Observation; {
		case !peer.Answered():
			seen = append(seen, peer.Node.Name+" does not answer")
		case o.Formation == cluster.FormationEmpty && in.Own.Formation == cluster.FormationFormed:
			seen = append(seen, peer.Node.Name+" is an empty replacement")
			empty = append(empty, peer.Node.Name)
		default:
			seen = append(seen, fmt.Sprintf("%s is %s", peer.Node.Name, o.Formation))
		}
	}
	if len(seen) == 0 {
		return &role.NotYet{Reason: fmt.Sprintf("%s: %v", w.Without, cause), Hint: "journalctl -u " + w.Unit}
	}
	notYet := &role.NotYet{
		Reason: w.Without + ": " + strings.Join(seen, ", "),
		Hint:   "it does so within seconds once a majority runs; start the machines that are down",
	}
	if len(empty) == len(in.Peers) {
		notYet.Hint = "if the disks of " + strings.Join(empty, " and ") + " are lost, run: " + w.RescueOf(in.Self.Name)
	}
	return notYet
}

func alsoSilent(silent []string) string {
	if len(silent) == 0 {
		return ""
	}
	return "; no answer from " + strings.Join(silent, ", ")
}

// Sorted returns the peers by name, so that the same peers give the same words.
func Sorted(peers cluster.Peers) []cluster.Peer {
	var list []cluster.Peer
	for _, p := range peers {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b cluster.Peer) int { return strings.Compare(a.Node.Name, b.Node.Name) })
	return list
}

func wait(row, reason, hint string) role.Decision {
	return role.Decision{Verdict: role.Wait, Row: row, Reason: reason, Hint: hint}
}
