package pgbackrest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/pgbackrest"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

func database() pgbackrest.Database {
	return pgbackrest.Database{User: "postgres", Dir: "/data/postgres/13", SocketDir: "/run/postgresql", Psql: "/usr/bin/psql"}
}

func inputs(backup *cluster.Backup, open secrets.Backup) role.Inputs {
	return role.Inputs{
		Cluster: &cluster.Resolved{Name: "prod", Backup: backup},
		Self:    cluster.Node{Name: "postgres-1", Role: cluster.RolePostgres, Slot: 1},
		Secrets: secrets.Scoped{Backup: &open},
	}
}

// common is what every repository has.
const common = `repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=FAKE-cipher
repo1-retention-full=4
archive-push-queue-max=4GiB
compress-type=zst
start-fast=y
log-level-console=warn
log-level-file=off
lock-path=/run/postgresql

[prod]
pg1-path=/data/postgres/13
pg1-port=5432
pg1-socket-path=/run/postgresql
pg1-user=postgres
`

func TestConfiguration(t *testing.T) {
	cipher := secrets.New("FAKE-cipher")
	keys := secrets.Backup{Cipher: cipher, S3KeyID: secrets.New("FAKE-id"), S3KeySecret: secrets.New("FAKE-secret"), SFTPKey: secrets.New("FAKE-KEY\n")}
	bucket := func(endpoint string) *cluster.Backup {
		return &cluster.Backup{Full: 4, S3: &cluster.BackupS3{Bucket: "b", Region: "eu-west-1", Endpoint: endpoint, Prefix: "/prod"}}
	}
	for name, test := range map[string]struct {
		backup *cluster.Backup
		open   secrets.Backup
		want   string // what stands before common
	}{
		"a bucket by the instance's role": {bucket("s3.eu-west-1.amazonaws.com"), secrets.Backup{Cipher: cipher}, `repo1-type=s3
repo1-path=/prod
repo1-s3-bucket=b
repo1-s3-region=eu-west-1
repo1-s3-endpoint=s3.eu-west-1.amazonaws.com
repo1-s3-key-type=auto
`},
		"another store's bucket by a key": {bucket("minio.example.com"), keys, `repo1-type=s3
repo1-path=/prod
repo1-s3-bucket=b
repo1-s3-region=eu-west-1
repo1-s3-endpoint=minio.example.com
repo1-s3-uri-style=path
repo1-s3-key=FAKE-id
repo1-s3-key-secret=FAKE-secret
`},
		"an account": {&cluster.Backup{Full: 4, SFTP: &cluster.BackupSFTP{Host: "h", User: "u", Path: "/p", HostKey: "0a"}}, keys, `repo1-type=sftp
repo1-path=/p
repo1-sftp-host=h
repo1-sftp-host-user=u
repo1-sftp-host-key-check-type=fingerprint
repo1-sftp-host-key-hash-type=sha256
repo1-sftp-host-fingerprint=0a
repo1-sftp-private-key-file=/etc/pgbackrest/sftp.key
`},
		"a share": {&cluster.Backup{Full: 4, Path: "/mnt/backup"}, keys, "repo1-path=/mnt/backup\n"},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := pgbackrest.Configure(inputs(test.backup, test.open), database())
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range plan {
				if file, ok := s.Action.(step.File); !ok || file.Mode != 0o600 || file.Owner != "postgres" {
					t.Errorf("%s: not a file that only PostgreSQL's user can read", s.Title)
				}
			}
			if diff := cmp.Diff("[global]\n"+test.want+common, string(plan[0].Action.(step.File).Content)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if hasKey := len(plan) == 2; hasKey != (test.backup.SFTP != nil) {
				t.Errorf("%d files", len(plan))
			}
		})
	}
}

func TestNoSecretsIsAnError(t *testing.T) {
	in := inputs(&cluster.Backup{Path: "/mnt/backup"}, secrets.Backup{})
	in.Secrets.Backup = nil
	if _, err := pgbackrest.Configure(in, database()); err == nil {
		t.Error("a repository without its passphrase must be refused")
	}
}

// A cluster without backups has nothing of them.
func TestWithoutBackups(t *testing.T) {
	in := inputs(nil, secrets.Backup{})
	plan, err := pgbackrest.Configure(in, database())
	if err != nil {
		t.Fatal(err)
	}
	if plan = append(plan, pgbackrest.Schedule(in, database())...); len(plan) > 0 {
		t.Errorf("steps:\n%s", plan.Describe())
	}
	if p := pgbackrest.Parameters(in.Cluster); len(p) > 0 {
		t.Errorf("parameters: %v", p)
	}
	if c := pgbackrest.RestoreCommand(in.Cluster); c != "" {
		t.Errorf("restore: %s", c)
	}
}

// Only a primary copies, and it makes the repository before it does.
func TestSchedule(t *testing.T) {
	plan := pgbackrest.Schedule(inputs(&cluster.Backup{Path: "/mnt/backup", Full: 4}, secrets.Backup{}), database())
	service := string(plan[0].Action.(step.File).Content)
	var last int
	for _, row := range []string{
		"User=postgres\n", "pg_is_in_recovery()\")\" = f'\n",
		"ExecStart=/usr/bin/pgbackrest --stanza=prod --log-level-console=info stanza-create\n", "ExecStart=/usr/bin/pgbackrest --stanza=prod --log-level-console=info --type=%i backup\n",
	} {
		at := strings.Index(service, row)
		if at <= last {
			t.Errorf("%q is missing, or not where it belongs, in\n%s", row, service)
		}
		last = at
	}
	started := map[string]bool{}
	for _, s := range plan {
		if unit, ok := s.Action.(step.Unit); ok && unit.State == step.Started {
			started[unit.Name] = true
		}
	}
	if want := map[string]bool{"cincbake-backup-full.timer": true, "cincbake-backup-diff.timer": true}; cmp.Diff(want, started) != "" {
		t.Errorf("started: %v", started)
	}
}

func TestRestoreCommand(t *testing.T) {
	for name, test := range map[string]struct {
		to   time.Time
		want string
	}{
		"the newest": {time.Time{}, `/usr/bin/pgbackrest --stanza=prod restore`},
		"a moment": {
			time.Date(2026, 11, 26, 2, 30, 0, 0, time.FixedZone("", 2*60*60)),
			`/usr/bin/pgbackrest --stanza=prod --type=time "--target=2026-11-26 00:30:00+00" --target-action=promote restore`,
		},
	} {
		c := &cluster.Resolved{Name: "prod", Backup: &cluster.Backup{Path: "/mnt/backup", Restore: &cluster.Restore{Time: test.to}}}
		if got := pgbackrest.RestoreCommand(c); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}
