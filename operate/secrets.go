package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
)

// takeDeadline bounds the wait for one machine that has new secrets, and for the cluster to be whole again after it.
const takeDeadline = 10 * time.Minute

// Delivery is what a machine took over.
type Delivery struct {
	Node    string   `json:"node"`
	Changed []string `json:"changed"` // names of secrets; empty: it had them already
	Seconds float64  `json:"seconds"` // until it was ready with them, and the cluster whole
}

// taken is how a machine answers a delivery.
type taken struct {
	Changed []string
	Since   time.Time
}

// CheckDelivery tells whether every machine would take its part of the bundle over now, and changes nothing: the cluster
// must be whole, and every machine must be able to go on from the secrets that it has. One of the pool that is there and
// does not answer keeps it from being whole: what it does not get now would cut it off for good.
func (c Client) CheckDelivery(ctx context.Context, bundle *secrets.Bundle) ([]Delivery, error) {
	all := c.Status(ctx)
	if err := Whole(all); err != nil {
		return nil, exit.Errorf(exit.Unsafe, "secrets are delivered to a whole cluster only:\n%w", err)
	}
	var (
		would    []Delivery
		problems []error
	)
	for _, node := range nodesOf(all) {
		answer, err := c.deliver(ctx, node, bundle, "?check")
		problems = append(problems, err)
		would = append(would, Delivery{Node: node.Name, Changed: answer.Changed})
	}
	return would, errors.Join(problems...)
}

// Deliver gives every machine its part of the bundle: one at a time, the primary last, and the next one only when the one
// before is ready with it and the cluster is whole. It stops at the first that is not; who has theirs already is passed over
// then, so that it can be asked for again. Heard hears of each.
func (c Client) Deliver(ctx context.Context, bundle *secrets.Bundle, heard func(Delivery)) ([]Delivery, error) {
	all := c.Status(ctx)
	var primary string
	if len(c.Cluster.NodesOf(cluster.RolePostgres)) > 0 {
		var err error
		if primary, err = primaryOf(all); err != nil {
			return nil, err
		}
	}
	var done []Delivery
	for _, node := range deliveryOrder(nodesOf(all), primary) {
		began := time.Now()
		answer, err := c.deliver(ctx, node, bundle, "")
		if err != nil {
			return done, err
		}
		if len(answer.Changed) > 0 {
			if err := c.awaitTaken(ctx, node, answer.Since); err != nil {
				return done, err
			}
		}
		delivery := Delivery{Node: node.Name, Changed: answer.Changed, Seconds: time.Since(began).Round(100 * time.Millisecond).Seconds()}
		done = append(done, delivery)
		heard(delivery)
	}
	return done, nil
}

// deliveryOrder is the cluster's order, with the primary last.
func deliveryOrder(nodes []cluster.Node, primary string) []cluster.Node {
	slices.SortStableFunc(nodes, func(a, b cluster.Node) int {
		switch primary {
		case a.Name:
			return 1
		case b.Name:
			return -1
		}
		return 0
	})
	return nodes
}

func (c Client) deliver(ctx context.Context, node cluster.Node, bundle *secrets.Bundle, query string) (taken, error) {
	var answer taken
	scoped, err := bundle.Scope(node)
	if err != nil {
		return answer, err
	}
	encoded, err := scoped.Encode()
	if err != nil {
		return answer, err
	}
	return answer, c.callWithin(ctx, orderDeadline, node, http.MethodPut, "/v1/secrets"+query, json.RawMessage(encoded), &answer)
}

// awaitTaken waits until the machine has booted through with its new secrets, since when its status was written anew, and
// the cluster is whole.
func (c Client) awaitTaken(ctx context.Context, node cluster.Node, since time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, takeDeadline)
	defer cancel()
	lacks := fmt.Errorf("%s has not begun with its new secrets", node.Name)
	for {
		all := c.Status(ctx)
		i := slices.IndexFunc(all, func(s NodeStatus) bool { return s.Node.Name == node.Name })
		if ctx.Err() == nil && i >= 0 && (!all[i].Answered() || all[i].Status.Updated.After(since)) {
			if lacks = Whole(all); lacks == nil {
				return nil
			}
			if r := all[i].Status.Result; r == cluster.ResultRefused {
				return exit.Errorf(exit.Unsafe, "%s refuses its new secrets: %s: %s", node.Name, all[i].Status.Reason, all[i].Status.Hint)
			}
		}
		if err := role.Pause(ctx, wholePause); err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			return exit.Errorf(exit.TimedOut, "%s has its new secrets, and the cluster is not whole after %v; machines after it were given nothing:\n%w", node.Name, takeDeadline, lacks)
		}
	}
}
