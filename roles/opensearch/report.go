package opensearch

import (
	"context"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// reportTimeout bounds what a status may spend on OpenSearch: whoever asks for the status does not wait long either.
const reportTimeout = 2 * time.Second

// Report asks OpenSearch about its cluster.
func (Role) Report(ctx context.Context, _ step.Host, in role.Inputs, status *cluster.Status) {
	own, err := base.Address(in)
	if err != nil {
		return
	}
	c, err := newClient(in, in.Self.Name, own)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	status.Search = c.search(ctx)
}

// search is the node's view of its cluster; nil: it does not run. A node that runs and is in no cluster has no health.
func (c client) search(ctx context.Context) *cluster.Search {
	uuid, err := c.membership(ctx, reportTimeout)
	if err != nil {
		if notRunning(err) {
			return nil
		}
		return &cluster.Search{}
	}
	found := &cluster.Search{ClusterUUID: uuid}
	if h, err := c.health(ctx); err == nil {
		found.Health, found.Nodes = h.Status, h.Nodes
	}
	var state struct {
		Manager string `json:"master_node"`
		Nodes   map[string]struct {
			Name string `json:"name"`
		} `json:"nodes"`
	}
	if err := c.get(ctx, "/_cluster/state/master_node,nodes?local=true", &state); err == nil {
		found.Manager = state.Nodes[state.Manager].Name
	}
	return found
}
