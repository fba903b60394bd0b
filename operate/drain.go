package operate

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/roles/cinc"
	"github.com/cincbake/cincbake/roles/role"
)

// Drain keeps new clients from an API node, or lets them come again, and waits until every balancer does so.
func (c Client) Drain(ctx context.Context, name string, drained bool) error {
	node, err := c.apiNode(name)
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, askDeadline)
	defer cancel()
	order := struct {
		Drained bool `json:"drained"`
	}{drained}
	var done struct{ Drained bool }
	if err := c.call(asking, node, http.MethodPost, "/v1/drain", order, &done); err != nil {
		return err
	}
	return c.awaitBalancers(ctx, name, drained)
}

// balancersDeadline bounds the wait for the balancers, which ask every two seconds.
const balancersDeadline = 30 * time.Second

func (c Client) awaitBalancers(ctx context.Context, name string, drained bool) error {
	if len(c.Cluster.NodesOf(cluster.RoleLB)) == 0 {
		return nil // somebody else's, who can't be asked
	}
	ctx, cancel := context.WithTimeout(ctx, balancersDeadline)
	defer cancel()
	for {
		var behind []string
		for _, s := range c.Status(ctx) {
			if b := s.Status.Balancer; b != nil && slices.Contains(b.Up, name) == drained {
				behind = append(behind, s.Node.Name)
			}
		}
		if len(behind) == 0 && ctx.Err() == nil {
			return nil
		}
		if role.Pause(ctx, time.Second) != nil {
			return exit.Errorf(exit.TimedOut, "%s has not heard of it after %v", strings.Join(behind, " and "), balancersDeadline)
		}
	}
}

// Alone tells whether an API node is the only one that gets clients because it is well, by the account of a balancer. Where
// none is well, clients go to any.
func (c Client) Alone(ctx context.Context, name string) bool {
	for _, s := range c.Status(ctx) {
		if b := s.Status.Balancer; b != nil && slices.Equal(b.Up, []string{name}) {
			return true
		}
	}
	return false
}

// AwaitClientsGone waits until an API node has no clients any more through any balancer that answers, and returns how many
// connections are left when that takes longer than within.
func (c Client) AwaitClientsGone(ctx context.Context, name string, within time.Duration) (int, error) {
	end := time.Now().Add(within)
	for {
		left := 0
		for _, s := range c.Status(ctx) {
			if b := s.Status.Balancer; b != nil {
				left += b.Sessions[name]
			}
		}
		if ctx.Err() != nil {
			return left, ctx.Err()
		}
		if left == 0 || !time.Now().Before(end) {
			return left, nil
		}
		if err := role.Pause(ctx, min(time.Second, max(time.Until(end), time.Millisecond))); err != nil {
			return left, err
		}
	}
}

// reindexPause is about how long to wait before looking again.
const reindexPause = 2 * time.Second

// Reindex fills the search index anew on an API node that is drained, and waits for its end, for as long as the context
// allows.
func (c Client) Reindex(ctx context.Context, name string) error {
	node, err := c.apiNode(name)
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, orderDeadline)
	var ordered struct{ Ordered string }
	err = c.call(asking, node, http.MethodPost, "/v1/reindex", nil, &ordered)
	cancel()
	if err != nil {
		return err
	}
	for {
		if err := role.Pause(ctx, reindexPause); err != nil {
			return fmt.Errorf("%s goes on with the reindex by itself: %w", name, err)
		}
		asking, cancel := context.WithTimeout(ctx, askDeadline)
		var state cinc.Reindexing
		err := c.call(asking, node, http.MethodGet, "/v1/reindex", nil, &state)
		cancel()
		switch {
		case err != nil:
			return err
		case state.Running:
		case state.Result == "success":
			return nil
		default:
			return fmt.Errorf("%s: the reindex ended with %q:\n%s", name, state.Result, state.Said)
		}
	}
}

// apiNode is an API node of the cluster, or of its pool.
func (c Client) apiNode(name string) (cluster.Node, error) {
	for _, spare := range c.spares() {
		if spare.Name == name {
			return spare, nil
		}
	}
	node, err := c.node(name)
	if err == nil && node.Role != cluster.RoleAPI {
		err = exit.Errorf(exit.Invalid, "%s is no API node", name)
	}
	return node, err
}

// AnyAPI returns the last API node that is ready: balancers have no favourite among them.
func (c Client) AnyAPI(ctx context.Context) (string, error) {
	name := ""
	for _, s := range c.Status(ctx) {
		if s.Node.Role == cluster.RoleAPI && s.Answered() && s.Status.Result == cluster.ResultReady {
			name = s.Node.Name
		}
	}
	if name == "" {
		return "", exit.Errorf(exit.Missing, "no API machine is ready")
	}
	return name, nil
}
