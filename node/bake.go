package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/roles"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Bake turns a base system into the recipe's image, one line per step.
func (a Agent) Bake(ctx context.Context, recipe cluster.Recipe) error {
	plan, err := BakePlan(recipe)
	if err != nil {
		return err
	}
	_, err = plan.Apply(ctx, a.Host, a.tell)
	return err
}

// BakePlan returns everything that a bake does, for the agent and for those who want to read it first.
func BakePlan(recipe cluster.Recipe) (step.Plan, error) {
	r, err := roles.Of(recipe.Role)
	if err != nil {
		return nil, err
	}
	return r.Bake(recipe)
}

func (a Agent) tell(e step.Event) {
	result := "unchanged"
	switch {
	case e.Err != nil:
		result = "failed"
	case e.Changed:
		result = "done"
	}
	fmt.Fprintf(a.Out, "[%2d/%d] %6.2f s  %-9s  %s\n", e.Number, e.Of, e.Took.Seconds(), result, e.Step.Title) //nolint:errcheck // progress only
}

// Verify runs every check of a sealed image and names each that fails.
func (a Agent) Verify(ctx context.Context, recipe cluster.Recipe) error {
	r, err := roles.Of(recipe.Role)
	if err != nil {
		return err
	}
	checks := r.Verify(recipe)
	var failures []error
	for _, check := range checks {
		if err := check.Run(ctx, a.Host); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w (%s)", check.Name, err, check.Why))
		}
	}
	if len(failures) > 0 {
		return fmt.Errorf("%d of %d checks failed:\n%w", len(failures), len(checks), errors.Join(failures...))
	}
	fmt.Fprintf(a.Out, "%d checks passed\n", len(checks)) //nolint:errcheck // progress only
	return nil
}

// Seal makes the baked machine an image, verifies it, and says what it is.
func (a Agent) Seal(ctx context.Context, recipe cluster.Recipe, version string) (images.Report, error) {
	report := images.Report{Recipe: recipe, AgentVersion: version, DocumentFormat: cloudinit.DocumentFormat}
	timed := func(name string, run func() error) error {
		began := time.Now()
		err := run()
		report.Phases = append(report.Phases, cluster.Phase{Name: name, Seconds: seconds(time.Since(began))})
		return err
	}
	if err := timed("seal", func() error { return a.seal(ctx, recipe) }); err != nil {
		return report, err
	}
	if err := timed("verify", func() error { return a.Verify(ctx, recipe) }); err != nil {
		return report, err
	}
	err := timed("digest", func() (err error) {
		if report.Packages, err = a.packages(ctx); err != nil {
			return err
		}
		report.ContentDigest, err = images.Digest("/")
		return err
	})
	if err != nil {
		return report, err
	}
	return report, a.write(role.ContentDigestFile, []byte(report.ContentDigest+"\n"))
}

func (a Agent) seal(ctx context.Context, recipe cluster.Recipe) error {
	text, err := json.Marshal(recipe)
	if err != nil {
		return err
	}
	if err := a.write(role.RecipeFile, append(text, '\n')); err != nil {
		return err
	}
	_, err = base.Seal().Apply(ctx, a.Host, nil)
	return err
}

func (a Agent) write(at string, content []byte) error {
	file := step.Step{Action: step.File{Path: at, Mode: 0o644, Content: content}, Title: "Write " + path.Base(at), Reason: "the image says what it is"}
	_, err := step.Plan{file}.Apply(context.Background(), a.Host, nil)
	return err
}

// packages asks dpkg what is installed.
func (a Agent) packages(ctx context.Context) ([]images.Package, error) {
	out, err := a.Host.Run(ctx, step.Command{Argv: []string{"dpkg-query", "--show", "--showformat=${Package} ${Version} ${Architecture} ${db:Status-Abbrev}\n"}})
	if err != nil {
		return nil, err
	}
	var list []images.Package
	for row := range strings.Lines(string(out.Stdout)) {
		fields := strings.Fields(row)
		if len(fields) == 4 && fields[3] == "ii" {
			list = append(list, images.Package{Name: fields[0], Version: fields[1], Arch: fields[2]})
		}
	}
	return list, nil
}
