package etcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Joiner decides how this machine's member starts, and asks the quorum for what that needs.
type Joiner struct{ Host step.Host }

var _ role.Joiner = Joiner{}

// Join looks, decides, and carries the decision out as far as the cluster and the record are concerned.
func (j Joiner) Join(ctx context.Context, in role.Inputs) (role.Decision, error) {
	view, peer, err := j.observe(ctx, in)
	if err != nil {
		return role.Decision{}, err
	}
	decision, change := Decide(in.Cluster.Name, view)
	if decision.Verdict != role.Proceed {
		return decision, nil
	}
	if view.Rescue != "" && !decision.Etcd.Rescue {
		// The order is void; left there, it would be carried out at some later boot.
		if err := j.Host.Remove(rescueFile); err != nil {
			return role.Decision{}, err
		}
	}
	if decision.Etcd.SetAside {
		if err := j.setAside(ctx); err != nil {
			return role.Decision{}, err
		}
	}
	if change.Add {
		if err := j.recordAsked(); err != nil {
			return role.Decision{}, err
		}
	}
	if err := carry(ctx, peer, change, view.Self); err != nil {
		// etcd refuses a change that would cost the quorum, and any change during an election: both pass.
		return wait(decision.Row, fmt.Sprintf("%s; the quorum does not allow it yet: %v", decision.Reason, err),
			"it is tried again by itself"), nil
	}
	return decision, j.record(decision)
}

// observe builds the view. The client it returns is of the peer that proved the quorum.
func (j Joiner) observe(ctx context.Context, in role.Inputs) (View, Client, error) {
	view := View{Self: in.Self, Nodes: in.Cluster.Voters(), Own: in.Own, Peers: in.Peers}
	var err error
	if view.HasLog, err = hasLog(j.Host); err != nil {
		return view, Client{}, err
	}
	if view.Rescue, err = rescueOrdered(j.Host); err != nil {
		return view, Client{}, err
	}
	var peers []Client
	for _, node := range view.Nodes {
		if node.Name == in.Self.Name {
			continue
		}
		peer, err := NewClient(node, in.Secrets)
		if err != nil {
			return view, Client{}, err
		}
		peers = append(peers, peer)
	}
	quorum, through := ask(ctx, peers)
	if quorum != nil {
		view.Quorum = quorum
		view.TakenBy = j.takenBy(ctx, in, *quorum)
		return view, through, nil
	}
	view.Expected, err = j.expected(ctx, in.Self, peers)
	return view, Client{}, err
}

// ask asks every peer at once, so that one that is off costs no time when another one answers, and returns the first
// quorum with the peer that proved it; nil: nobody has one.
func ask(ctx context.Context, peers []Client) (*Quorum, Client) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		quorum Quorum
		from   Client
		err    error
	}
	answers := make(chan answer, len(peers))
	for _, peer := range peers {
		go func() {
			quorum, err := peer.Members(ctx)
			answers <- answer{quorum, peer, err}
		}()
	}
	for range peers {
		if a := <-answers; a.err == nil {
			return &a.quorum, a.from
		}
	}
	return nil, Client{}
}

// expected returns the list of a peer that waits for this machine, if this machine asked to be added.
func (j Joiner) expected(ctx context.Context, self cluster.Node, peers []Client) (*Quorum, error) {
	record, err := Home.Read(j.Host)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil || !record.Asked {
		return nil, err
	}
	for _, peer := range peers {
		if list, err := peer.OwnMembers(ctx); err == nil && list.waitsFor(self) {
			return &list, nil
		}
	}
	return nil, nil
}

// takenBy returns where else a live member of this machine's name answers.
func (j Joiner) takenBy(ctx context.Context, in role.Inputs, quorum Quorum) string {
	for _, m := range quorum.Members {
		if m.Name != in.Self.Name {
			continue
		}
		for _, address := range m.ClientURLs {
			at, err := url.Parse(address)
			if err != nil || at.Hostname() == in.Self.Host() {
				continue
			}
			client, err := newClient(address, m.Name, in.Secrets)
			if err != nil {
				continue
			}
			if _, err := client.Status(ctx); err == nil {
				return at.Host
			}
		}
	}
	return ""
}

func carry(ctx context.Context, peer Client, change Change, self cluster.Node) error {
	if change.Update != "" {
		return peer.Update(ctx, change.Update, PeerURL(self))
	}
	if change.Remove != "" {
		if err := peer.Remove(ctx, change.Remove); err != nil {
			return err
		}
	}
	if change.Add {
		return peer.Add(ctx, PeerURL(self))
	}
	return nil
}

// setAside renames data and record as one. They are kept: throwing data away is nobody's decision here.
func (j Joiner) setAside(ctx context.Context) error {
	if _, err := j.Host.Run(ctx, step.Command{Argv: []string{"systemctl", "stop", Unit}}); err != nil {
		return err
	}
	aside := fmt.Sprintf("%s.removed-%s", Dir, time.Now().UTC().Format("20060102T150405Z"))
	if _, err := j.Host.Run(ctx, step.Command{Argv: []string{"mv", "--no-target-directory", Dir, aside}}); err != nil {
		return err
	}
	_, err := Home.Prepare(j.Host)
	return err
}

// recordAsked writes down that the quorum is asked to add this machine, before it is.
func (j Joiner) recordAsked() error {
	record, err := Home.Prepare(j.Host)
	if err != nil || record.Asked {
		return err
	}
	record.Asked = true
	return Home.Write(j.Host, record)
}

// record writes down what is about to happen before etcd writes its first byte: a log without a record is refused.
func (j Joiner) record(decision role.Decision) error {
	if decision.Formation == "" {
		return nil
	}
	record, err := Home.Prepare(j.Host)
	if err != nil {
		return err
	}
	record.Formation = decision.Formation
	if decision.Etcd.Token != "" {
		record.Token = decision.Etcd.Token
	}
	return Home.Write(j.Host, record)
}

// MarkFormed records that this machine is a working member, once a linearizable read through it succeeded.
func MarkFormed(ctx context.Context, files step.Files, client Client) error {
	if _, err := client.Members(ctx); err != nil {
		return err
	}
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	record, err := Home.Read(files)
	if err != nil {
		return err
	}
	formed := record
	formed.Formation, formed.ClusterID, formed.MemberID = cluster.FormationFormed, status.ClusterID, status.MemberID
	formed.Asked = false
	if formed == record {
		return nil
	}
	return Home.Write(files, formed)
}
