package node

import (
	"net/http"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/cinc"
	"github.com/cincbake/cincbake/roles/role"
)

// drain keeps new clients from this machine, or lets them come again.
func (e *endpoint) drain(r *http.Request) (any, error) {
	var order struct{ Drained bool }
	if err := decode(r, &order); err != nil {
		return nil, err
	}
	if err := e.serves(); err != nil {
		return nil, err
	}
	return order, cinc.Drain(e.host, order.Drained)
}

// serves refuses on a machine that is not one of several that serve clients.
func (e *endpoint) serves() error {
	if e.machine.Self.Role != cluster.RoleAPI {
		return &role.Refusal{Reason: e.machine.Self.Name + " is no API node", Hint: "only those get their clients from a balancer"}
	}
	return nil
}

// reindex begins to fill the search index anew from the database.
func (e *endpoint) reindex(r *http.Request) (any, error) {
	if err := e.serves(); err != nil {
		return nil, err
	}
	drained, err := cinc.Drained(e.host)
	if err != nil {
		return nil, err
	}
	if !drained {
		return nil, &role.Refusal{Reason: e.machine.Self.Name + " still gets clients, and a reindex slows them down", Hint: "cincbake reindex drains it first"}
	}
	return map[string]string{"ordered": "reindex"}, cinc.OrderReindex(r.Context(), e.host)
}

// reindexing tells how the last reindex stands.
func (e *endpoint) reindexing(r *http.Request) (any, error) {
	if err := e.serves(); err != nil {
		return nil, err
	}
	return cinc.ReindexState(r.Context(), e.host)
}
