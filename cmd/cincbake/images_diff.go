package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
)

func newImagesDiff() *cobra.Command {
	var (
		folder shelfFlag
		output outputFlag
		code   bool
	)
	c := &cobra.Command{
		Use:   "diff BEFORE AFTER",
		Short: "Tell which packages and files two images differ in",
		Long: `Diff compares two images: what their records say, every installed package, and every path by kind, mode, owner and content.
What each boot makes anew, such as host keys, is in no image and does not count. Name images as list does, or by a channel.`,
		Example: "  cincbake images diff postgres@stable postgres/0123456789ab\n  cincbake images diff lb@stable lb@candidate --images ec2 -o json",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			pair, clean, err := folder.pair(c, args)
			if err != nil {
				return err
			}
			defer clean()
			difference, err := images.Compare(pair[0], pair[1])
			if err != nil {
				return err
			}
			if output.json() {
				err = printJSON(c.OutOrStdout(), difference)
			} else {
				err = printDifference(c.OutOrStdout(), pair, difference)
			}
			if err == nil && code && !difference.Equal() {
				return exit.Errorf(exit.Failed, "%s and %s differ", pair[0].ID, pair[1].ID)
			}
			return err
		},
		ValidArgsFunction: folder.complete,
	}
	folder.register(c)
	output.register(c)
	c.Flags().BoolVar(&code, "exit-code", false, "end with 1 when they differ")
	return c
}

// pair returns two images; clean takes away what was fetched for it.
func (f *shelfFlag) pair(c *cobra.Command, names []string) (pair [2]images.Entry, clean func(), err error) {
	clean = func() {}
	aws, err := f.onAWS(c)
	if err != nil {
		return pair, clean, err
	}
	if !aws {
		catalogue, err := f.open()
		if err != nil {
			return pair, clean, err
		}
		for n, name := range names {
			if pair[n], err = find(c.Context(), catalogue, name); err != nil {
				return pair, clean, err
			}
		}
		return pair, clean, nil
	}
	catalogue, err := f.ec2.open(c.Context())
	if err != nil {
		return pair, clean, err
	}
	dir, err := os.MkdirTemp("", "cincbake-diff-")
	if err != nil {
		return pair, clean, err
	}
	if pair, err = fetchEC2(c.Context(), catalogue, dir, names); err != nil {
		return pair, clean, errors.Join(coded(err), os.RemoveAll(dir))
	}
	return pair, func() { _ = os.RemoveAll(dir) }, nil
}

func printDifference(w io.Writer, pair [2]images.Entry, d images.Difference) error {
	if d.Equal() {
		_, err := fmt.Fprintf(w, "%s and %s hold the same\n", pair[0].ID, pair[1].ID)
		return err
	}
	for _, part := range []struct {
		title   string
		changes []images.Change
	}{{"RECORD", d.Facts}, {"PACKAGES", d.Packages}, {"FILES", d.Files}} {
		if len(part.changes) == 0 {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s: %d\n", part.title, len(part.changes)); err != nil {
			return err
		}
		for _, change := range part.changes {
			var err error
			switch {
			case change.Before == "":
				_, err = fmt.Fprintf(w, "  + %s  %s\n", change.Name, change.After)
			case change.After == "":
				_, err = fmt.Fprintf(w, "  - %s  %s\n", change.Name, change.Before)
			default:
				_, err = fmt.Fprintf(w, "  ~ %s  %s → %s\n", change.Name, change.Before, change.After)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
