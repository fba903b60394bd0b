package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
)

func newImagesPromote() *cobra.Command {
	var (
		folder  shelfFlag
		work    workFlag
		untried bool
	)
	c := &cobra.Command{
		Use:   "promote IMAGE CHANNEL",
		Short: "Let a channel, like stable, point to an image",
		Long: `Promote lets a channel of the image's role point to it. A channel is a name that people and templates can say instead of an
image's digits: postgres@stable. What it pointed to before stays among the images, and "images prune" spares what a channel
points to.

With --images ec2 a channel is a parameter in each region, /cincbake/CLUSTER/ROLE/CHANNEL, that holds the AMI's id. The image must
be in all of the regions. Once its channel points to it, an AMI is protected from being deregistered.

The image must have booted on trial, by "images verify"; otherwise promote refuses with exit code 5.`,
		Example: "  cincbake images promote postgres/0123456789ab stable\n  cincbake images promote lb@candidate stable --images ec2 --regions eu-west-1,eu-central-1",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			aws, err := folder.onAWS(c)
			if err != nil {
				return err
			}
			if aws {
				catalogue, err := folder.ec2.open(c.Context())
				if err != nil {
					return err
				}
				image, todo, err := catalogue.Promote(c.Context(), args[0], args[1], untried)
				if err != nil {
					return coded(err)
				}
				return work.do(c, image.ID, todo)
			}
			catalogue, err := folder.open()
			if err != nil {
				return err
			}
			entry, err := find(c.Context(), catalogue, args[0])
			if err != nil {
				return err
			}
			result := promoted{Role: entry.Record.Role, Channel: args[1], Image: entry.ID, DryRun: work.dryRun}
			before, err := catalogue.ChannelsOf(entry)
			if err != nil {
				return err
			}
			if slices.Contains(before, args[1]) {
				result.Was = entry.ID
				return result.print(c, work.output.json())
			}
			was, err := catalogue.Channel(entry.Record.Role, args[1])
			if err != nil && !errors.Is(err, images.ErrNotFound) {
				return err
			}
			result.Was = was.ID
			if work.dryRun {
				err = errors.Join(images.CheckChannel(args[1]), entry.Promotable(untried))
			} else {
				_, err = catalogue.Promote(c.Context(), entry.ID, args[1], untried)
			}
			switch {
			case errors.Is(err, images.ErrUntried):
				return exit.As(exit.Unsafe, err)
			case err != nil:
				return exit.As(exit.Invalid, err)
			}
			return result.print(c, work.output.json())
		},
		ValidArgsFunction: folder.complete,
	}
	folder.register(c)
	work.register(c)
	c.Flags().BoolVar(&untried, "untried", false, "promote an image that never booted on trial, such as one that is a disk alone")
	return c
}

// promoted is what `images promote -o json` prints of a folder.
type promoted struct {
	Role    cluster.Role `json:"role"`
	Channel string       `json:"channel"`
	Image   string       `json:"image"`
	Was     string       `json:"was,omitempty"` // the image that the channel pointed to; the same one: nothing was to be done
	DryRun  bool         `json:"dryRun"`
}

func (p promoted) print(c *cobra.Command, asJSON bool) error {
	if asJSON {
		return printJSON(c.OutOrStdout(), p)
	}
	text := fmt.Sprintf("%s@%s is %s", p.Role, p.Channel, p.Image)
	switch {
	case p.Was == p.Image:
		text += " already"
	case p.Was != "":
		text += ", and was " + p.Was
	}
	if p.DryRun && p.Was != p.Image {
		text = "would do: " + text
	}
	_, err := fmt.Fprintln(c.OutOrStdout(), text)
	return err
}
