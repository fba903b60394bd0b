//go:build integration

package checkers

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
)

// database.sh runs a real database by the rendered settings, backs it up, loses it and has Patroni begin a cluster from the
// backup.
//
//go:embed database.sh
var database string

// A database takes every parameter and every row of pg_hba.conf that Patroni will give it. Begun anew from its backup it has
// every row again, also the one that was written after the backup and is in the archive alone.
func TestDatabaseRunsAndIsRestored(t *testing.T) {
	tree := programs(t)
	in := machineOf(t, "self-hosted", "postgres-1")
	// A repository that is here, and the newest backup in it: a moment would have to be of this run.
	in.Cluster.Backup = &cluster.Backup{Path: "/mnt/backup", Full: 2, Restore: &cluster.Restore{}}
	m := boot(t, tree, in)
	const prepare = "install -d -o postgres -g postgres /mnt/backup /run/postgresql"
	if _, err := m.run(t.Context(), "sh", "-c", prepare); err != nil {
		t.Fatal(err)
	}
	settings := readPatroni(t, m)
	out, err := m.run(t.Context(), as(role.UserPostgres, "sh", "-euxc", database, "database.sh",
		in.Cluster.Name, in.Self.Address.String(), settings.parameters(), settings.hba(), settings.Bootstrap.Post)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"rows of pg_hba.conf: " + fmt.Sprint(len(settings.PostgreSQL.PgHBA)) + ", not taken: 0",
		"connections: " + fmt.Sprint(in.Cluster.Postgres.MaxConnections),
		"recovering: f",
		"rows: before after",
		"owner: may make databases true, roles true, password md5",
	} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("it does not say %q:\n%s", want, lastLines(out))
		}
	}
}

// patroniConfig is what of Patroni's configuration ends in PostgreSQL's own files.
type patroniConfig struct {
	Bootstrap struct {
		DCS struct {
			PostgreSQL struct {
				Parameters map[string]string
			} `yaml:"postgresql"`
		}
		Post string `yaml:"post_bootstrap"`
	}
	PostgreSQL struct {
		Parameters map[string]string
		PgHBA      []string `yaml:"pg_hba"`
	} `yaml:"postgresql"`
}

func readPatroni(t *testing.T, m *machine) patroniConfig {
	t.Helper()
	var config patroniConfig
	if err := yaml.Unmarshal([]byte(m.read(t, "/etc/patroni/config.yml")), &config); err != nil {
		t.Fatal(err)
	}
	return config
}

// parameters are the cluster's and the machine's, as lines of postgresql.conf.
func (c patroniConfig) parameters() string {
	all := maps.Clone(c.Bootstrap.DCS.PostgreSQL.Parameters)
	maps.Copy(all, c.PostgreSQL.Parameters)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "%s = '%s'\n", name, all[name])
	}
	return b.String()
}

func (c patroniConfig) hba() string { return strings.Join(c.PostgreSQL.PgHBA, "\n") }

// machineOf returns what a machine of a cluster of testdata knows.
func machineOf(t *testing.T, cluster, node string) role.Inputs {
	t.Helper()
	for _, c := range clusters(t) {
		for _, in := range c.machines {
			if c.name == cluster && in.Self.Name == node {
				return in
			}
		}
	}
	t.Fatalf("testdata has no %s in %s", node, cluster)
	return role.Inputs{}
}
