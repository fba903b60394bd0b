package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
)

func newCompat() *cobra.Command {
	var output outputFlag
	c := &cobra.Command{
		Use:   "compat",
		Short: "Show which versions work together",
		Long: `Compat prints the compatibility table: which PostgreSQL, OpenSearch, operating system and processor each release of Cinc
Server works with, how its services log in to the database, where that is known from, and what is not verified. Validate
refuses a spec that no row allows.`,
		Example: "  cincbake compat\n  cincbake compat -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table := cluster.CompatTable()
			if output.json() {
				return printJSON(c.OutOrStdout(), table)
			}
			var rows [][]string
			for _, row := range table {
				rows = append(rows, []string{
					row.Range(), row.PostgresRange(), fmt.Sprintf("%d.x", row.OpenSearch), strings.Join(row.OSes, " "), strings.Join(row.CPUs, " "), string(row.Auth),
				})
			}
			if err := printTable(c.OutOrStdout(), []string{"CINC SERVER", "POSTGRESQL", "OPENSEARCH", "SYSTEM", "CPU", "LOGIN"}, rows); err != nil {
				return err
			}
			for _, row := range table {
				if _, err := fmt.Fprintf(c.OutOrStdout(), "\n%s\n  source: %s\n", row.Range(), row.Source); err != nil {
					return err
				}
				for _, note := range row.Notes {
					if _, err := fmt.Fprintf(c.OutOrStdout(), "  %s\n", note); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
	output.register(c)
	return c
}
