package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/lab"
	"github.com/cincbake/cincbake/operate"
)

func newLabRollout() *cobra.Command {
	var (
		spec   specFlag
		folder imagesFlag
		wait   time.Duration
		dryRun bool
	)
	c := &cobra.Command{
		Use:   "rollout [ROLE...]",
		Short: "Replace every machine by the newest images, one at a time, under clients' eyes",
		Long: `Rollout boots a new machine, with an empty disk and the newest image of its role, in the place of every machine: one at a time,
and only while nothing is missing. The tiers that others rest on come first, within a tier the leader comes last: the primary
after a planned switchover. API machines are drained before they go. It ends with the first failure, and a second rollout
begins from the start: machines that are new already are replaced again.`,
		Example:           "  cincbake lab rollout --images ../newer\n  cincbake lab rollout api lb --dry-run",
		ValidArgsFunction: completeRolesOf(&spec),
		RunE: func(c *cobra.Command, args []string) error {
			l, wanted, resolved, err := spec.labOf()
			if err != nil {
				return err
			}
			roles, err := rolesOf(resolved, args)
			if err != nil {
				return err
			}
			bundle, err := loadBundle(wanted.SecretsPath(), resolved)
			if err != nil {
				return err
			}
			client, err := labClient(l, resolved, bundle)
			if err != nil {
				return err
			}
			rollout, err := rolloutOf(c.Context(), l, client, folder, roles)
			if err != nil {
				return err
			}
			p := newProgress(c.ErrOrStderr())
			rollout.Within = wait
			rollout.Heard = func(node, what string, took time.Duration) {
				p.say(node, fmt.Sprintf("%s (%.1f s)", what, took.Seconds()))
			}
			if dryRun {
				turns, err := rollout.Plan(c.Context())
				for _, turn := range turns {
					fmt.Fprintf(c.ErrOrStderr(), "would replace %s by %s%s\n", turn.Node.Name, rollout.images[turn.Node.Role].ID, turn.Prepare.Words())
				}
				return err
			}
			began := time.Now()
			if err := rollout.Run(c.Context()); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "rollout: done in %.0f s, and nothing is missing\n", time.Since(began).Seconds())
			return nil
		},
	}
	spec.register(c)
	folder.register(c)
	c.Flags().DurationVar(&wait, "wait", rolloutWait, "how long to wait after each machine until nothing is missing")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say which machines would be replaced, in which order")
	return c
}

// rolloutWait is how long nothing may be missing after each machine, unless it is said.
const rolloutWait = 5 * time.Minute

// labRollout is a rollout of a lab's machines, with the images that they get.
type labRollout struct {
	operate.Rollout
	images map[cluster.Role]images.Entry
}

// rolloutOf prepares a rollout to the newest images of some roles, or of all.
func rolloutOf(ctx context.Context, l *lab.Lab, client operate.Client, folder imagesFlag, roles []cluster.Role) (labRollout, error) {
	entries, lacking, err := imagesOf(ctx, folder, client.Cluster)
	if err != nil {
		return labRollout{}, err
	}
	if len(lacking) > 0 {
		return labRollout{}, exit.Errorf(exit.Missing, "%s holds no image of this cluster's recipe for: %s: cincbake bake %[2]s", folder.dir, strings.Join(lacking, " "))
	}
	return labRollout{
		Rollout: operate.Rollout{
			Client: client, Roles: roles, Within: rolloutWait, Heard: func(string, string, time.Duration) {},
			Replace: func(ctx context.Context, node cluster.Node) error {
				return l.ReplaceFrom(ctx, client.Cluster, node.Name, entries[node.Role], func(lab.Event) {})
			},
		},
		images: entries,
	}, nil
}
