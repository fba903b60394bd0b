package base

import (
	"context"
	_ "embed" // a key
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/step"
)

const (
	policyFile = "/usr/sbin/policy-rc.d"
	// siteConf and siteCA are of the place where the machine is baked, and are gone from the image.
	siteConf = "/etc/apt/apt.conf.d/99cincbake-site"
	siteCA   = "/etc/apt/cincbake-site.pem"
	// sourcesFile names every suite that the image's packages are from.
	sourcesFile = "/etc/apt/sources.list.d/cincbake.sources"
)

// Open returns the steps that make a machine ready for its bake at a site. They come before the role's own and leave
// nothing of the site behind once the machine is sealed, so that two sites make the same image.
func Open(recipe cluster.Recipe, site cluster.Site) (step.Plan, error) {
	if err := site.Validate(); err != nil {
		return nil, err
	}
	sources, err := sources(recipe, site)
	if err != nil {
		return nil, err
	}
	plan := step.Plan{
		{
			Title:  "Keep services still",
			Reason: "packages start their services on installation; an image must never have run them",
			Action: step.File{Path: policyFile, Mode: 0o755, Content: []byte("#!/bin/sh\nexit 101\n")},
		},
	}
	if site.CACertificates != "" {
		plan = append(plan, step.Step{
			Title:  "Trust the site's certificate authorities",
			Reason: "mirror, proxy or package server are signed by one of them; apt alone trusts it, and only while baking",
			Action: withSystemCA{site.CACertificates},
		})
	}
	plan = append(plan,
		step.Step{
			Title:  "Tell apt about the site",
			Reason: "the way to its mirror; another program's lock and a network that stumbles are waited for",
			Action: step.File{Path: siteConf, Mode: 0o644, Content: aptConf(site)},
		},
		step.Step{
			Title:  "Forget the base system's package sources",
			Reason: "a cloud image has a mirror of its own",
			Action: otherSources{},
		},
	)
	plan = append(plan, keyrings(recipe)...)
	plan = append(plan,
		step.Step{
			Title:  "Name the package sources",
			Reason: "the system's suites, and those of the recipe, at this site",
			Action: step.File{Path: sourcesFile, Mode: 0o644, Content: sources},
		},
	)
	if site.Offline {
		return plan, nil
	}
	return append(plan, step.Step{
		Title:  "Read the package lists",
		Reason: "versions come from the mirror as it is today",
		Action: step.Exec{Command: step.Command{Argv: []string{"apt-get", "update", "--quiet", "--error-on=any"}}},
	}), nil
}

// pgdg is the key of PostgreSQL's archive, B97B0AFCAA1A47F044F244A07FCC7D46ACCC4CF8, as Debian's postgresql-common carries it.
//
//go:embed pgdg.asc
var pgdg []byte

// keyrings returns the steps that put the keys in place which Debian does not bring itself.
func keyrings(recipe cluster.Recipe) step.Plan {
	if recipe.PostgresVersion == 0 {
		return nil
	}
	source, err := cluster.PostgresFor(recipe.OS, recipe.PostgresVersion)
	if err != nil || !slices.ContainsFunc(source.Suites, func(s cluster.Suite) bool { return s.Archive == cluster.ArchivePGDG }) {
		return nil // sources has told the error
	}
	return step.Plan{{
		Title:  "Put the key of PostgreSQL's archive in place",
		Reason: "what is signed with it may come from there, and from nowhere else",
		Action: step.File{Path: cluster.ArchivePGDG.Keyring(), Mode: 0o644, Content: pgdg},
	}}
}

// sources is apt's list of every suite that the recipe's packages come from.
func sources(recipe cluster.Recipe, site cluster.Site) ([]byte, error) {
	os, err := cluster.OSFor(recipe.OS)
	if err != nil {
		return nil, err
	}
	suites := os.Suites
	if recipe.PostgresVersion != 0 {
		database, err := cluster.PostgresFor(recipe.OS, recipe.PostgresVersion)
		if err != nil {
			return nil, err
		}
		suites = append(suites, database.Suites...)
	}
	var b strings.Builder
	for i, suite := range suites {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\nSigned-By: %s\n",
			site.URI(suite.Archive), suite.Name, strings.Join(suite.Components, " "), suite.Archive.Keyring())
	}
	return []byte(b.String()), nil
}

// aptConf is apt's configuration at a site.
func aptConf(site cluster.Site) []byte {
	var b strings.Builder
	set := func(name, value string) { fmt.Fprintf(&b, "%s %q;\n", name, value) }
	set("Acquire::Retries", "5")
	set("DPkg::Lock::Timeout", "600") // a cloud image's own updates, in seconds
	if site.Proxy != "" {
		set("Acquire::http::Proxy", site.Proxy)
		set("Acquire::https::Proxy", site.Proxy)
	}
	if site.CACertificates != "" {
		set("Acquire::https::CAInfo", siteCA)
	}
	if site.Snapshot != "" || site.Offline {
		set("Acquire::Check-Valid-Until", "false") // lists of the past say that they are
	}
	return []byte(b.String())
}

// withSystemCA writes the certificate authorities that apt trusts at a site: what it is given takes the place of the
// system's own.
type withSystemCA struct{ certificates string }

var _ step.Action = withSystemCA{}

func (w withSystemCA) file(run *step.Run) (step.File, error) {
	system, err := run.Read(SystemCAFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return step.File{}, err
	}
	return step.File{Path: siteCA, Mode: 0o644, Content: append(system.Content, w.certificates...)}, nil
}

func (w withSystemCA) Check(ctx context.Context, run *step.Run) (bool, error) {
	file, err := w.file(run)
	if err != nil {
		return false, err
	}
	return file.Check(ctx, run)
}

func (w withSystemCA) Apply(ctx context.Context, run *step.Run) error {
	file, err := w.file(run)
	if err != nil {
		return err
	}
	return file.Apply(ctx, run)
}

func (withSystemCA) String() string {
	return "write " + siteCA + " (0644): the system's authorities and the site's"
}

// otherSources removes every package source but our own.
type otherSources struct{}

var _ step.Action = otherSources{}

func (otherSources) found(run *step.Run) ([]string, error) {
	var found []string
	for _, dir := range []string{"/etc/apt/sources.list.d", "/etc/apt/mirrors"} {
		names, err := run.List(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, name := range names {
			if file := path.Join(dir, name); file != sourcesFile {
				found = append(found, file)
			}
		}
	}
	_, err := run.Read("/etc/apt/sources.list")
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	return append(found, "/etc/apt/sources.list"), err
}

func (o otherSources) Check(_ context.Context, run *step.Run) (bool, error) {
	found, err := o.found(run)
	return len(found) == 0, err
}

func (o otherSources) Apply(_ context.Context, run *step.Run) error {
	found, err := o.found(run)
	if err != nil {
		return err
	}
	for _, file := range found {
		if err := run.Remove(file); err != nil {
			return err
		}
	}
	return nil
}

func (otherSources) String() string {
	return "remove /etc/apt/sources.list and all of /etc/apt/sources.list.d but " + path.Base(sourcesFile)
}
