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
	return c.awaitBalancers(ctx, name, drained, balancersDeadline)
}

// balancersDeadline bounds the wait for the balancers, which ask every two seconds.
const balancersDeadline = 30 * time.Second

// balancing is what the cluster's own balancers say. One that says nothing may lead clients all the same.
type balancing struct {
	said   map[string]cluster.Balancer // by the lb node's name
	silent []string                    // of the others, why
}

func balancingOf(all []NodeStatus) balancing {
	b := balancing{said: map[string]cluster.Balancer{}}
	for _, s := range all {
		switch {
		case s.Node.Role != cluster.RoleLB:
		case !s.Answered():
			b.silent = append(b.silent, s.Error)
		case s.Status.Balancer == nil:
			b.silent = append(b.silent, s.Node.Name+" says nothing of its haproxy")
		default:
			b.said[s.Node.Name] = *s.Status.Balancer
		}
	}
	return b
}

// unheard is why nothing is known of what the silent balancers do; nil: all were heard.
func (b balancing) unheard(code exit.Code, unknown string) error {
	if len(b.silent) == 0 {
		return nil
	}
	return exit.Errorf(code, "%s, so %s: a balancer whose agent is silent may serve all the same; see cincbake status", strings.Join(b.silent, "; "), unknown)
}

// behind names the balancers that do not do yet, as far as is known, what an API node was told.
func (b balancing) behind(name string, drained bool) []string {
	var behind []string
	for lb, says := range b.said {
		if slices.Contains(says.Up, name) == drained {
			behind = append(behind, lb+" has not heard of it")
		}
	}
	slices.Sort(behind)
	return append(behind, b.silent...)
}

// awaitBalancers waits until every balancer does what the API node was told. Where the cluster has none of its own, there is
// nobody who could be asked.
func (c Client) awaitBalancers(ctx context.Context, name string, drained bool, within time.Duration) error {
	end := time.Now().Add(within)
	for {
		behind := balancingOf(c.Status(ctx)).behind(name, drained)
		switch {
		case ctx.Err() != nil: // the answers are about our own hurry
			return ctx.Err()
		case len(behind) == 0:
			return nil
		case !time.Now().Before(end):
			return exit.Errorf(exit.TimedOut, "%s was told, and after %v it is not known that clients are led so: %s", name, within, strings.Join(behind, "; "))
		}
		if err := role.Pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

// CheckDrain tells whether an API node could be ordered now to be drained, or not to be.
func (c Client) CheckDrain(ctx context.Context, name string) error {
	node, err := c.apiNode(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askDeadline)
	defer cancel()
	return c.call(ctx, node, http.MethodGet, "/v1/status", nil, new(cluster.Status))
}

// Alone tells whether an API node is the only one that gets clients because it is well, by the account of any balancer. Where
// none is well, clients go to any. That others get clients, too, is known only when every balancer was heard.
func (c Client) Alone(ctx context.Context, name string) (bool, error) {
	b := balancingOf(c.Status(ctx))
	for _, says := range b.said {
		if slices.Equal(says.Up, []string{name}) {
			return true, nil
		}
	}
	return false, b.unheard(exit.Unsafe, "whether another API machine gets clients is not known")
}

// AwaitClientsGone waits until an API node has no clients any more through any balancer, and returns how many connections are
// left when that takes longer than within. It fails when a balancer is silent then.
func (c Client) AwaitClientsGone(ctx context.Context, name string, within time.Duration) (int, error) {
	end := time.Now().Add(within)
	for {
		b := balancingOf(c.Status(ctx))
		left := 0
		for _, says := range b.said {
			left += says.Sessions[name]
		}
		switch {
		case ctx.Err() != nil:
			return left, ctx.Err()
		case left == 0 && len(b.silent) == 0:
			return 0, nil
		case !time.Now().Before(end):
			return left, b.unheard(exit.TimedOut, fmt.Sprintf("how many connections of clients are left on %s is not known", name))
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
