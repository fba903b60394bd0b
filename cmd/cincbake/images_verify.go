package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/lab/trial"
)

func newImagesVerify() *cobra.Command {
	var (
		folder imagesFlag
		output outputFlag
	)
	c := &cobra.Command{
		Use:   "verify IMAGE…",
		Short: "Boot an image on trial, and compare it with its record",
		Long: `Verify takes the finished image, not the machine that it was made on. It compares every file with the record, unpacks the
tree and compares its content digest, lets the image's own agent look for what no image may hold (keys, passwords, histories,
services that start by themselves and more), and then boots two machines over it at once: everything must start, nothing may
listen but ssh, and the two must not share an id or a host key. At last it compares the content digest again. Everything is
thrown away, and the record says when the image booted, which "images promote" asks for.

It needs root and systemd-nspawn. Exit code 1 names every check that failed.`,
		Example: "  cincbake images verify postgres/0123456789ab\n  cincbake images verify lb@candidate -o json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			catalogue, err := folder.open()
			if err != nil {
				return err
			}
			if err := requireTrial(); err != nil {
				return err
			}
			results := []trial.Result{}
			var failed []error
			board := newProgress(c.ErrOrStderr())
			for _, name := range args {
				entry, err := find(c.Context(), catalogue, name)
				if err != nil {
					return err
				}
				result, err := trial.Run(c.Context(), entry, func(phase string, took time.Duration) {
					board.say(entry.ID, fmt.Sprintf("%s: %.1f s", phase, took.Seconds()))
				})
				if err != nil {
					return err
				}
				results = append(results, result)
				if len(result.Failures) > 0 {
					failed = append(failed, fmt.Errorf("%s: %d checks failed:\n  %s", entry.ID, len(result.Failures), strings.Join(result.Failures, "\n  ")))
				}
				if result.Booted {
					if _, err := catalogue.SetBooted(c.Context(), entry, time.Now()); err != nil {
						return err
					}
				}
			}
			if output.json() {
				if err := printJSON(c.OutOrStdout(), results); err != nil {
					return err
				}
				return errors.Join(failed...)
			}
			for _, result := range results {
				for _, untried := range result.Untried {
					fmt.Fprintf(c.OutOrStdout(), "%s: not tried: %s\n", result.Image, untried)
				}
				if result.Booted {
					fmt.Fprintf(c.OutOrStdout(), "%s booted, and is what its record says\n", result.Image)
				}
			}
			return errors.Join(failed...)
		},
		ValidArgsFunction: folder.complete,
	}
	folder.register(c)
	output.register(c)
	return c
}

// requireTrial tells what a trial would miss on this host.
func requireTrial() error {
	problems := []error{requireRoot("an image on trial boots in a machine of its own")}
	if _, err := exec.LookPath("systemd-nspawn"); err != nil {
		problems = append(problems, errors.New("systemd-nspawn is missing: apt-get install systemd-container"))
	}
	return exit.As(exit.Missing, errors.Join(problems...))
}
