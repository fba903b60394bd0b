// Package postgres is a database node: PostgreSQL under Patroni, with an etcd member beside it. Who is primary is decided
// while it runs, never by the image.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/etcd"
	"github.com/cincbake/cincbake/roles/pgbackrest"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Unit is Patroni's unit, from Debian's package.
const Unit = "patroni.service"

// debianUnit starts every database that Debian's own tools made.
const debianUnit = "postgresql.service"

// Dir is where the databases lie, one directory per PostgreSQL major.
const Dir = role.DataDir + "/postgres"

const (
	configFile   = "/etc/patroni/config.yml"
	bootstrapSQL = "/etc/patroni/bootstrap.sql"
	dropIn       = "/etc/systemd/system/patroni.service.d/cincbake.conf"
	socketDir    = "/run/postgresql"
)

func dataDir(major int) string { return fmt.Sprintf("%s/%d", Dir, major) }

// Role is a database node.
type Role struct{}

var _ role.Role = Role{}

// Name returns the role's name.
func (Role) Name() cluster.Role { return cluster.RolePostgres }

// unitConf changes Debian's unit: Patroni comes back by itself, after etcd, and the socket directory outlives it, since
// PostgreSQL runs on when Patroni dies.
const unitConf = `[Unit]
After=network-online.target etcd.service
StartLimitIntervalSec=0

[Service]
Restart=always
RestartSec=1
TimeoutSec=60
RuntimeDirectory=patroni postgresql
RuntimeDirectoryPreserve=yes
`

// Bake returns what turns a base system into a database image.
func (Role) Bake(recipe cluster.Recipe) (step.Plan, error) {
	source, err := cluster.PostgresFor(recipe.OS, recipe.PostgresVersion)
	if err != nil {
		return nil, err
	}
	plan := step.Plan{
		{
			Title:  "Make no database at installation",
			Reason: "Debian makes a cluster called main otherwise, and every clone would share it",
			Action: step.File{Path: "/etc/postgresql-common/createcluster.conf", Mode: 0o644, Content: []byte("create_main_cluster = false\n")},
		},
	}
	plan = append(plan, pins(source)...)
	shared, err := base.Bake(recipe)
	if err != nil {
		return nil, err
	}
	plan = append(plan, shared...)
	plan = append(plan, step.Step{
		Title:  "Make user " + role.UserPostgres,
		Reason: "a data disk outlives the image; its files must keep their owner",
		Action: step.User{Name: role.UserPostgres, UID: role.UIDPostgres, Home: "/var/lib/postgresql", Shell: "/bin/bash"},
	})
	plan = append(plan, etcd.Bake()...)
	plan = append(plan,
		step.Step{
			Title:  fmt.Sprintf("Install PostgreSQL %d and Patroni", recipe.PostgresVersion),
			Reason: "python3-etcd by name: apt would satisfy Patroni with another store's client",
			Action: step.Packages{Names: append([]string{"patroni", "python3-etcd"}, source.Packages...)},
		},
		step.Step{
			Title:  "Keep Patroni from starting by itself",
			Reason: "the agent starts it once etcd has a quorum and the disk is known to be right",
			Action: step.Unit{Name: Unit, State: step.Disabled},
		},
		step.Step{
			Title:  "Keep Debian's own clusters from starting",
			Reason: "Patroni alone starts PostgreSQL",
			Action: step.Unit{Name: debianUnit, State: step.Disabled},
		},
		step.Step{
			Title:  "Keep Debian's own clusters away",
			Reason: "no other unit may pull them in either",
			Action: step.Unit{Name: debianUnit, State: step.Masked},
		},
		step.Step{
			Title:  "Restart Patroni for ever",
			Reason: "it must come back by itself whatever killed it",
			Action: step.File{Path: dropIn, Mode: 0o644, Content: []byte(unitConf)},
		},
	)
	return append(plan, pgbackrest.Bake()...), nil
}

