// Package pgbackrest copies a database off its machine: backups by a timer, and every piece of the write-ahead log as it is
// written, encrypted before it leaves. It also begins a new cluster from such a copy.
package pgbackrest

import (
	"fmt"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// debianUnit serves the repository to other machines.
const debianUnit = "pgbackrest.service"

const (
	program     = "/usr/bin/pgbackrest"
	configFile  = "/etc/pgbackrest/pgbackrest.conf"
	sftpKeyFile = "/etc/pgbackrest/sftp.key"
	unitDir     = "/etc/systemd/system/"
	unit        = "cincbake-backup@.service"
	timerFull   = "cincbake-backup-full.timer"
	timerDiff   = "cincbake-backup-diff.timer"
)

// Database is what is copied.
type Database struct {
	User      string // of the operating system: owns the files, and is the database's superuser over the socket
	Dir       string // PostgreSQL's data directory
	SocketDir string
	Psql      string // the program
}

// Bake returns the steps that put pgBackRest into an image. Every database image has it: an image does not know yet whether
// its cluster keeps backups.
func Bake() step.Plan {
	return step.Plan{
		{
			Title:  "Install pgBackRest",
			Reason: "backups and the log's archive, off the machine",
			Action: step.Packages{Names: []string{"pgbackrest"}},
		},
		{
			Title:  "Keep pgBackRest's server from starting",
			Reason: "every machine copies by itself; nobody fetches from it",
			Action: step.Unit{Name: debianUnit, State: step.Disabled},
		},
	}
}

// Verify returns what must hold in an image with pgBackRest.
func Verify() []role.Check { return []role.Check{base.DisabledUnits(debianUnit)} }

// Configure returns the steps that write pgBackRest's configuration. They come before the database starts, since it archives
// from its first minute. There are none in a cluster without backups.
func Configure(in role.Inputs, db Database) (step.Plan, error) {
	if in.Cluster.Backup == nil {
		return nil, nil
	}
	conf, err := configuration(in, db)
	if err != nil {
		return nil, err
	}
	plan := step.Plan{{
		Title:  "Write pgBackRest's configuration",
		Reason: "where the copies lie, and the passphrase that encrypts them here",
		Action: step.File{Path: configFile, Mode: 0o600, Owner: db.User, Content: conf},
	}}
	if in.Cluster.Backup.SFTP != nil {
		plan = append(plan, step.Step{
			Title:  "Give pgBackRest its key",
			Reason: "it logs in to " + in.Cluster.Backup.SFTP.Host + " by it",
			Action: step.File{Path: sftpKeyFile, Mode: 0o600, Owner: db.User, Content: []byte(in.Secrets.Backup.SFTPKey.Reveal())},
		})
	}
	return plan, nil
}

// Schedule returns the steps that make backups happen, once the database runs.
func Schedule(in role.Inputs, db Database) step.Plan {
	if in.Cluster.Backup == nil {
		return nil
	}
	files := []struct{ name, reason, content string }{
		{unit, "only the primary copies: the others end in silence", service(in.Cluster.Name, db)},
		{timerFull, "a backup that needs no other one, every week", fullTimer},
		{timerDiff, "what changed since then, every day and soon after a boot", diffTimer},
	}
	var plan step.Plan
	var paths []string
	for _, f := range files {
		paths = append(paths, unitDir+f.name)
		plan = append(plan, step.Step{
			Title:  "Write unit " + f.name,
			Reason: f.reason,
			Action: step.File{Path: unitDir + f.name, Mode: 0o644, Content: []byte(f.content)},
		})
	}
	plan = append(plan, step.Step{
		Title:  "Show systemd the backup's units",
		Reason: "it keeps what it has read",
		Action: step.Exec{Command: step.Command{Argv: []string{"systemctl", "daemon-reload"}}, After: paths},
	})
	for _, timer := range []string{timerFull, timerDiff} {
		plan = append(plan, step.Step{
			Title:  "Start " + timer,
			Reason: "every database machine keeps the calendar, since any may be primary that night",
			Action: step.Unit{Name: timer, State: step.Started, Watch: paths},
		})
	}
	return plan
}

// service is one backup. A cluster's first one makes the repository, and is full whatever was asked for.
func service(stanza string, db Database) string {
	return `[Unit]
Description=cincbake: back the database up (%i)
Documentation=https://pgbackrest.org/user-guide.html
After=network-online.target

[Service]
Type=oneshot
User=` + db.User + `
ExecCondition=/bin/sh -c 'test "$$(` + db.Psql + ` --host=` + db.SocketDir + ` --dbname=postgres -XAtc "SELECT pg_is_in_recovery()")" = f'
ExecStart=` + program + ` --stanza=` + stanza + ` --log-level-console=info stanza-create
ExecStart=` + program + ` --stanza=` + stanza + ` --log-level-console=info --type=%i backup
`
}

// A minute's spread is enough: only one machine of a cluster copies.
const fullTimer = `[Unit]
Description=cincbake: back the database up in full, every week

[Timer]
Unit=cincbake-backup@full.service
OnCalendar=Sun 02:00
RandomizedDelaySec=60
Persistent=true

[Install]
WantedBy=timers.target
`

// Soon after a boot too: a new cluster has no backup before its first one, and the archive takes nothing before that one made
// the repository.
const diffTimer = `[Unit]
Description=cincbake: back up what changed in the database since the last full backup, every day

[Timer]
Unit=cincbake-backup@diff.service
OnActiveSec=2min
OnCalendar=Mon..Sat 02:00
RandomizedDelaySec=60

[Install]
WantedBy=timers.target
`

// Parameters are PostgreSQL's settings for the archive. They are each machine's own and not the cluster's common ones: those
// are read once, when a cluster is made, and backups may come later.
//
// There is no restore_command on purpose. A standby whose primary dies would ask the repository before it takes over, and a
// repository that hangs would hold the failover up for as long.
func Parameters(c *cluster.Resolved) map[string]string {
	if c.Backup == nil {
		return nil
	}
	return map[string]string{
		"archive_mode":    "on",
		"archive_command": fmt.Sprintf("%s --stanza=%s archive-push %%p", program, c.Name),
		"archive_timeout": "60s", // no more than a minute's writes are on the machines alone
	}
}

// RestoreCommand restores the newest backup, or the one before the moment asked for, into an empty data directory, and has
// PostgreSQL replay the archive from there. Empty: the cluster begins without one.
func RestoreCommand(c *cluster.Resolved) string {
	if c.Backup == nil || c.Backup.Restore == nil {
		return ""
	}
	argv := []string{program, "--stanza=" + c.Name}
	if to := c.Backup.Restore.Time; !to.IsZero() {
		argv = append(argv, "--type=time", `"--target=`+to.UTC().Format(time.DateTime)+`+00"`, "--target-action=promote")
	}
	return strings.Join(append(argv, "restore"), " ")
}
