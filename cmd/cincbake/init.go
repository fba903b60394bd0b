package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/internal/packer"
)

// defaultTemplate is where init puts the Packer template, and where bake looks for it.
const defaultTemplate = "packer/images.pkr.hcl"

func newInit() *cobra.Command {
	var topology, platform string
	c := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a cluster's spec, with a comment on every choice",
		Long: `Init writes cluster.yaml, with a comment on every choice, and on-premises packer/images.pkr.hcl, which bakes its images. The
folder is made if it is not there; files that are there are never overwritten.

  --topology database     PostgreSQL that fails over by itself, and nothing else
  --topology standalone   one Cinc Server with its own database and search inside, on a data disk
  --topology managed      API nodes; the database and the search cluster are somebody else's, like RDS
  --topology self-hosted  every tier is the cluster's own
  --platform onprem       virtual machines of any hypervisor
  --platform aws          instances from launch templates`,
		Example: "  cincbake init\n  cincbake init prod --topology managed --platform aws",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			text, err := cluster.Example(cluster.Topology(topology), cluster.Platform(platform))
			if err != nil {
				return exit.As(exit.Invalid, err)
			}
			files := []newFile{{filepath.Join(dir, defaultSpec), text}}
			if cluster.Platform(platform) == cluster.OnPrem {
				template, err := templateFor(text)
				if err != nil {
					return err
				}
				files = append(files, newFile{filepath.Join(dir, defaultTemplate), template})
			}
			if err := writeNew(files); err != nil {
				return err
			}
			for _, f := range files {
				fmt.Fprintf(c.ErrOrStderr(), "wrote %s\n", f.path)
			}
			fmt.Fprintf(c.ErrOrStderr(), "next: change what is yours in %s, then cincbake validate\n", files[0].path)
			return nil
		},
	}
	c.Flags().StringVar(&topology, "topology", string(cluster.SelfHosted), "which tiers the cluster runs itself: database, standalone, managed or self-hosted")
	c.Flags().StringVar(&platform, "platform", string(cluster.OnPrem), "where its machines run: onprem or aws")
	_ = c.RegisterFlagCompletionFunc("topology", fixed(cluster.Topologies()...))
	_ = c.RegisterFlagCompletionFunc("platform", fixed(cluster.Platforms()...))
	return c
}

// templateFor returns the Packer template that bakes what the spec's cluster is made of.
func templateFor(text string) (string, error) {
	spec, err := cluster.Parse(defaultSpec, []byte(text))
	if err != nil {
		return "", err
	}
	resolved, err := spec.Resolve()
	if err != nil {
		return "", err
	}
	return packer.Template(rolesIn(resolved))
}

type newFile struct{ path, text string }

// writeNew writes files that must not be there yet: all of them or, when one is there, none.
func writeNew(files []newFile) error {
	for _, f := range files {
		if _, err := os.Lstat(f.path); err == nil {
			return exit.Errorf(exit.Unsafe, "%s is there already and stays as it is: name another folder, or move it away", f.path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(f.path, []byte(f.text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
