package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/explain"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/lab"
)

func newLabReplace() *cobra.Command {
	var (
		spec   specFlag
		folder imagesFlag
		image  string
		dryRun bool
	)
	c := &cobra.Command{
		Use:   "replace MACHINE",
		Short: "Boot a new machine with an empty disk in another's place",
		Long: `Replace powers a machine off, throws its disks away, and boots a new one from the same seed at the same address. With --image it
shuts it down in good order first, and boots another image of its role; "lab rollout" does so with all of them.`,
		Example:           "  cincbake lab replace postgres-1\n  cincbake lab replace postgres-1 --image postgres/0123456789ab",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: spec.completeLab,
		RunE: func(c *cobra.Command, args []string) error {
			l, _, resolved, err := spec.labOf()
			if err != nil {
				return err
			}
			replace := func() error { return l.Replace(c.Context(), args[0]) }
			from := "the image that it has"
			if image != "" {
				catalogue, err := folder.open()
				if err != nil {
					return err
				}
				entry, err := find(c.Context(), catalogue, image)
				if err != nil {
					return err
				}
				from = entry.ID
				p := newProgress(c.ErrOrStderr())
				replace = func() error {
					return l.ReplaceFrom(c.Context(), resolved, args[0], entry, func(e lab.Event) {
						p.say(e.Subject, fmt.Sprintf("%s (%.1f s)", e.What, e.Took.Seconds()))
					})
				}
			}
			if dryRun {
				fmt.Fprintf(c.ErrOrStderr(), "would replace %s of lab %s from %s\n", args[0], l.Name(), from)
				return nil
			}
			if err := requireRoot("the lab runs machines"); err != nil {
				return err
			}
			began := time.Now()
			if err := replace(); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "replace %s: done in %.1f s\n", args[0], time.Since(began).Seconds())
			return nil
		},
	}
	spec.register(c)
	folder.register(c)
	c.Flags().StringVar(&image, "image", "", "the image to boot, named as for images show (default: the one that it has)")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done")
	_ = c.RegisterFlagCompletionFunc("image", folder.complete)
	return c
}

func newLabAdd() *cobra.Command {
	var (
		spec   specFlag
		dryRun bool
	)
	c := &cobra.Command{
		Use:   "add MACHINE",
		Short: "Launch a further API node of the pool",
		Long: `Add boots a machine of the API pool that the cluster was made without, from its seed. No other machine is touched or told: the
balancers count on the whole pool.`,
		Example:           "  cincbake lab add api-4",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: spec.completeAddable,
		RunE: func(c *cobra.Command, args []string) error {
			l, wanted, resolved, err := spec.labOf()
			if err != nil {
				return err
			}
			node, err := explain.Find(resolved, args[0])
			if err != nil {
				return exit.As(exit.Invalid, err)
			}
			if _, err := resolved.Node(node.Name); err == nil {
				return exit.Errorf(exit.Invalid, "%s is a machine that the cluster is made with: cincbake lab up boots it, or cincbake lab start", node.Name)
			}
			if dryRun {
				fmt.Fprintf(c.ErrOrStderr(), "would boot %s at %s in lab %s\n", node.Name, node.Address, l.Name())
				return nil
			}
			if err := requireRoot("the lab runs machines"); err != nil {
				return err
			}
			bundle, err := loadBundle(wanted.SecretsPath(), resolved)
			if err != nil {
				return err
			}
			seed, err := seedOf(resolved, node, bundle)
			if err != nil {
				return err
			}
			began := time.Now()
			if err := l.Add(c.Context(), resolved, node, seed); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "add %s: done in %.1f s; cincbake status --lab tells when it is ready\n", node.Name, time.Since(began).Seconds())
			return nil
		},
	}
	spec.register(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be booted")
	return c
}
