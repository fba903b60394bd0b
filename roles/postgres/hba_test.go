package postgres

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
)

func network() cluster.Network {
	return cluster.Network{Prefix: netip.MustParsePrefix("10.20.0.7/24")}
}

// Who may come in, written by hand: over TLS, from the network, each service into its own database.
func TestHBA(t *testing.T) {
	members := []string{
		"local all postgres peer",
		"hostssl replication replicator 10.20.0.0/24 scram-sha-256",
		"hostssl replication replicator 127.0.0.1/32 scram-sha-256",
		"hostssl all rewinder 10.20.0.0/24 scram-sha-256",
	}
	for name, test := range map[string]struct {
		api  *cluster.API
		want []string
	}{
		"a database alone": {nil, []string{"hostssl all cinc_owner 10.20.0.0/24 md5"}},
		"with Cinc Server": {&cluster.API{Max: 2}, []string{
			"hostssl opscode_chef opscode_chef,opscode_chef_ro 10.20.0.0/24 md5",
			"hostssl bifrost bifrost,bifrost_ro 10.20.0.0/24 md5",
			"hostssl oc_id oc_id,oc_id_ro 10.20.0.0/24 md5",
			"hostssl bookshelf bookshelf,bookshelf_ro 10.20.0.0/24 md5",
			"hostssl postgres,template1,cincbake,opscode_chef,bifrost,oc_id,bookshelf cinc_owner 10.20.0.0/24 md5",
		}},
	} {
		got := hba(&cluster.Resolved{Network: network(), API: test.api})
		if diff := cmp.Diff(append(members[:4:4], test.want...), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// max_connections is what the API tier was reckoned to need, and PostgreSQL's own without one.
func TestMaxConnections(t *testing.T) {
	for given, want := range map[int]string{0: "100", 530: "530"} {
		c := &cluster.Resolved{Postgres: &cluster.Postgres{MaxConnections: given}}
		if got := shared(c)["max_connections"]; got != want {
			t.Errorf("%d: %s, want %s", given, got, want)
		}
	}
}

func TestExternalSQL(t *testing.T) {
	external := func(e cluster.ExternalPostgres) *cluster.Resolved {
		return &cluster.Resolved{Network: network(), API: &cluster.API{Max: 6}, Postgres: &cluster.Postgres{MaxConnections: 530, External: &e}}
	}
	for name, test := range map[string]struct {
		r     *cluster.Resolved
		holds []string
		lacks []string
	}{
		"a server with TLS": {
			external(cluster.ExternalPostgres{Host: "db.example.com", Port: 5432, TLS: true, Owner: "cinc_owner"}),
			[]string{
				"--   max_connections = 530 or more\n", "--     hostssl bifrost bifrost,bifrost_ro 10.20.0.0/24 md5\n",
				"SET password_encryption = 'md5';\nCREATE ROLE \"cinc_owner\" LOGIN CREATEDB CREATEROLE;\nALTER ROLE \"cinc_owner\" SET password_encryption = 'md5';\n",
				"\\password \"cinc_owner\"\n",
			},
			[]string{"rds."},
		},
		"a server without": {
			external(cluster.ExternalPostgres{Host: "db.example.com", Port: 5432, Owner: "cinc_owner"}),
			[]string{"--     host bifrost bifrost,bifrost_ro 10.20.0.0/24 md5\n"},
			[]string{"hostssl"},
		},
		"Amazon's": {
			external(cluster.ExternalPostgres{Host: "db.example.com", Port: 5432, TLS: true, Owner: "cinc_owner", RDS: true}),
			[]string{"--     password_encryption = md5\n", "--     rds.force_ssl = 1\n", "--     max_connections = 530 or more\n"},
			[]string{"pg_hba"},
		},
		"a strange name": {
			external(cluster.ExternalPostgres{Host: "db.example.com", Port: 5432, Owner: `a"b`}),
			[]string{`CREATE ROLE "a""b" LOGIN`},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := ExternalSQL(test.r)
			for _, part := range test.holds {
				if !strings.Contains(got, part) {
					t.Errorf("lacks %q:\n%s", part, got)
				}
			}
			for _, part := range test.lacks {
				if strings.Contains(got, part) {
					t.Errorf("holds %q:\n%s", part, got)
				}
			}
		})
	}
	if got := ExternalSQL(&cluster.Resolved{Postgres: &cluster.Postgres{Version: 13}}); got != "" {
		t.Errorf("the cluster's own database needs none:\n%s", got)
	}
}