// Boot returns what wires a database node into its cluster.
func (Role) Boot(in role.Inputs) (step.Plan, error) {
	source, err := cluster.PostgresFor(in.Cluster.Image.OS, in.Cluster.Postgres.Version)
	if err != nil {
		return nil, err
	}
	configuration, err := patroni(in, source)
	if err != nil {
		return nil, err
	}
	copied := pgbackrest.Database{
		User: role.UserPostgres, Dir: dataDir(in.Cluster.Postgres.Version), SocketDir: socketDir, Psql: source.BinDir + "/psql",
	}
	archive, err := pgbackrest.Configure(in, copied)
	if err != nil {
		return nil, err
	}
	plan := base.Boot(in)
	plan = append(plan, etcd.Boot(in)...)
	plan = append(plan, base.TLS(in, role.UserPostgres)...)
	plan = append(plan, archive...)
	plan = append(plan,
		step.Step{
			Title:  "Make the databases' directory",
			Reason: "it lies on the data disk and outlives the image",
			Action: step.Directory{Path: Dir, Mode: 0o700, Owner: role.UserPostgres},
		},
		step.Step{
			Title:  "Write Patroni's configuration",
			Reason: "synchronous, with failsafe, TLS everywhere",
			Action: step.File{Path: configFile, Mode: 0o600, Owner: role.UserPostgres, Content: configuration},
		},
		step.Step{
			Title:  "Write what a new database begins with",
			Reason: "the owner's role exists before the cluster counts as initialised",
			Action: step.File{Path: bootstrapSQL, Mode: 0o600, Owner: role.UserPostgres, Content: ownerSQL(in.Secrets.Postgres.Owner)},
		},
		step.Step{
			Title:  "Wait for the quorum",
			Reason: "without etcd Patroni could not tell whether this disk belongs to the cluster",
			Action: sameSystem{in: in, binDir: source.BinDir},
		},
		step.Step{
			Title:  "Agree on the cluster's parameters",
			Reason: "a running cluster keeps those that it was made with until it is told",
			Action: sharedParameters{in},
		},
		step.Step{
			Title:  "Start Patroni",
			Reason: "it elects the primary, and clones or rewinds the others",
			// Read again, not restarted: Patroni takes PostgreSQL down with it, and a primary's clients with that.
			Action: step.Unit{Name: Unit, State: step.Started, Reload: true, Watch: []string{
				configFile, role.CertFile(role.UserPostgres), role.KeyFile(role.UserPostgres), role.CAFile,
			}},
		},
	)
	return append(plan, pgbackrest.Schedule(in, copied)...), nil
}

// Observe tells what etcd's record says. A database without one is data that no record accounts for.
func (Role) Observe(files step.Files, self cluster.Node) (cluster.Observation, error) {
	databases, err := files.List(Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cluster.Observation{}, err
	}
	return etcd.Observe(files, self, len(databases) > 0)
}

// Report asks etcd and Patroni.
func (Role) Report(ctx context.Context, _ step.Host, in role.Inputs, status *cluster.Status) {
	status.Quorum = etcd.Report(ctx, in)
	if db, err := APIOf(in, in.Self).Status(ctx); err == nil {
		status.Database = &db
	}
}

// Joiner decides how the machine's etcd member starts.
func (Role) Joiner(host step.Host) role.Joiner { return etcd.Joiner{Host: host} }

// Ready returns what must hold before the node counts.
func (Role) Ready(in role.Inputs) []role.Probe {
	return append(etcd.Ready(in),
		role.Probe{
			Title:    "database in the cluster",
			Hint:     "journalctl -u patroni",
			Deadline: 15 * time.Minute, // a replica copies the whole database first
			Run: func(ctx context.Context, _ step.Host) error {
				return readiness(ctx, in)
			},
		},
		role.Probe{
			Title:    "failover settings",
			Hint:     "patronictl edit-config changed them, or Patroni raised them; set them back",
			Deadline: time.Minute,
			Run: func(ctx context.Context, _ step.Host) error {
				return effective(ctx, in)
			},
		})
}

// Verify returns what must hold in a sealed database image.
func (Role) Verify(recipe cluster.Recipe) []role.Check {
	checks := append(base.Verify(), etcd.Verify()...)
	checks = append(checks, pgbackrest.Verify()...)
	return append(checks,
		base.DisabledUnits(Unit, debianUnit),
		role.Check{
			Name: "postgres-empty", Why: "every clone would hold the same database",
			Run: func(_ context.Context, host step.Host) error {
				names, err := host.List("/etc/postgresql")
				if errors.Is(err, fs.ErrNotExist) {
					return nil
				}
				if err == nil && len(names) > 0 {
					err = fmt.Errorf("/etc/postgresql holds clusters of %s", strings.Join(names, ", "))
				}
				return err
			},
		},
		role.Check{
			Name: "postgres-version", Why: "another major can't read the data disk",
			Run: func(ctx context.Context, host step.Host) error {
				source, err := cluster.PostgresFor(recipe.OS, recipe.PostgresVersion)
				if err != nil {
					return err
				}
				out, err := host.Run(ctx, step.Command{Argv: []string{source.BinDir + "/postgres", "--version"}})
				if err == nil && !strings.Contains(string(out.Stdout), fmt.Sprintf(") %d.", recipe.PostgresVersion)) {
					err = fmt.Errorf("the image holds %s", strings.TrimSpace(string(out.Stdout)))
				}
				return err
			},
		},
		role.Check{
			Name: "patroni-version", Why: "Patroni before 4.0.7 loses acknowledged writes when a partition heals",
			Run: func(ctx context.Context, host step.Host) error {
				_, err := host.Run(ctx, step.Command{Argv: []string{
					"sh", "-c",
					`dpkg --compare-versions "$(dpkg-query -Wf '${Version}' patroni)" ge 4.0.7`,
				}})
				return err
			},
		})
}
