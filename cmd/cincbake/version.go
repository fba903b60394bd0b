package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
)

// versions is what `version -o json` prints: the release, and the formats that must fit between command and images.
type versions struct {
	Version        string `json:"version"`
	Go             string `json:"go"`
	Platform       string `json:"platform"`
	DocumentFormat int    `json:"documentFormat"`
	RecipeFormat   int    `json:"recipeFormat"`
	RecordFormat   int    `json:"recordFormat"`
}

func newVersion() *cobra.Command {
	var output outputFlag
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version and the formats it reads and writes",
		Example: "  cincbake version\n  cincbake version -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			v := versions{
				Version:        version,
				Go:             runtime.Version(),
				Platform:       runtime.GOOS + "/" + runtime.GOARCH,
				DocumentFormat: cloudinit.DocumentFormat,
				RecipeFormat:   cluster.RecipeFormat,
				RecordFormat:   images.RecordFormat,
			}
			if output.json() {
				return printJSON(c.OutOrStdout(), v)
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "cincbake %s (%s, %s)\nformats: node document %d, recipe %d, image record %d\n",
				v.Version, v.Go, v.Platform, v.DocumentFormat, v.RecipeFormat, v.RecordFormat)
			return err
		},
	}
	output.register(c)
	return c
}
