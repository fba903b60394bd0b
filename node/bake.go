package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
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

// Bake turns a base system into the recipe's image, one line per step. What it took is kept for Seal's report.
func (a Agent) Bake(ctx context.Context, recipe cluster.Recipe, site cluster.Site) error {
	open, plan, err := roles.Bake(recipe, site)
	if err != nil {
		return err
	}
	var spent timings
	for _, part := range []struct {
		name string
		plan step.Plan
	}{{"open", open}, {"bake", plan}} {
		err := spent.time(part.name, func() error {
			_, err := part.plan.Apply(ctx, a.Host, a.tell)
			return err
		})
		if err != nil {
			return err
		}
	}
	text, err := json.Marshal(spent)
	if err != nil {
		return err
	}
	return a.write(phasesFile, text)
}

// phasesFile keeps what the bake took until the machine is sealed, which empties its directory.
const phasesFile = "/var/tmp/cincbake-phases.json"

// timings are what the parts of a bake took.
type timings []cluster.Phase

func (p *timings) time(name string, run func() error) error {
	began := time.Now()
	err := run()
	*p = append(*p, cluster.Phase{Name: name, Seconds: seconds(time.Since(began))})
	return err
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

// Verify runs every check of a sealed image and names each that fails. With a lock, what is installed must be what it says.
func (a Agent) Verify(ctx context.Context, recipe cluster.Recipe, lock *cluster.LockedImage) error {
	r, err := roles.Of(recipe.Role)
	if err != nil {
		return err
	}
	checks := r.Verify(recipe)
	if lock != nil {
		checks = append(checks, role.Check{Name: "package-lock", Why: "the image would not be what was locked", Run: func(ctx context.Context, _ step.Host) error {
			installed, err := a.packages(ctx)
			if err != nil {
				return err
			}
			return images.CompareLock(*lock, recipe, installed)
		}})
	}
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

// Seal makes the baked machine an image, verifies it, and says what it is: the report, and what its content digest is over.
func (a Agent) Seal(ctx context.Context, recipe cluster.Recipe, lock *cluster.LockedImage, version string) (report images.Report, manifest []string, err error) {
	report = images.Report{Recipe: recipe, AgentVersion: version, DocumentFormat: cloudinit.DocumentFormat}
	spent, err := a.spentBaking()
	if err != nil {
		return report, nil, err
	}
	if err := spent.time("seal", func() error { return a.seal(ctx, recipe) }); err != nil {
		return report, nil, err
	}
	if err := spent.time("verify", func() error { return a.Verify(ctx, recipe, lock) }); err != nil {
		return report, nil, err
	}
	err = spent.time("digest", func() (err error) {
		if report.Packages, err = a.packages(ctx); err != nil {
			return err
		}
		manifest, err = images.Manifest("/")
		report.ContentDigest = images.DigestOf(manifest)
		return err
	})
	if err != nil {
		return report, nil, err
	}
	report.Phases = spent
	return report, manifest, a.write(role.ContentDigestFile, []byte(report.ContentDigest+"\n"))
}

// spentBaking is what Bake left; a machine that was baked otherwise has none.
func (a Agent) spentBaking() (timings, error) {
	entry, err := a.Host.Read(phasesFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var spent timings
	return spent, json.Unmarshal(entry.Content, &spent)
}

func (a Agent) seal(ctx context.Context, recipe cluster.Recipe) error {
	text, err := json.Marshal(recipe)
	if err != nil {
		return err
	}
	if err := a.write(role.RecipeFile, append(text, '\n')); err != nil {
		return err
	}
	plan, err := base.Seal(recipe)
	if err != nil {
		return err
	}
	_, err = plan.Apply(ctx, a.Host, nil)
	return err
}

func (a Agent) write(at string, content []byte) error {
	file := step.Step{Action: step.File{Path: at, Mode: 0o644, Content: content}, Title: "Write " + path.Base(at), Reason: "the image says what it is"}
	_, err := step.Plan{file}.Apply(context.Background(), a.Host, nil)
	return err
}

// packages asks dpkg what is installed.
func (a Agent) packages(ctx context.Context) ([]images.Package, error) {
	const form = "${db:Status-Abbrev} ${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n"
	out, err := a.Host.Run(ctx, step.Command{Argv: []string{"dpkg-query", "--show", "--showformat=" + form}})
	if err != nil {
		return nil, err
	}
	var list []images.Package
	for row := range strings.Lines(string(out.Stdout)) {
		fields := strings.Fields(row)
		if len(fields) != 6 || fields[0] != "ii" {
			continue
		}
		p := images.Package{Name: fields[1], Version: fields[2], Arch: fields[3]}
		if source, version := fields[4], fields[5]; source != p.Name || version != p.Version {
			p.Source, p.SourceVersion = source, version
		}
		list = append(list, p)
	}
	return list, nil
}
