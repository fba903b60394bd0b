package node

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/etcd"
	"github.com/cincbake/cincbake/roles/opensearch"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// rescuable is what a rescue lets continue alone.
type rescuable struct {
	roles   []cluster.Role
	data    string // whose data it is
	returns string // what comes back by itself once its machines do
	order   func(context.Context) error
}

func (e *endpoint) rescueEtcd(r *http.Request) (any, error) {
	return e.rescue(r, rescuable{
		[]cluster.Role{cluster.RolePostgres, cluster.RoleHeartbeat},
		"etcd's data", "the quorum",
		func(context.Context) error { return etcd.OrderRescue(e.host, e.machine.Document.Cluster.Name) },
	})
}

func (e *endpoint) rescueOpenSearch(r *http.Request) (any, error) {
	return e.rescue(r, rescuable{
		[]cluster.Role{cluster.RoleOpenSearch},
		"OpenSearch's data", "the search cluster",
		func(ctx context.Context) error { return opensearch.OrderRescue(ctx, e.host, e.in) },
	})
}

// rescueDeadline bounds the order and the start of the boot that carries it out, without the boot itself.
const rescueDeadline = 20 * time.Second

// rescue orders this machine's data to become the whole cluster. It is safe only when nobody else can still hold the
// majority, so every other member must have answered that it is empty.
func (e *endpoint) rescue(r *http.Request, what rescuable) (any, error) {
	if !slices.Contains(what.roles, e.machine.Self.Role) {
		return nil, &role.Refusal{Reason: e.machine.Self.Name + " keeps none of " + what.data, Hint: fmt.Sprintf("name a machine of these roles: %v", what.roles)}
	}
	own, err := e.observe()
	if err != nil {
		return nil, err
	}
	if own.Formation != cluster.FormationFormed {
		return nil, &role.Refusal{Reason: "this machine holds no data of a formed cluster", Hint: "rescue from the machine that kept its disk"}
	}
	in, err := discover(r.Context(), e.machine.discovery(), e.in)
	if err != nil {
		return nil, err
	}
	peers, err := askPeers(r.Context(), in)
	if err != nil {
		return nil, err
	}
	for name, peer := range peers {
		if !peer.Answered() {
			return nil, &role.Refusal{
				Reason: name + " does not answer; it may still hold " + what.returns + " with another machine",
				Hint:   "start it, or replace it by an empty machine of its name, and ask again",
			}
		}
		if peer.Observation.Formation != cluster.FormationEmpty {
			return nil, &role.Refusal{
				Reason: fmt.Sprintf("%s is not empty but %s", name, peer.Observation.Formation),
				Hint:   fmt.Sprintf("start every machine that kept its disk; %s then returns by itself", what.returns),
			}
		}
	}
	// What is safe now may not be later: the boot follows the order at once, also when nobody waits for the answer any more.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), rescueDeadline)
	defer cancel()
	if err := what.order(ctx); err != nil {
		return nil, err
	}
	if _, err := e.host.Run(ctx, step.Command{Argv: []string{"systemctl", "restart", "--no-block", role.UnitBoot}}); err != nil {
		return nil, fmt.Errorf("it is ordered, but %s could not be started again; ask again: %w", role.UnitBoot, err)
	}
	return map[string]string{"node": e.machine.Self.Name, "ordered": what.data + " on this machine becomes the cluster; the others join it by themselves"}, nil
}
