package node

import (
	"context"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
)

// found is a discovery that finds what it is told.
type found []cluster.Node

func (f found) Self(context.Context) (cluster.Node, error)    { return f[0], nil }
func (f found) Nodes(context.Context) ([]cluster.Node, error) { return f, nil }

// A machine that is found elsewhere moves, one that is not found stays where it was, and the document is left alone.
func TestDiscover(t *testing.T) {
	_, r, _ := seeded(t, "postgres-1")
	moved := r.Nodes[1]
	moved.Address = netip.MustParseAddr("10.20.0.99")
	before := r.Nodes[1].Address
	in, err := discover(t.Context(), found{r.Nodes[0], moved}, role.Inputs{Cluster: r})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, n := range in.Cluster.Nodes {
		got[n.Name] = n.Address.String()
	}
	want := map[string]string{"postgres-1": "10.20.0.31", "postgres-2": "10.20.0.99", "heartbeat-1": "10.20.0.33"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if in.Self.Name != "postgres-1" || r.Nodes[1].Address != before {
		t.Errorf("self %s; the document has %s", in.Self.Name, r.Nodes[1].Address)
	}
}
