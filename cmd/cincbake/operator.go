package main

import (
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
func (f *operatorFlags) client() (operate.Client, error) {
	spec, resolved, err := f.load()
	if err != nil {
		return operate.Client{}, err
	}
	bundle, err := loadBundle(spec.SecretsPath(), resolved)
	if err != nil {
		return operate.Client{}, err
	}
	if !f.lab {
		return clientOf(resolved, bundle)
	}
	l, err := openLab(resolved)
	if err != nil {
		return operate.Client{}, err
	}
	return labClient(l, resolved, bundle)
}

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
