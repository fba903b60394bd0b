package base

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/step"
)

// Seal returns the steps that make a baked machine an image: what is one machine's own goes, and so does what would make
// two bakes of the same packages differ, at two sites or on two days.
func Seal(recipe cluster.Recipe) (step.Plan, error) {
	canonical, err := sources(recipe, cluster.Site{})
	if err != nil {
		return nil, err
	}
	plan := step.Plan{
		{
			Title:  "Name Debian's own package sources",
			Reason: "where the image was baked is no part of it",
			Action: step.File{Path: sourcesFile, Mode: 0o644, Content: canonical},
		},
		{
			Title:  "Forget the machine's id",
			Reason: "each boot of the image makes one; an empty file, not a missing one, says so to systemd",
			Action: step.File{Path: "/etc/machine-id", Mode: 0o444},
		},
		{
			Title:  "Forget the name server of the bake",
			Reason: "elsewhere it does not answer, and the first boot would wait for it",
			Action: forgetResolver{},
		},
		{
			Title:  "Fix the days in the shadow file",
			Reason: "the day of the bake would make every image differ",
			Action: rewrite{path: "/etc/shadow", says: "set every last-change day to " + epochDay, edit: eachRow(fixShadowDay)},
		},
	}
	for _, gone := range []struct{ path, reason string }{
		{"/var/lib/dbus/machine-id", "it repeats /etc/machine-id"},
		{"/etc/ssh/ssh_host_*", "host keys are made at first boot; a shared one can be impersonated by every clone"},
		{"/etc/ssl/private/ssl-cert-snakeoil.key", "a private key that every clone would share"},
		{"/etc/ssl/certs/ssl-cert-snakeoil.pem", "the certificate of a key that every clone would share"},
		{"/var/lib/systemd/random-seed", "two machines must not start from one seed"},
		{"/var/lib/systemd/credential.secret", "each machine makes its own"},
		{policyFile, "services may start from now on"},
		{siteConf, "the way to the mirror of the place where the image was baked"},
		{siteCA, "what was trusted there"},
		{packageDir, "packages of the bake"},
		{"/root/.bash_history", "what was typed while baking is nobody's business"},
		{"/root/.ssh", "nobody's key belongs into an image"},
		{"/var/cache/debconf/*-old", "a backup of the last transaction, with a random name in it"},
		{"/var/lib/dpkg/*-old", "a backup of the last transaction"},
		{"/var/log/*.log", "messages of the bake"},
		{"/var/cache/ldconfig/aux-cache", "holds inode numbers and times"},
		{"/etc/passwd-", "a backup of the last change"},
		{"/etc/group-", "a backup of the last change"},
		{"/etc/shadow-", "a backup of the last change"},
		{"/etc/gshadow-", "a backup of the last change"},
		{"/etc/subuid-", "a backup of the last change"},
		{"/etc/subgid-", "a backup of the last change"},
	} {
		plan = append(plan, step.Step{Title: "Remove " + gone.path, Reason: gone.reason, Action: step.Absent{Path: gone.path}})
	}
	for _, empty := range []struct{ path, reason string }{
		{"/var/lib/apt/lists", "stale package lists help nobody"},
		{"/var/cache/apt", "packages and their index are on the mirror"},
		{"/var/log/apt", "messages of the bake"},
		{"/var/log/journal", "messages of the bake"},
		{"/var/lib/cloud", "cloud-init must find a machine that never booted"},
		{"/var/tmp", "left over from the bake"},
	} {
		plan = append(plan, step.Step{Title: "Empty " + empty.path, Reason: empty.reason, Action: step.Emptied{Path: empty.path}})
	}
	return append(plan, step.Step{
		Title:  "Forget debconf's temporary names",
		Reason: "postgresql-common stores a mktemp name, different in every bake",
		Action: rewrite{path: "/var/cache/debconf/config.dat", says: "drop mktemp names", edit: eachRow(dropMktempName)},
	}), nil
}

// rewrite is an action that passes one file's text through a function.
type rewrite struct {
	path string
	says string
	edit func(string) string
}

var _ step.Action = rewrite{}

func (r rewrite) Check(_ context.Context, run *step.Run) (bool, error) {
	entry, err := run.Read(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return err == nil && r.edit(string(entry.Content)) == string(entry.Content), err
}

func (r rewrite) Apply(_ context.Context, run *step.Run) error {
	entry, err := run.Read(r.path)
	if err != nil {
		return err
	}
	entry.Content = []byte(r.edit(string(entry.Content)))
	return run.Put(r.path, entry)
}

func (r rewrite) String() string { return r.says + " in " + r.path }

// epochDay stands in /etc/shadow for the day on which a password was last changed, in days since 1970.
const epochDay = "19675"

func fixShadowDay(row string) string {
	fields := strings.Split(row, ":")
	if len(fields) > 2 && fields[2] != "" {
		fields[2] = epochDay
	}
	return strings.Join(fields, ":")
}

func dropMktempName(row string) string {
	if strings.HasPrefix(row, " NEW = /tmp/postgresql-common") {
		return ""
	}
	return row
}

func eachRow(edit func(string) string) func(string) string {
	return func(text string) string {
		var b strings.Builder
		for row := range strings.Lines(text) {
			b.WriteString(edit(row))
		}
		return b.String()
	}
}
