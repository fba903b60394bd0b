package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/images/ec2"
	"github.com/cincbake/cincbake/internal/exit"
)

func newImagesCopy() *cobra.Command {
	var (
		shelf ec2Flag
		work  workFlag
		to    []string
		share []string
	)
	c := &cobra.Command{
		Use:   "copy IMAGE",
		Short: "Bring an image of AWS to other regions, and let other accounts launch it",
		Long: `Copy brings an image to the regions of --to, with its tags, encrypted there with the key that follows the region's name. It
waits until each copy can be used, lets the accounts and organizations of --share launch it, and records it. A region that
has the image is given what it lacks, and a copy that is under way is waited for: run it again when it was stopped.

What the account's default key encrypts cannot be shared: give each region a key of your own, whose policy lets the others use
it.`,
		Example: "  cincbake images copy postgres/0123456789ab --to eu-central-1=alias/cincbake,us-east-1=alias/cincbake\n" +
			"  cincbake images copy lb@stable --to eu-west-1 --share 111122223333",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var targets []ec2.Target
			var regions []string
			for _, one := range to {
				region, key, _ := strings.Cut(one, "=")
				targets = append(targets, ec2.Target{Region: region, Key: key})
				regions = append(regions, region)
			}
			if len(targets) == 0 {
				return exit.Errorf(exit.Invalid, "where to? Give --to REGION or --to REGION=KEY")
			}
			sharers := make([]ec2.Sharer, len(share))
			for n, who := range share {
				sharers[n] = ec2.Sharer(who)
			}
			catalogue, err := shelf.open(c.Context(), regions...)
			if err != nil {
				return err
			}
			image, todo, err := catalogue.Copy(c.Context(), args[0], targets, sharers)
			if err != nil {
				return coded(err)
			}
			return work.do(c, image.ID, todo)
		},
		ValidArgsFunction: shelf.complete,
	}
	shelf.register(c)
	work.register(c)
	c.Flags().StringSliceVar(&to, "to", nil, "regions, each with its key perhaps: REGION=KEY")
	c.Flags().StringSliceVar(&share, "share", nil, "who may launch it there: an account's number, or the ARN of an organization or a unit of one")
	for _, name := range []string{"to", "share"} {
		_ = c.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return c
}
