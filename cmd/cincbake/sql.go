package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/roles/postgres"
)

func newSQL() *cobra.Command {
	var spec specFlag
	c := &cobra.Command{
		Use:   "sql",
		Short: "Show what an external database's administrator runs once",
		Long: `SQL prints the psql script that prepares a database which the cluster uses and does not run: the login that makes Cinc
Server's databases, with what it must be allowed and how passwords must be stored. It holds no password.`,
		Example: "  cincbake sql | less\n  cincbake sql | psql --host db.example.com --username postgres",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, resolved, err := spec.load()
			if err != nil {
				return err
			}
			script := postgres.ExternalSQL(resolved)
			if script == "" {
				return exit.Errorf(exit.Invalid, "cluster %s runs its own database, which makes what it needs by itself", resolved.Name)
			}
			_, err = fmt.Fprint(c.OutOrStdout(), script)
			return err
		},
	}
	spec.register(c)
	return c
}
