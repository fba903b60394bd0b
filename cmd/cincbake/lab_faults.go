package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/internal/exit"
)

func newLabPartition() *cobra.Command {
	var (
		spec   specFlag
		with   []string
		dryRun bool
	)
	c := &cobra.Command{
		Use:   "partition MACHINE",
		Short: "Cut a machine off from the others",
		Long: `Partition cuts a machine off from all others but those that --with names. What is sent across the cut is lost without an answer,
on open connections too. An operator still reaches every machine, so "cincbake status --lab" tells what each side believes.

It lasts until "lab heal", also when the machine is started or replaced meanwhile. Nothing of the host's firewall is touched.
It takes nft: apt-get install nftables`,
		Example:           "  cincbake lab partition postgres-1\n  cincbake lab partition postgres-1 --with api-1,api-2",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: spec.completeLab,
		RunE: func(c *cobra.Command, args []string) error {
			l, err := spec.lab()
			if err != nil {
				return err
			}
			company := "everybody"
			if len(with) > 0 {
				company += " but " + strings.Join(with, ", ")
			}
			if dryRun {
				fmt.Fprintf(c.ErrOrStderr(), "would cut %s of lab %s off from %s\n", args[0], l.Name(), company)
				return nil
			}
			if err := requireRoot("the lab runs machines"); err != nil {
				return err
			}
			if err := l.Partition(c.Context(), args[0], with); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "%s is cut off from %s: cincbake lab heal %[1]s takes that back\n", args[0], company)
			return nil
		},
	}
	spec.register(c)
	c.Flags().StringSliceVar(&with, "with", nil, "machines that it still reaches (default: none)")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be cut")
	_ = c.RegisterFlagCompletionFunc("with", completeNodes(&spec))
	return c
}

func newLabFill() *cobra.Command {
	var (
		spec   specFlag
		leave  int64
		dryRun bool
	)
	c := &cobra.Command{
		Use:   "fill MACHINE",
		Short: "Leave no room on a machine's data disk",
		Long: `Fill takes the room on a machine's data disk, for anyone but its root, with one file. It takes no room on this host.
"cincbake lab empty" removes the file.`,
		Example:           "  cincbake lab fill postgres-1\n  cincbake lab fill opensearch-1 --leave 50000000",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: spec.completeLab,
		RunE: func(c *cobra.Command, args []string) error {
			l, err := spec.lab()
			if err != nil {
				return err
			}
			if leave < 0 {
				return exit.Errorf(exit.Invalid, "--leave cannot be below zero")
			}
			if dryRun {
				fmt.Fprintf(c.ErrOrStderr(), "would fill the data disk of %s of lab %s, but for %d bytes\n", args[0], l.Name(), leave)
				return nil
			}
			if err := requireRoot("the lab runs machines"); err != nil {
				return err
			}
			began := time.Now()
			if err := l.FillBut(c.Context(), args[0], leave); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "fill %s: done in %.1f s; cincbake lab empty %[1]s takes it back\n", args[0], time.Since(began).Seconds())
			return nil
		},
	}
	spec.register(c)
	c.Flags().Int64Var(&leave, "leave", 0, "how many bytes are left")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be filled")
	return c
}
