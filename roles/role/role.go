// Package role is the contract that every role keeps: four pure functions and, where a machine must join others, a joiner.
package role

import (
	"context"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

// Role is one kind of machine, from bake to ready.
type Role interface {
	Name() cluster.Role
	// Bake returns what turns a base system into the role's image.
	Bake(cluster.Recipe) (step.Plan, error)
	// Boot returns what wires a machine into its cluster: a pure function of what is known.
	Boot(Inputs) (step.Plan, error)
	// Ready returns what must hold before the machine counts as ready.
	Ready(Inputs) []Probe
	// Verify returns what must hold in a sealed image.
	Verify(cluster.Recipe) []Check
	// Observe returns what this machine tells its peers about its own state. Before that it begins the record of a machine
	// that has none: only a machine with an incarnation of its own can say that it is empty.
	Observe(step.Files, cluster.Node) (cluster.Observation, error)
	// Joiner decides how the machine joins its peers; nil for a role that has none to agree with.
	Joiner(step.Host) Joiner
	// Report adds what the role's programs say of themselves now. What does not run says nothing.
	Report(context.Context, step.Host, Inputs, *cluster.Status)
}

// Joiner is kept by roles that must agree with their peers before their programs start.
type Joiner interface {
	// Join looks at the peers and at this machine's disk and decides. It may carry out what the decision asks of the
	// cluster (a member added, say), and is called again after a while when the verdict is Wait.
	Join(context.Context, Inputs) (Decision, error)
}

// Inputs is everything that Boot, Ready and Join may know.
type Inputs struct {
	Cluster *cluster.Resolved
	Self    cluster.Node
	Facts   cluster.Facts
	Peers   cluster.Peers
	Own     cluster.Observation // what this machine tells its peers
	Secrets secrets.Scoped
	Joined  Decision // zero before the join
}

// Located returns the machines of the given roles whose address is known, in order: as the cluster says, or, where
// addresses are not part of it, as the peers were found.
func (in Inputs) Located(roles ...cluster.Role) []cluster.Node {
	var located []cluster.Node
	for _, n := range in.Cluster.NodesOf(roles...) {
		if !n.Address.IsValid() {
			n.Address = in.Peers[n.Name].Node.Address
		}
		if n.Address.IsValid() {
			located = append(located, n)
		}
	}
	return located
}

// Verdict is what a join comes to.
type Verdict string

// The verdicts. Refusing is always legal; guessing never is.
const (
	Proceed Verdict = "proceed"
	Wait    Verdict = "wait"
	Refuse  Verdict = "refuse"
)

// Decision is a row of a join's decision table, filled in.
type Decision struct {
	Verdict Verdict
	Row     string // name of the row, for logs and tests
	Reason  string // why, for people
	Hint    string // what a human can do, when the verdict is not Proceed
	// Formation is what the machine's record must say before its programs start; empty: leave it.
	Formation cluster.Formation
	// Etcd is how etcd must start.
	Etcd EtcdStart
	// API is how Cinc Server must be configured.
	API APIStart
	// OpenSearch is how OpenSearch must start.
	OpenSearch OpenSearchStart
	// Hold is what this machine holds until its plan is applied; nil: nothing.
	Hold Hold
}

// Hold is a right that one machine has at a time, from its decision until its plan is applied.
type Hold interface {
	// Guard returns a context that ends when the right is lost, with the reason as its cause.
	Guard(context.Context) (context.Context, context.CancelFunc)
	// Release gives it back. Ended tells that nothing of the work can still run.
	Release(ctx context.Context, ended bool)
}

// OpenSearchStart is how OpenSearch starts on this machine.
type OpenSearchStart struct {
	// InitialManagers are the nodes that form the search cluster, by name, at its first formation; empty at any other start,
	// since an empty node with such a list may form a second cluster beside the one it belongs to.
	InitialManagers []string
	// Token names the first formation that the list is for.
	Token string
	// Rescue tells to make this machine's data a cluster of one node first, as an operator ordered.
	Rescue bool
}

// APIStart is how Cinc Server is configured on this machine.
type APIStart struct {
	// Bootstrap tells that this machine makes the databases, alone: it gets no superuser's key, and Cinc Server makes one.
	// False: the databases are there, and every secret with them.
	Bootstrap bool
	// Attempt names this attempt to bootstrap: what an earlier one left on this machine is forgotten once for each.
	Attempt string
	// Clear tells to drop databases first that a bootstrap left half-made, and that provably hold no organization.
	Clear bool
	// Finish tells to leave the superuser the bundle's key alone, and to write down that the databases are made.
	Finish bool
	// Settled tells that there is nothing to configure, so that Cinc Server starts as soon as there is a database.
	Settled bool
	// Upgrade tells that this machine brings a newer Cinc Server, the first one of the cluster.
	Upgrade bool
}

// EtcdStart is how etcd starts on this machine.
type EtcdStart struct {
	State   string   // new or existing; etcd ignores it once it has a write-ahead log
	Cluster []string // name=https://address:2380, sorted
	Token   string
	// SetAside tells to move the old data directory away first: this machine was removed from the cluster it belonged to.
	SetAside bool
	// Rescue tells to make this machine's data a new cluster of one member first, as an operator ordered.
	Rescue bool
}

// Probe is one condition for being ready, as data.
type Probe struct {
	Title    string
	Hint     string        // what to look at when it never holds
	Deadline time.Duration // how long it may take
	// Acts tells that the probe does more than look, so that it is for the boot alone.
	Acts bool
	Run  func(context.Context, step.Host) error
}

// Check is one thing that must hold in a sealed image.
type Check struct {
	Name string // short and stable, like "no-host-keys"
	Why  string
	Run  func(context.Context, step.Host) error
}
