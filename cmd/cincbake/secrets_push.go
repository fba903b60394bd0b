package main

import (
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/internal/sdk"
	"github.com/cincbake/cincbake/secrets/awssm"
)

func newSecretsPush() *cobra.Command {
	var (
		spec   specFlag
		output outputFlag
		dryRun bool
	)
	c := &cobra.Command{
		Use:   "push",
		Short: "Put each machine's part into AWS Secrets Manager",
		Long: `Push puts what each machine may know, and nothing more, into AWS Secrets Manager, where machines fetch it at their first boot:
a secret for each slot, and one for all of the API pool. They are called cincbake/CLUSTER/MACHINE, have the cluster's tags,
and are encrypted with the key under aws.key, or with the account's own for Secrets Manager.

A secret that holds the same already is left alone, and a push that was cut off is completed by the next one. No value is
printed. Machines that run keep what they have: after a change, replace them.`,
		Example: "  cincbake secrets push --dry-run\n  cincbake secrets push -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			named, resolved, err := spec.load()
			if err != nil {
				return err
			}
			if resolved.Platform != cluster.AWS {
				return exit.Errorf(exit.Invalid, "cluster %s is not on AWS: its machines get their secrets with their seeds, from cincbake render", resolved.Name)
			}
			bundle, err := loadBundle(named.SecretsPath(), resolved)
			if err != nil {
				return err
			}
			loaded, err := sdk.Load(c.Context(), resolved.Region)
			if err != nil {
				return exit.As(exit.Missing, err)
			}
			pushed, err := awssm.Push(c.Context(), secretsmanager.NewFromConfig(loaded), resolved, bundle, dryRun)
			if len(pushed) == 0 {
				return err
			}
			if output.json() {
				return errors.Join(printJSON(c.OutOrStdout(), pushed), err)
			}
			return errors.Join(tellPushed(c, pushed, dryRun), err)
		},
	}
	spec.register(c)
	output.register(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be put there, and change nothing")
	return c
}

// tellPushed prints what became of each secret.
func tellPushed(c *cobra.Command, pushed []awssm.Pushed, dryRun bool) error {
	changed, rows := 0, make([][]string, len(pushed))
	for i, p := range pushed {
		if p.Change != awssm.Unchanged {
			changed++
		}
		rows[i] = []string{p.Node, p.Secret, string(p.Change)}
	}
	switch {
	case dryRun:
		fmt.Fprintln(c.ErrOrStderr(), "nothing was changed: without --dry-run it would be what follows")
	case changed == 0:
		fmt.Fprintln(c.ErrOrStderr(), "nothing to change")
	}
	return printTable(c.OutOrStdout(), []string{"MACHINE", "SECRET", "CHANGE"}, rows)
}
