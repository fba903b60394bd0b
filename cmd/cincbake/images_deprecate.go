package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/internal/exit"
)

func newImagesDeprecate() *cobra.Command {
	var (
		shelf ec2Flag
		work  workFlag
		at    string
	)
	c := &cobra.Command{
		Use:   "deprecate IMAGE",
		Short: "Let AWS hide an image from other accounts from a day on",
		Long: `Deprecate gives an image its last day, in every region where it is. From then on other accounts do not find it any more;
whoever knows its id still launches from it, and so does every launch template that holds it. Nothing is removed.`,
		Example: "  cincbake images deprecate postgres/0123456789ab --at 2027-06-01\n  cincbake images deprecate lb@stable --at 2027-06-01T12:00:00Z",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			when, err := time.Parse(time.DateOnly, at)
			if err != nil {
				when, err = time.Parse(time.RFC3339, at)
			}
			if err != nil {
				return exit.Errorf(exit.Invalid, "--at: %q is no day, like 2027-06-01, and no moment, like 2027-06-01T12:00:00Z", at)
			}
			catalogue, err := shelf.open(c.Context())
			if err != nil {
				return err
			}
			image, todo, err := catalogue.Deprecate(c.Context(), args[0], when)
			if err != nil {
				return coded(err)
			}
			return work.do(c, image.ID, todo)
		},
		ValidArgsFunction: shelf.complete,
	}
	shelf.register(c)
	work.register(c)
	c.Flags().StringVar(&at, "at", "", "the day or the moment, in UTC")
	_ = c.MarkFlagRequired("at")
	_ = c.RegisterFlagCompletionFunc("at", cobra.NoFileCompletions)
	return c
}
