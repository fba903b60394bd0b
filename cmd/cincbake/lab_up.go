package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/lab"
)

func newLabUp() *cobra.Command {
	var (
		spec   specFlag
		folder imagesFlag
		dryRun bool
		wait   time.Duration
	)
	c := &cobra.Command{
		Use:   "up",
		Short: "Boot the cluster's machines and wait until they are ready",
		Long: `Up boots every machine of the cluster that does not run, and waits until the cluster is ready. What is there already stays as
it is, so up also goes on where another was interrupted.`,
		Example: "  cincbake lab up\n  cincbake lab up --images /srv/images --wait 0",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			wanted, resolved, err := spec.load()
			if err != nil {
				return err
			}
			l, err := openLab(resolved)
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
			entries, err := imagesOf(c.Context(), folder, resolved)
			if err != nil {
				return err
			}
			if dryRun {
				for _, node := range resolved.Nodes {
					fmt.Fprintf(c.ErrOrStderr(), "would boot %s at %s from %s\n", node.Name, node.Address, entries[node.Role].ID)
				}
				return nil
			}
			if err := lab.AsError(lab.CheckHost(c.Context(), lab.DefaultFolders())); err != nil {
				return err
			}
			p := newProgress(c.ErrOrStderr())
			config := lab.Config{
				Cluster: resolved,
				Images:  entries,
				Seed:    func(node string) (cloudinit.Seed, error) { return seeds[node], nil },
			}
			err = l.Up(c.Context(), config, func(e lab.Event) {
				p.say(e.Subject, fmt.Sprintf("%s (%.1f s)", e.What, e.Took.Seconds()))
			})
			if err != nil || wait == 0 {
				return err
			}
			client, err := labClient(l, resolved, bundle)
			if err != nil {
				return err
			}
			if err := client.Watch(c.Context(), wait, p.hear()); err != nil {
				return err
			}
			p.say("cluster", "whole")
			return nil
		},
	}
	spec.register(c)
	folder.register(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be booted")
	c.Flags().DurationVar(&wait, "wait", 5*time.Minute, "how long to wait until the cluster is ready; 0: not at all")
	return c
}

// imagesOf returns the newest image of each role that was baked from the cluster's recipe.
func imagesOf(ctx context.Context, folder imagesFlag, r *cluster.Resolved) (map[cluster.Role]images.Entry, error) {
	catalogue, err := folder.open()
	if err != nil {
		return nil, err
	}
	roles, err := rolesOf(r, nil)
	if err != nil {
		return nil, err
	}
	entries := make(map[cluster.Role]images.Entry)
	for _, role := range roles {
		if entries[role], err = catalogue.Find(ctx, role, r.Recipe(role).Digest()); err != nil {
			return nil, requireImage(err)
		}
	}
	return entries, nil
}
