package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/lab"
	"github.com/cincbake/cincbake/operate"
	"github.com/cincbake/cincbake/secrets"
)

// operatorFlags say which cluster an operator speaks to, and where it runs.
type operatorFlags struct {
	specFlag
	lab bool
}

func (f *operatorFlags) register(c *cobra.Command) {
	f.specFlag.register(c)
	c.Flags().BoolVar(&f.lab, "lab", false, "the cluster runs in this machine's lab")
}

// client returns a client that speaks to the cluster's machines with the operator's certificate.
func (f *operatorFlags) client(ctx context.Context) (operate.Client, error) {
	_, _, client, err := f.clientAndBundle(ctx)
	return client, err
}

// clientAndBundle is client with what it was made from.
func (f *operatorFlags) clientAndBundle(ctx context.Context) (*cluster.Spec, *secrets.Bundle, operate.Client, error) {
	spec, resolved, err := f.load()
	if err != nil {
		return nil, nil, operate.Client{}, err
	}
	bundle, err := loadBundle(spec.SecretsPath(), resolved)
	if err != nil {
		return nil, nil, operate.Client{}, err
	}
	client, err := f.clientWith(ctx, resolved, bundle)
	return spec, bundle, client, err
}

// clientWith returns a client that speaks with the operator's certificate of this very bundle.
func (f *operatorFlags) clientWith(ctx context.Context, r *cluster.Resolved, bundle *secrets.Bundle) (operate.Client, error) {
	if f.lab {
		l, err := openLab(r)
		if err != nil {
			return operate.Client{}, err
		}
		return labClient(l, r, bundle)
	}
	if r.Platform == cluster.AWS {
		var err error
		if r, err = locate(ctx, r); err != nil {
			return operate.Client{}, err
		}
	}
	return clientOf(r, bundle)
}

// locate returns a cluster on AWS with its machines' addresses, which its spec can't know.
func locate(ctx context.Context, r *cluster.Resolved) (*cluster.Resolved, error) {
	fleet, err := fleetOf(ctx, r)
	if err != nil {
		return nil, err
	}
	state, err := fleet.Read(ctx)
	if err != nil {
		return nil, err
	}
	return fleet.Locate(ctx, state)
}

// clientOf returns a client of machines whose addresses are known.
func clientOf(r *cluster.Resolved, bundle *secrets.Bundle) (operate.Client, error) {
	tls, err := bundle.OperatorTLS()
	return operate.Client{Cluster: r, TLS: tls}, err
}

// labClient reaches the machines from within the lab's network.
func labClient(l *lab.Lab, r *cluster.Resolved, bundle *secrets.Bundle) (operate.Client, error) {
	if err := requireRoot("the lab's network is entered"); err != nil {
		return operate.Client{}, err
	}
	client, err := clientOf(r, bundle)
	client.Dial = l.Dial
	return client, err
}
