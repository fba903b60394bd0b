package node

import (
	"net/http"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/postgres"
	"github.com/cincbake/cincbake/roles/role"
)

func (e *endpoint) switchover(r *http.Request) (any, error) {
	var order struct{ To string }
	if err := decode(r, &order); err != nil {
		return nil, err
	}
	if e.machine.Self.Role != cluster.RolePostgres {
		return nil, &role.Refusal{Reason: e.machine.Self.Name + " runs no database", Hint: "ask a database node"}
	}
	if order.To != "" {
		if node, err := e.machine.Document.Cluster.Node(order.To); err != nil || node.Role != cluster.RolePostgres {
			return nil, &role.Refusal{Reason: order.To + " is no database node of this cluster"}
		}
	}
	began := time.Now()
	from, to, err := postgres.APIOf(e.in, e.machine.Self).Switchover(r.Context(), order.To)
	if err != nil {
		return nil, err
	}
	return map[string]any{"from": from, "to": to, "seconds": seconds(time.Since(began))}, nil
}
