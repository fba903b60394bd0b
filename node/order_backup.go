package node

import (
	"net/http"

	"github.com/cincbake/cincbake/roles/pgbackrest"
	"github.com/cincbake/cincbake/roles/role"
)

// backups tells what the repository holds, and how the backup of the type that is asked for stands.
func (e *endpoint) backups(r *http.Request) (any, error) {
	if err := e.copies(); err != nil {
		return nil, err
	}
	return pgbackrest.StateOf(r.Context(), e.host, e.in.Cluster, pgbackrest.Type(r.URL.Query().Get("type")))
}

// backup begins one. It may take hours: who ordered it asks how it stands.
func (e *endpoint) backup(r *http.Request) (any, error) {
	var order struct{ Type pgbackrest.Type }
	if err := decode(r, &order); err != nil {
		return nil, err
	}
	if err := e.copies(); err != nil {
		return nil, err
	}
	if err := pgbackrest.Order(r.Context(), e.host, order.Type); err != nil {
		return nil, err
	}
	return map[string]pgbackrest.Type{"ordered": order.Type}, nil
}

// copies refuses on a machine that keeps no backups. Only database machines are told of the repository.
func (e *endpoint) copies() error {
	if e.in.Cluster.Backup == nil {
		return &role.Refusal{Reason: e.machine.Self.Name + " keeps no backups", Hint: "add backup to the spec and replace the database machines, or ask one of those"}
	}
	return nil
}
