package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/explain"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/lab"
	"github.com/cincbake/cincbake/secrets"
)

func newLabUp() *cobra.Command {
	var (
		spec   specFlag
		folder imagesFlag
		dryRun bool
		wait   time.Duration
		bakes  bool
		packer string
	)
	c := &cobra.Command{
		Use:   "up",
		Short: "Boot the cluster's machines and wait until they are ready",
		Long: `Up boots every machine of the cluster that does not run, and waits until the cluster is ready. What is there already stays as
it is, so up also goes on where another was interrupted. Images that are missing it bakes first, as "cincbake bake" does.

It ends with an URL on this host where the cluster answers, if it has an API. A program in the background leads there; "lab down"
ends it.`,
		Example: "  cincbake lab up\n  cincbake lab up --images /srv/images --wait 0\n  cincbake lab up --bake=false",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l, wanted, resolved, err := spec.labOf()
			if err != nil {
				return err
			}
			bundle, err := loadBundle(wanted.SecretsPath(), resolved)
			if err != nil {
				return err
			}
			seeds, err := seedsOf(resolved, resolved.Nodes, bundle)
			if err != nil {
				return err
			}
			entries, lacking, err := imagesOf(c.Context(), folder, resolved)
			if err != nil {
				return err
			}
			if len(lacking) > 0 && !bakes {
				return exit.Errorf(exit.Missing, "%s holds no image of this cluster's recipe for: %s: cincbake bake %[2]s", folder.dir, strings.Join(lacking, " "))
			}
			if dryRun {
				for _, role := range lacking {
					fmt.Fprintf(c.ErrOrStderr(), "would bake an image for %s\n", role)
				}
				for _, node := range resolved.Nodes {
					fmt.Fprintf(c.ErrOrStderr(), "would boot %s at %s from %s\n", node.Name, node.Address, cmp.Or(entries[node.Role].ID, "the image to be baked"))
				}
				return nil
			}
			if err := lab.AsError(lab.CheckHost(c.Context(), lab.DefaultFolders())); err != nil {
				return err
			}
			if len(lacking) > 0 {
				b := bakeFlags{spec: spec, folder: folder, packer: packer}
				if err := b.run(c, lacking); err != nil {
					return err
				}
				if entries, _, err = imagesOf(c.Context(), folder, resolved); err != nil {
					return err
				}
			}
			p := newProgress(c.ErrOrStderr())
			config := lab.Config{
				Cluster: resolved,
				Images:  entries,
				Seed: func(node string) (cloudinit.Seed, error) {
					if seed, ok := seeds[node]; ok {
						return seed, nil
					}
					return seedOfPooled(resolved, node, bundle) // one that lab add launched
				},
			}
			err = l.Up(c.Context(), config, func(e lab.Event) {
				p.say(e.Subject, fmt.Sprintf("%s (%.1f s)", e.What, e.Took.Seconds()))
			})
			if err != nil {
				return err
			}
			if wait == 0 {
				return publish(c, l, wanted, resolved, bundle, 0)
			}
			client, err := labClient(l, resolved, bundle)
			if err != nil {
				return err
			}
			if err := client.Watch(c.Context(), wait, p.hear()); err != nil {
				return err
			}
			p.say("cluster", "whole")
			return publish(c, l, wanted, resolved, bundle, answerDeadline)
		},
	}
	spec.register(c)
	folder.register(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be booted")
	c.Flags().DurationVar(&wait, "wait", 5*time.Minute, "how long to wait until the cluster is ready; 0: not at all")
	c.Flags().BoolVar(&bakes, "bake", true, "bake the images that are missing")
	c.Flags().StringVar(&packer, "packer", "", "the Packer to bake with (default: the one on the PATH)")
	_ = c.MarkFlagFilename("packer")
	return c
}

// imagesOf returns the newest image of each role that was baked from the cluster's recipe, and the roles that have none.
func imagesOf(ctx context.Context, folder imagesFlag, r *cluster.Resolved) (map[cluster.Role]images.Entry, []string, error) {
	catalogue, err := folder.open()
	if err != nil {
		return nil, nil, err
	}
	roles, err := rolesOf(r, nil)
	if err != nil {
		return nil, nil, err
	}
	var lacking []string
	entries := make(map[cluster.Role]images.Entry)
	for _, role := range roles {
		entry, err := catalogue.Find(ctx, role, r.Recipe(role).Digest())
		switch {
		case errors.Is(err, images.ErrNotFound):
			lacking = append(lacking, string(role))
		case err != nil:
			return nil, nil, err
		default:
			entries[role] = entry
		}
	}
	return entries, lacking, nil
}

// seedOfPooled returns the seed of a machine of the API pool.
func seedOfPooled(r *cluster.Resolved, name string, bundle *secrets.Bundle) (cloudinit.Seed, error) {
	node, err := explain.Find(r, name)
	if err != nil {
		return cloudinit.Seed{}, exit.As(exit.Invalid, err)
	}
	return seedOf(r, node, bundle)
}
