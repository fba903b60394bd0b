package base

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/step"
)

// packageDir is where packages from outside the distribution lie while baking. Nothing of it stays in the image.
const packageDir = "/var/cache/cincbake/packages"

// PackageFile is where a bake looks for a package from outside the distribution before it fetches it. Whoever bakes puts
// the user's file there.
func PackageFile(p cluster.RecipePackage) string {
	_, digest, _ := strings.Cut(p.Digest, ":")
	return packageDir + "/" + digest + ".deb"
}

// Deb is a Debian package from outside the distribution that must be installed. Its bytes are checked in the machine, right
// before they are used.
type Deb struct {
	Name    string
	Package cluster.RecipePackage
}

var _ step.Action = Deb{}

// Check asks dpkg for the version.
func (d Deb) Check(ctx context.Context, run *step.Run) (bool, error) {
	version, err := InstalledVersion(ctx, run, d.Name)
	return version == d.Package.Version, err
}

// Apply fetches the package where it is not in place yet, checks it, installs it and removes the file.
func (d Deb) Apply(ctx context.Context, run *step.Run) error {
	sum, digest, ok := strings.Cut(d.Package.Digest, ":")
	if !ok || sum != "sha256" && sum != "sha512" {
		return fmt.Errorf("%s: digest %q is neither sha256:… nor sha512:…", d.Name, d.Package.Digest)
	}
	file := PackageFile(d.Package)
	if err := d.fetch(ctx, run, file, strings.ToUpper(sum)+":"+digest); err != nil {
		return err
	}
	check := step.Command{Argv: []string{sum + "sum", "--check", "--strict", "--quiet", "-"}, Stdin: []byte(digest + "  " + file + "\n")}
	if _, err := run.Run(ctx, check); err != nil {
		return fmt.Errorf("%s is not the package that the recipe names: %w", file, err)
	}
	if err := (step.Packages{Names: []string{file}}).Apply(ctx, run); err != nil {
		return err
	}
	version, err := InstalledVersion(ctx, run, d.Name)
	if err != nil {
		return err
	}
	if version != d.Package.Version {
		return fmt.Errorf("the package installed %s %q and the recipe says %q: correct the version in the spec, or the package", d.Name, version, d.Package.Version)
	}
	return run.Remove(path.Dir(packageDir))
}

// fetch lets apt's own downloader do it: it is in every image, and honours the bake's proxy.
func (d Deb) fetch(ctx context.Context, run *step.Run, file, digest string) error {
	_, err := run.Read(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if d.Package.URL == "" {
		return fmt.Errorf("%s: the package was not put at %s before the bake", d.Name, file)
	}
	if err := (step.Directory{Path: packageDir, Mode: 0o755}).Apply(ctx, run); err != nil {
		return err
	}
	_, err = run.Run(ctx, step.Command{Argv: []string{
		"/usr/lib/apt/apt-helper", "-o", "Acquire::Retries=5", "download-file", d.Package.URL, file, digest,
	}})
	return err
}

func (d Deb) String() string {
	from := d.Package.URL
	if from == "" {
		from = PackageFile(d.Package)
	}
	return fmt.Sprintf("install %s %s from %s", d.Name, d.Package.Version, from)
}

// InstalledVersion returns the upstream version of an installed package; empty when it is not installed.
func InstalledVersion(ctx context.Context, runner step.Runner, name string) (string, error) {
	out, err := runner.Run(ctx, step.Command{Argv: []string{"dpkg-query", "--show", "--showformat=${db:Status-Abbrev} ${Version}", name}})
	if step.ExitStatus(err) == 1 { // dpkg has never heard of it
		return "", nil
	}
	if err != nil {
		return "", err
	}
	fields := strings.Fields(string(out.Stdout))
	if len(fields) != 2 || fields[0] != "ii" {
		return "", nil
	}
	version := fields[1]
	if i := strings.LastIndex(version, "-"); i >= 0 { // the packager's own revision
		version = version[:i]
	}
	return version, nil
}
