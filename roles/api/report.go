package api

import (
	"context"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/cinc"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Report asks Cinc Server.
func (Role) Report(ctx context.Context, host step.Host, in role.Inputs, status *cluster.Status) {
	status.Service = cinc.Report(ctx, host, in)
}
