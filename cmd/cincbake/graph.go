package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/explain"
	"github.com/cincbake/cincbake/explain/graph"
	"github.com/cincbake/cincbake/internal/exit"
)

func newGraph() *cobra.Command {
	var (
		spec        specFlag
		format, out string
	)
	c := &cobra.Command{
		Use:   "graph",
		Short: "Draw the cluster",
		Long: `Graph draws the cluster from the client inwards: its tiers, their machines, and who talks to whom. Mermaid is text that
GitHub, GitLab and most wikis draw. HTML is one page that works without a network, in which each machine opens to its
ports and its files. Neither holds a secret.`,
		Example: "  cincbake graph\n  cincbake graph --format html --out cluster.html",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if format != "mermaid" && format != "html" {
				return exit.Errorf(exit.Invalid, "%q is not a format: mermaid or html", format)
			}
			_, resolved, err := spec.load()
			if err != nil {
				return err
			}
			drawn, err := graph.Of(resolved, explain.Assume{})
			if err != nil {
				return err
			}
			write := drawn.Mermaid
			if format == "html" {
				write = drawn.HTML
			}
			if out == "" {
				return write(c.OutOrStdout())
			}
			var text bytes.Buffer
			if err := write(&text); err != nil {
				return err
			}
			if err := replaceFile(out, text.Bytes()); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "wrote %s\n", out)
			return nil
		},
	}
	spec.register(c)
	c.Flags().StringVar(&format, "format", "mermaid", "mermaid or html")
	c.Flags().StringVar(&out, "out", "", "the file to write, instead of standard output")
	_ = c.MarkFlagFilename("out", "html", "mmd", "md")
	return c
}

// replaceFile writes beside the file and renames, so that a reader sees the old one or the new one.
func replaceFile(path string, text []byte) error {
	beside, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(beside.Name()) // gone already when all went well
	_, err = beside.Write(text)
	if err == nil {
		err = beside.Chmod(0o644)
	}
	if closeErr := beside.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(beside.Name(), path)
	}
	return err
}
