package node

import (
	"context"
	"fmt"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/cinc"
)

// Reindex fills the search index anew from the database, on an API node.
func (a Agent) Reindex(ctx context.Context) error {
	machine, err := a.load(ctx)
	if err != nil {
		return err
	}
	if machine.Self.Role != cluster.RoleAPI {
		return fmt.Errorf("%s is no API node", machine.Self.Name)
	}
	facts, err := gather(a.Host)
	if err != nil {
		return err
	}
	return cinc.Reindex(ctx, a.Host, machine.inputs(facts))
}
