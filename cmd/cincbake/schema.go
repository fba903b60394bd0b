package main

import (
	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
)

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of cluster.yaml",
		Long: `Schema prints the JSON Schema of a cluster's spec. Editors complete and check by it, as the first line of what init writes
tells them to; to use it without a network, save it and name the file there:

  # yaml-language-server: $schema=./cluster.schema.json

It knows keys and types. The rules over more than one value are validate's.`,
		Example: "  cincbake schema > cluster.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			text, err := cluster.Schema()
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(text)
			return err
		},
	}
}
