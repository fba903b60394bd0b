package operate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// rolloutOrder is in which order the tiers of a cluster get new machines: what others rest on comes first, and what clients
// meet first comes last.
var rolloutOrder = []cluster.Role{
	cluster.RoleHeartbeat, cluster.RolePostgres, cluster.RoleOpenSearch, cluster.RoleAPI, cluster.RoleLB,
}

// Preparation is what is done before a machine may go, so that its clients notice as little as can be.
type Preparation string

// The preparations.
const (
	PrepareNothing    Preparation = ""
	PrepareSwitchover Preparation = "switchover" // the primary becomes a standby
	PrepareDrain      Preparation = "drain"      // an API node's clients go elsewhere
)

// Words is how a plan tells of it, behind what is replaced; "": there is nothing to tell.
func (p Preparation) Words() string {
	if p == PrepareNothing {
		return ""
	}
	return ", after a " + string(p)
}

// Turn is a machine whose turn it is in a rollout.
type Turn struct {
	Node    cluster.Node
	Prepare Preparation
}

// NextTurn returns which machine of a whole cluster is to be replaced next; ok is false when none is left. Within a tier, the
// one that the others look to comes last: the primary, the search cluster's manager, the balancer with the clients' address.
func NextTurn(all []NodeStatus, done map[string]bool) (turn Turn, ok bool) {
	for _, role := range rolloutOrder {
		var leads *NodeStatus
		for i, s := range all {
			switch {
			case s.Node.Role != role || done[s.Node.Name]:
			case !leading(s):
				return Turn{s.Node, preparation(s)}, true
			case leads == nil:
				leads = &all[i]
			}
		}
		if leads != nil {
			return Turn{leads.Node, preparation(*leads)}, true
		}
	}
	return Turn{}, false
}

func leading(s NodeStatus) bool {
	st := s.Status
	return s.Primary() ||
		st.Search != nil && s.Node.Role == cluster.RoleOpenSearch && st.Search.Manager == s.Node.Name ||
		st.Balancer != nil && st.Balancer.HoldsVIP
}

func preparation(s NodeStatus) Preparation {
	switch {
	case s.Node.Role == cluster.RoleAPI:
		return PrepareDrain
	case s.Primary():
		return PrepareSwitchover
	}
	return PrepareNothing
}

// Rollout replaces the machines of a cluster, one at a time, each only while nothing is missing. It ends with the first
// failure: then one machine is new or away, and all others are as they were.
type Rollout struct {
	Client Client
	// Roles are the tiers that get new machines; none: all.
	Roles []cluster.Role
	// Replace ends a machine in good order and boots another one in its place. It need not wait until that is ready.
	Replace func(ctx context.Context, node cluster.Node) error
	// Within bounds the wait until nothing is missing after each machine.
	Within time.Duration
	// Heard hears of every step when it is done.
	Heard func(node, what string, took time.Duration)
}

// clientsLeave is how long an API node's clients may take to go.
const clientsLeave = 30 * time.Second

// Plan refuses what would take a tier away, and returns the machines that are replaced, in the order of the moment: leaders
// may move meanwhile.
func (r Rollout) Plan(ctx context.Context) ([]Turn, error) {
	all := r.of(r.Client.Status(ctx))
	for _, s := range all {
		if s.Node.Role == cluster.RoleHeartbeat {
			continue // the database pair is a majority without it
		}
		if !slices.ContainsFunc(all, func(other NodeStatus) bool {
			return other.Node.Role == s.Node.Role && other.Node.Name != s.Node.Name
		}) {
			return nil, exit.Errorf(exit.Unsafe, "%s is the only %s machine, so replacing it takes its service away, and what it holds: leave its role out, or replace it alone",
				s.Node.Name, s.Node.Role)
		}
	}
	var turns []Turn
	done := map[string]bool{}
	for {
		turn, ok := NextTurn(all, done)
		if !ok {
			return turns, nil
		}
		turns = append(turns, turn)
		done[turn.Node.Name] = true
	}
}

// of keeps the machines that are part of the rollout.
func (r Rollout) of(all []NodeStatus) []NodeStatus {
	if len(r.Roles) == 0 {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(s NodeStatus) bool { return !slices.Contains(r.Roles, s.Node.Role) })
}

// Run replaces them all.
func (r Rollout) Run(ctx context.Context) error {
	if _, err := r.Plan(ctx); err != nil {
		return err
	}
	done := map[string]bool{}
	for {
		if err := r.Client.WaitWhole(ctx, r.Within); err != nil {
			return err
		}
		turn, ok := NextTurn(r.of(r.Client.Status(ctx)), done)
		if !ok {
			return nil
		}
		again, err := r.prepare(ctx, turn)
		if err != nil {
			return fmt.Errorf("%s is as it was: %w", turn.Node.Name, err)
		}
		if again {
			continue // it is somebody else's turn, perhaps
		}
		if err := r.timed(turn.Node.Name, "replaced", func() error { return r.Replace(ctx, turn.Node) }); err != nil {
			return fmt.Errorf("replacing %s: %w", turn.Node.Name, err)
		}
		done[turn.Node.Name] = true
		err = r.timed(turn.Node.Name, "ready, and nothing is missing", func() error { return r.Client.WaitWhole(ctx, r.Within) })
		if err != nil {
			return fmt.Errorf("after %s was replaced: %w", turn.Node.Name, err)
		}
	}
}

// prepare does what comes before a machine may go, and tells whether to look again whose turn it is.
func (r Rollout) prepare(ctx context.Context, turn Turn) (again bool, err error) {
	name := turn.Node.Name
	switch turn.Prepare {
	case PrepareSwitchover:
		return true, r.timed(name, "primary no more", func() error {
			_, err := r.Client.Switchover(ctx, "")
			return err
		})
	case PrepareDrain:
		return false, r.timed(name, "drained", func() error {
			if err := r.Client.Drain(ctx, name, true); err != nil {
				return err
			}
			_, err := r.Client.AwaitClientsGone(ctx, name, clientsLeave)
			return err
		})
	case PrepareNothing:
	}
	return false, nil
}

func (r Rollout) timed(node, what string, do func() error) error {
	began := time.Now()
	err := do()
	if err == nil {
		r.Heard(node, what, time.Since(began))
	}
	return err
}
