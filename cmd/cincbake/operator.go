package main

import (
	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/operate"
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
	client := operate.Client{Cluster: resolved}
	if client.TLS, err = bundle.OperatorTLS(); err != nil {
		return client, err
	}
	if f.lab {
		if err := requireRoot("the lab's network is entered"); err != nil {
			return client, err
		}
		l, err := openLab(resolved)
		if err != nil {
			return client, err
		}
		client.Dial = l.Dial
	}
	return client, nil
}
