package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/secrets/store"
)

func newSecrets() *cobra.Command {
	return group("secrets", "Make and keep a cluster's secrets", "", newSecretsInit())
}

func newSecretsInit() *cobra.Command {
	var spec specFlag
	c := &cobra.Command{
		Use:   "init",
		Short: "Make the cluster's certificates and passwords",
		Long: `Init makes the bundle of secrets that the spec names under secrets.file: the cluster's own CA, a certificate for every
machine and one for the operator, and the database's passwords. The file is readable by its owner alone. Keep a copy of
it somewhere safe, and out of version control: who holds it holds the cluster.

Run it again after adding a machine: it adds what is missing and keeps everything else, so that rendering twice gives
the same seeds.`,
		Example: "  cincbake secrets init\n  cincbake secrets init -f staging.yaml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			wanted, resolved, err := spec.load()
			if err != nil {
				return err
			}
			made, err := provide(wanted.SecretsPath(), resolved)
			switch {
			case err != nil:
				return err
			case len(made) == 0:
				fmt.Fprintf(c.ErrOrStderr(), "%s holds all that the cluster needs; nothing was changed\n", wanted.SecretsPath())
			default:
				fmt.Fprintf(c.ErrOrStderr(), "%s: made %s\n", wanted.SecretsPath(), strings.Join(made, ", "))
			}
			return nil
		},
	}
	spec.register(c)
	return c
}

// provide sees to it that the bundle at path holds all that the cluster needs, and returns what it made for that.
func provide(path string, r *cluster.Resolved) (made []string, err error) {
	now := time.Now()
	bundle, err := store.Load(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if bundle, err = secrets.Generate(r, now); err != nil {
			return nil, err
		}
		return []string{"the CA", "the passwords", "certificates for " + count(len(r.Nodes), "machine") + " and the operator"}, store.Save(bundle, path)
	case err != nil:
		return nil, err
	}
	added, err := bundle.AddMissing(r, now)
	if err != nil || len(added) == 0 {
		return nil, err
	}
	return added, store.Replace(bundle, path)
}
