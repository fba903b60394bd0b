package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// defaultSpec is the file that a command reads when none is named.
const defaultSpec = "cluster.yaml"

// specFlag is -f: the cluster that a command is about.
type specFlag struct{ path string }

func (f *specFlag) register(c *cobra.Command) {
	c.Flags().StringVarP(&f.path, "file", "f", defaultSpec, "the cluster's spec")
	_ = c.MarkFlagFilename("file", "yaml", "yml")
}

// load reads the spec and resolves it. Whatever is wrong with it is exit.Invalid.
func (f *specFlag) load() (*cluster.Spec, *cluster.Resolved, error) {
	spec, err := cluster.Load(f.path)
	var problems cluster.Problems
	switch {
	case errors.As(err, &problems):
		return nil, nil, exit.Errorf(exit.Invalid, "%s:\n%w", count(len(problems), "mistake"), problems)
	case err != nil:
		return nil, nil, exit.As(exit.Invalid, err)
	}
	resolved, err := spec.Resolve()
	return spec, resolved, exit.As(exit.Invalid, err)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
