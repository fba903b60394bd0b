package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
)

func newImagesPromote() *cobra.Command {
	var (
		folder  imagesFlag
		untried bool
	)
	c := &cobra.Command{
		Use:   "promote IMAGE CHANNEL",
		Short: "Let a channel, like stable, point to an image",
		Long: `Promote lets a channel of the image's role point to it. A channel is a name that people and templates can say instead of an
image's digits: postgres@stable. What it pointed to before stays among the images, and "images prune" spares what a channel
points to.

The image must have booted on trial, by "images verify"; otherwise promote refuses with exit code 5.`,
		Example: "  cincbake images promote postgres/0123456789ab stable\n  cincbake images promote lb@candidate stable",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			catalogue, err := folder.open()
			if err != nil {
				return err
			}
			entry, err := find(c.Context(), catalogue, args[0])
			if err != nil {
				return err
			}
			before, err := catalogue.ChannelsOf(entry)
			if err != nil {
				return err
			}
			if slices.Contains(before, args[1]) {
				fmt.Fprintf(c.OutOrStdout(), "%s@%s is %s already\n", entry.Record.Role, args[1], entry.ID)
				return nil
			}
			was, err := catalogue.Channel(entry.Record.Role, args[1])
			if err != nil && !errors.Is(err, images.ErrNotFound) {
				return err
			}
			if entry, err = catalogue.Promote(c.Context(), entry.ID, args[1], untried); err != nil {
				if errors.Is(err, images.ErrUntried) {
					return exit.As(exit.Unsafe, err)
				}
				return exit.As(exit.Invalid, err)
			}
			fmt.Fprintf(c.OutOrStdout(), "%s@%s is %s", entry.Record.Role, args[1], entry.ID)
			if was.ID != "" {
				fmt.Fprintf(c.OutOrStdout(), ", and was %s", was.ID)
			}
			fmt.Fprintln(c.OutOrStdout())
			return nil
		},
		ValidArgsFunction: folder.complete,
	}
	folder.register(c)
	c.Flags().BoolVar(&untried, "untried", false, "promote an image that never booted on trial, such as one that is a disk alone")
	return c
}
