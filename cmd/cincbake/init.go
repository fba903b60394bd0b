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

func newInit() *cobra.Command {
	var (
		topology, platform string
		templates          bool
	)
	c := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a cluster's spec, with a comment on every choice, and the Packer templates of its images",
		Long: `Init writes cluster.yaml, with a comment on every choice, and the Packer templates that bake its images: on-premises
packer/rootfs.pkr.hcl and packer/qemu.pkr.hcl, on AWS packer/amazon-ebs.pkr.hcl. The folder is made if it is not there; files
that are there are never overwritten.

With --templates it writes the templates alone, for the cluster.yaml that is there: a tier more or less is a role more or less to
bake.

  --topology database     PostgreSQL that fails over by itself, and nothing else
  --topology standalone   one Cinc Server with its own database and search inside, on a data disk
  --topology managed      API nodes; the database and the search cluster are somebody else's, like RDS
  --topology self-hosted  every tier is the cluster's own
  --platform onprem       virtual machines of any hypervisor
  --platform aws          instances from launch templates

On AWS the spec ends with what the account must have, as a comment: bakes do without it, and launching needs it. "cincbake launch
foundation" makes what it names.`,
		Example: "  cincbake init\n  cincbake init prod --topology managed --platform aws\n  cincbake init --templates prod",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			var files []newFile
			if templates {
				if c.Flags().Changed("topology") || c.Flags().Changed("platform") {
					return exit.Errorf(exit.Invalid, "--templates takes topology and platform from %s", filepath.Join(dir, defaultSpec))
				}
				_, resolved, err := (&specFlag{filepath.Join(dir, defaultSpec)}).load()
				if err != nil {
					return err
				}
				if files, err = templatesFor(dir, resolved); err != nil {
					return err
				}
			} else {
				text, err := cluster.Example(cluster.Topology(topology), cluster.Platform(platform))
				if err != nil {
					return exit.As(exit.Invalid, err)
				}
				resolved, err := resolveText(filepath.Join(dir, defaultSpec), text)
				if err != nil {
					return err
				}
				if files, err = templatesFor(dir, resolved); err != nil {
					return err
				}
				files = append([]newFile{{filepath.Join(dir, defaultSpec), text}}, files...)
			}
			if err := writeNew(files); err != nil {
				return err
			}
			for _, f := range files {
				fmt.Fprintf(c.ErrOrStderr(), "wrote %s\n", f.path)
			}
			if !templates {
				fmt.Fprintf(c.ErrOrStderr(), "next: change what is yours in %s, then cincbake validate\n", files[0].path)
			}
			return nil
		},
	}
	c.Flags().StringVar(&topology, "topology", string(cluster.SelfHosted), "which tiers the cluster runs itself: database, standalone, managed or self-hosted")
	c.Flags().StringVar(&platform, "platform", string(cluster.OnPrem), "where its machines run: onprem or aws")
	c.Flags().BoolVar(&templates, "templates", false, "write the Packer templates alone, for the cluster.yaml that is there")
	_ = c.RegisterFlagCompletionFunc("topology", fixed(cluster.Topologies()...))
	_ = c.RegisterFlagCompletionFunc("platform", fixed(cluster.Platforms()...))
	return c
}

// resolveText resolves the cluster of a spec that is no file yet.
func resolveText(path, text string) (*cluster.Resolved, error) {
	spec, err := cluster.Parse(path, []byte(text))
	if err != nil {
		return nil, err
	}
	return spec.Resolve()
}

// templatesFor returns the Packer templates that bake what the cluster is made of.
func templatesFor(dir string, r *cluster.Resolved) ([]newFile, error) {
	var files []newFile
	for _, builder := range buildersOn(r.Platform) {
		text, err := builder.Template(rolesIn(r))
		if err != nil {
			return nil, err
		}
		files = append(files, newFile{filepath.Join(dir, filepath.FromSlash(builder.File())), text})
	}
	return files, nil
}

// buildersOn are the builders that make images for a platform, the default first.
func buildersOn(platform cluster.Platform) []packer.Builder {
	if platform == cluster.AWS {
		return []packer.Builder{packer.AmazonEBS}
	}
	return []packer.Builder{packer.Rootfs, packer.QEMU}
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
