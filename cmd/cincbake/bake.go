package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/internal/packer"
)

// baked is a row of `bake -o json`.
type baked struct {
	Role          cluster.Role `json:"role"`
	Image         string       `json:"image"`
	ContentDigest string       `json:"contentDigest"`
	Seconds       float64      `json:"seconds"`

	record images.Record
}

func newBake() *cobra.Command {
	var (
		spec           specFlag
		folder         imagesFlag
		output         outputFlag
		path, template string
		dryRun         bool
	)
	c := &cobra.Command{
		Use:   "bake [ROLE…]",
		Short: "Bake the images of a cluster with packer build",
		Long: `Bake runs packer build for every role of the cluster, or for those that are named, at the same time. Each image is verified
and sealed before it appears among the images. What Packer says is kept in a log per role, beside the images.

It needs root, Packer with the cincbake plugin, mmdebstrap and systemd-nspawn, and ends with exit code 3 when one is missing.`,
		Example: "  cincbake bake\n  cincbake bake postgres --packer ./packer\n  cincbake bake --dry-run",
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			_, resolved, err := spec.load()
			if err != nil {
				return err
			}
			roles, err := rolesOf(resolved, args)
			if err != nil {
				return err
			}
			if err := bakeable(resolved, roles); err != nil {
				return err
			}
			if _, err := os.Stat(template); err != nil {
				return exit.Errorf(exit.Missing, "the Packer template: %w: cincbake init writes one", err)
			}
			catalogue, err := folder.open()
			if err != nil {
				return err
			}
			builds := buildsOf(roles, template, spec.path, folder.dir)
			if dryRun {
				for _, b := range builds {
					fmt.Fprintln(c.OutOrStdout(), b.Command(packer.Packer{Path: "packer"}))
				}
				return nil
			}
			tool, err := bakery(c.Context(), path)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Join(folder.dir, "logs"), 0o755); err != nil {
				return err
			}
			took, err := bake(c.Context(), tool, builds, newProgress(c.ErrOrStderr()))
			if err != nil {
				return err
			}
			summary, err := summarise(c.Context(), catalogue, resolved, roles, took)
			if err != nil {
				return err
			}
			return printBaked(c, output, summary)
		},
	}
	spec.register(c)
	folder.register(c)
	output.register(c)
	c.Flags().StringVar(&path, "packer", "", "the Packer to run (default: the one on the PATH)")
	c.Flags().StringVar(&template, "template", defaultTemplate, "the Packer template")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "print the commands, and run none")
	return c
}

// bakeable refuses what a bake could not end well with, before Packer starts.
func bakeable(r *cluster.Resolved, roles []cluster.Role) error {
	var problems []error
	for _, role := range roles {
		recipe := r.Recipe(role)
		if err := recipe.Complete(); err != nil {
			problems = append(problems, err)
		} else if recipe.Package.Digest != "" && recipe.Package.URL == "" {
			problems = append(problems, fmt.Errorf("%s: this release does not carry a package file into a bake yet; serve it over http and give its url and digest", recipe))
		}
	}
	return exit.As(exit.Invalid, errors.Join(problems...))
}

// rolesOf returns the roles to work on: those named, each of which the cluster must have, or all that it has.
func rolesOf(r *cluster.Resolved, names []string) ([]cluster.Role, error) {
	var roles []cluster.Role
	for _, role := range cluster.Roles() {
		if len(r.NodesOf(role)) > 0 {
			roles = append(roles, role)
		}
	}
	if len(names) == 0 {
		return roles, nil
	}
	var wanted []cluster.Role
	for _, name := range names {
		role := cluster.Role(name)
		switch {
		case !slices.Contains(roles, role):
			return nil, exit.Errorf(exit.Invalid, "cluster %s has no machines of role %q, only of %v", r.Name, name, roles)
		case !slices.Contains(wanted, role):
			wanted = append(wanted, role)
		}
	}
	return wanted, nil
}

// buildsOf returns a run of Packer for each role.
func buildsOf(roles []cluster.Role, template, spec, images string) []packer.Build {
	builds := make([]packer.Build, len(roles))
	for i, role := range roles {
		builds[i] = packer.Build{
			Template: template,
			Only:     packer.SourceOf(string(role)),
			Vars:     map[string]string{"spec": spec, "images": images},
			Log:      filepath.Join(images, "logs", string(role)+".log"),
		}
	}
	return builds
}

// bakery finds all that a bake needs before any of it starts.
func bakery(ctx context.Context, path string) (packer.Packer, error) {
	if err := requireBakery(); err != nil {
		return packer.Packer{}, err
	}
	tool, err := packer.Find(path)
	if err != nil {
		return tool, err
	}
	return tool, tool.RequirePlugin(ctx)
}

// bake runs the builds at the same time and returns how long each took. One that fails does not stop the others.
func bake(ctx context.Context, tool packer.Packer, builds []packer.Build, p *progress) ([]time.Duration, error) {
	var (
		baking sync.WaitGroup
		took   = make([]time.Duration, len(builds))
		failed = make([]error, len(builds))
	)
	for i, b := range builds {
		_, role, _ := strings.Cut(b.Only, ".")
		baking.Go(func() {
			began := time.Now()
			err := tool.Build(ctx, b, func(step string) { p.say(role, step) })
			took[i] = time.Since(began)
			if err != nil {
				failed[i] = fmt.Errorf("%s: %w", role, err)
				p.say(role, "failed")
				return
			}
			p.say(role, "baked")
		})
	}
	baking.Wait()
	return took, errors.Join(failed...)
}

// summarise looks up what was baked: what the catalogue has is what counts, not what Packer said.
func summarise(ctx context.Context, catalogue *images.Catalogue, r *cluster.Resolved, roles []cluster.Role, took []time.Duration) ([]baked, error) {
	summary := make([]baked, len(roles))
	for i, role := range roles {
		entry, err := catalogue.Find(ctx, role, r.Recipe(role).Digest())
		if err != nil {
			return nil, fmt.Errorf("packer build went well, but its image is not there: %w", err)
		}
		summary[i] = baked{role, entry.ID, entry.Record.ContentDigest, took[i].Seconds(), entry.Record}
	}
	return summary, nil
}

func printBaked(c *cobra.Command, output outputFlag, summary []baked) error {
	if output.json() {
		return printJSON(c.OutOrStdout(), summary)
	}
	var rows [][]string
	for _, b := range summary {
		rows = append(rows, []string{b.Image, contents(b.record), megabytes(b.record.Artefacts[0].Bytes), fmt.Sprintf("%.1f s", b.Seconds)})
	}
	return printTable(c.OutOrStdout(), []string{"IMAGE", "HOLDS", "SIZE", "TOOK"}, rows)
}
