package main

import (
	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/images"
)

func newImagesPush() *cobra.Command {
	var (
		folder imagesFlag
		shelf  ec2Flag
		work   workFlag
	)
	c := &cobra.Command{
		Use:   "push IMAGE…",
		Short: "Bring an image that was baked as an AMI into the catalogue on AWS",
		Long: `Push takes images of the folder that were baked as AMIs. It writes each one's record, bill of materials and manifest into the
bucket, tags the AMI and its snapshots in every region where it is, and marks it as recorded at last. Only then is it an image
of the catalogue, which "images list --images ec2" shows.

What is there already is left alone. Pushing again completes what was stopped halfway, and brings along when an image has
booted on trial since.`,
		Example: "  cincbake images push postgres/0123456789ab\n  cincbake images push postgres@candidate --dry-run",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			local, err := folder.open()
			if err != nil {
				return err
			}
			for _, name := range args {
				entry, err := find(c.Context(), local, name)
				if err != nil {
					return err
				}
				catalogue, err := shelf.open(c.Context(), regionsOf(entry.Record)...)
				if err != nil {
					return err
				}
				todo, err := catalogue.Push(c.Context(), entry)
				if err != nil {
					return coded(err)
				}
				if err := work.do(c, entry.ID, todo); err != nil {
					return err
				}
			}
			return nil
		},
		ValidArgsFunction: folder.complete,
	}
	folder.register(c)
	shelf.register(c)
	work.register(c)
	return c
}

// regionsOf are those where an image was baked as an AMI.
func regionsOf(r images.Record) []string {
	var names []string
	for _, a := range r.Artefacts {
		if a.Kind == images.KindAMI {
			names = append(names, a.Region)
		}
	}
	return names
}
