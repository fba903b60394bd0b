package cinc

import (
	"context"
	_ "embed" // the parameters
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// dhparam is ffdhe2048 of RFC 7919, as "openssl genpkey -genparam -algorithm DH -pkeyopt group:ffdhe2048" prints it. A group
// is no secret, and this one is reviewed; Cinc Server would make one of its own on each machine, for minutes.
//
//go:embed dhparam.pem
var dhparam string

// dropIn changes Cinc Server's unit, which does not exist yet in an image.
const dropIn = "/etc/systemd/system/" + Unit + ".d/cincbake.conf"

// Bake returns the steps that put Cinc Server into an image. It is never configured there: a first reconfigure writes the
// machine's name and keys. After names units that end after Cinc Server at shutdown.
func Bake(recipe cluster.Recipe, after ...string) step.Plan {
	return step.Plan{
		{
			Title:  "Install what Cinc Server needs around it",
			Reason: "cron rotates its logs, and its scripts look at processes",
			Action: step.Packages{Names: []string{"cron", "procps"}},
		},
		{
			Title:  "Install Cinc Server",
			Reason: "the package starts nothing and configures nothing",
			Action: base.Deb{Name: PackageName, Package: recipe.Package},
		},
		{
			Title:  "Write the Diffie-Hellman parameters",
			Reason: "the first reconfigure would make some for minutes; a reviewed group is no secret",
			Action: step.File{Path: dhparamFile, Mode: 0o644, Content: []byte(dhparam)},
		},
		{
			Title:  "Keep Cinc Server from starting by itself",
			Reason: "it enables itself, and must not start before the agent has seen the disk, the database and the search",
			Action: step.File{Path: dropIn, Mode: 0o644, Content: unitConf(after)},
		},
	}
}

func unitConf(after []string) []byte {
	var b strings.Builder
	b.WriteString("[Unit]\nConditionPathExists=" + goFile + "\n")
	for _, unit := range after {
		b.WriteString("After=" + unit + "\n")
	}
	return []byte(b.String())
}

// Verify returns what must hold in a sealed image with Cinc Server.
func Verify(recipe cluster.Recipe) []role.Check {
	return []role.Check{
		base.DisabledUnits(Unit),
		{Name: "cinc-version", Why: "another version reads other settings and accepts other databases", Run: func(ctx context.Context, host step.Host) error {
			version, err := base.InstalledVersion(ctx, host, PackageName)
			if err == nil && version != recipe.Package.Version {
				err = fmt.Errorf("the image holds %s %q", PackageName, version)
			}
			return err
		}},
		{Name: "cinc-unconfigured", Why: "every clone would share its keys and name", Run: func(_ context.Context, host step.Host) error {
			// The package's own empty cinc-server.rb, and what Bake writes; secrets and keys would be beside them.
			return errors.Join(holdsOnly(host, ConfigDir, "cinc-server.rb", "tls"), holdsOnly(host, tlsDir, "dhparam.pem"))
		}},
		{Name: "cinc-empty", Why: "every clone would share its state", Run: func(_ context.Context, host step.Host) error {
			return holdsOnly(host, StateDir)
		}},
	}
}

// holdsOnly finds anything else than the names below a directory.
func holdsOnly(host step.Host, dir string, names ...string) error {
	found, err := host.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range found {
		if !slices.Contains(names, name) {
			return fmt.Errorf("found %s/%s", dir, name)
		}
	}
	return nil
}
