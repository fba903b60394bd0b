package node

import (
	"context"
	"slices"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Discovery finds the cluster's machines. Which machines there may be, and their roles, is in the node document; where they
// are is what discovery knows.
type Discovery interface {
	// Self returns this machine, with its address.
	Self(context.Context) (cluster.Node, error)
	// Nodes returns the machines that are found now, with their addresses.
	Nodes(context.Context) ([]cluster.Node, error)
}

// static is the discovery of a platform where every machine's address is in the node document.
type static struct{ machine Machine }

var _ Discovery = static{}

// Self returns the machine as its document has it.
func (s static) Self(context.Context) (cluster.Node, error) { return s.machine.Self, nil }

// Nodes returns every machine of the document.
func (s static) Nodes(context.Context) ([]cluster.Node, error) {
	return s.machine.Document.Cluster.Nodes, nil
}

// discover returns the inputs with the machines' addresses as they are found now. What is not found keeps the address that
// it had: a machine that is off for a moment must not vanish from its peers' files.
func discover(ctx context.Context, d Discovery, in role.Inputs) (role.Inputs, error) {
	self, err := d.Self(ctx)
	if err != nil {
		return in, err
	}
	nodes, err := d.Nodes(ctx)
	if err != nil {
		return in, err
	}
	found := *in.Cluster
	found.Nodes = slices.Clone(in.Cluster.Nodes)
	for i := range found.Nodes {
		for _, n := range nodes {
			if n.Name == found.Nodes[i].Name && n.Address.IsValid() {
				found.Nodes[i].Address, found.Nodes[i].Found = n.Address, n.Found
				break
			}
		}
	}
	in.Cluster, in.Self = &found, self
	return in, nil
}

// look finds out again where this machine's peers are, and what it and they hold.
func (m Machine) look(ctx context.Context, files step.Files, in role.Inputs) (role.Inputs, error) {
	in, err := discover(ctx, m.discovery(), in)
	if err != nil {
		return in, err
	}
	if in.Own, err = m.Observe(files); err != nil {
		return in, err
	}
	in.Peers, err = askPeers(ctx, in)
	return in, err
}

// discovery is the one of the machine's platform.
func (m Machine) discovery() Discovery {
	if m.found != nil {
		return m.found
	}
	return static{m}
}
