package cinc

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
)

// The topologies of the tables below, and the two mixes.
const (
	standalone       = "standalone"
	managed          = "managed"
	selfHosted       = "self-hosted"
	externalDatabase = "external database"
	externalSearch   = "external search"
)

func topologies() []string {
	return []string{standalone, managed, selfHosted, externalDatabase, externalSearch}
}

// inputsOf is a node of each topology. Its secrets are words that nothing else holds.
func inputsOf(topology string) role.Inputs {
	r := &cluster.Resolved{
		Name: "prod", Platform: cluster.OnPrem, Domain: "chef.example.com",
		Cinc: &cluster.Cinc{Version: "15.10.91"},
		LB:   &cluster.LB{Kind: cluster.LBNodes},
		API:  &cluster.API{Min: 2, Max: 10},
	}
	self := cluster.Node{Name: "api-1", Role: cluster.RoleAPI, Slot: 1}
	ownDatabase := &cluster.Postgres{Version: 13}
	database := &cluster.Postgres{Version: 13, External: &cluster.ExternalPostgres{Host: "pg.example.com", Port: 6432, TLS: false, Owner: "cincadmin"}}
	ownSearch := &cluster.OpenSearch{Version: "1.3.20", Shards: 3, Replicas: 2}
	search := &cluster.OpenSearch{Version: "1.3", Shards: 2, Replicas: 1, External: &cluster.ExternalOpenSearch{URL: "https://search.example.com", Nodes: 2, User: "chef"}}
	switch topology {
	case standalone:
		r.LB, r.API = nil, &cluster.API{Min: 1, Max: 1}
		self = cluster.Node{Name: "standalone-1", Role: cluster.RoleStandalone, Slot: 1, Disk: "/dev/vdb"}
	case managed:
		r.Postgres, r.OpenSearch = database, search
	case selfHosted:
		r.Postgres, r.OpenSearch = ownDatabase, ownSearch
	case externalDatabase:
		r.Postgres, r.OpenSearch = database, ownSearch
	case externalSearch:
		r.Postgres, r.OpenSearch = ownDatabase, search
	}
	word := func(what string) secrets.Secret { return secrets.New("planted-" + what) }
	return role.Inputs{
		Cluster: r, Self: self, Facts: cluster.Facts{MemoryBytes: 8 << 30},
		Secrets: secrets.Scoped{
			CA:    "the CA\n",
			Front: &secrets.KeyPair{Certificate: "the certificate\n", Key: word("front-key")},
			Cinc: &secrets.Cinc{
				DatabaseOwner: word("owner"), Search: word("search"), RedisPassword: word("redis"),
				ErchefSQL: word("erchef-sql"), ErchefSQLRO: word("erchef-sql-ro"), ErchefStats: word("erchef-stats"),
				BifrostSuperuser: word("bifrost-superuser"), BifrostSQL: word("bifrost-sql"), BifrostSQLRO: word("bifrost-sql-ro"),
				OCIDKeyBase: word("ocid-key-base"), OCIDSQL: word("ocid-sql"), OCIDSQLRO: word("ocid-sql-ro"),
				BookshelfKeyID: word("bookshelf-key-id"), BookshelfSecret: word("bookshelf-secret"),
				BookshelfSQL: word("bookshelf-sql"), BookshelfSQLRO: word("bookshelf-sql-ro"),
				Superuser: secrets.KeyPEM{Private: word("superuser-key"), Public: "superuser public"},
				WebUI:     secrets.KeyPEM{Private: word("webui-key"), Public: "webui public"},
			},
		},
	}
}

// absent says that a key is not in the file.
const absent = ""

// The table of cinc-server.rb, written by hand from Cinc Server's cookbook: what each key must say where. A key that is not
// here must not be in the file.
func TestConfigurationByHand(t *testing.T) {
	everywhere := func(line string) map[string]string {
		lines := map[string]string{}
		for _, topology := range topologies() {
			lines[topology] = line
		}
		return lines
	}
	external := func(line string) map[string]string { // on nodes without a database and a search of their own
		lines := everywhere(line)
		lines[standalone] = absent
		return lines
	}
	table := map[string]map[string]string{
		// Defaults: standalone; but every all-external node must be so, and only so.
		"topology":              external("topology 'standalone'"),
		"api_fqdn":              everywhere("api_fqdn 'chef.example.com'"),
		"insecure_addon_compat": everywhere("insecure_addon_compat false"), // default true

		"postgresql.external": external("postgresql['external'] = true"),   // CSPG001
		"postgresql.vip":      external("postgresql['vip'] = '127.0.0.1'"), // CSPG004 asks for the key, default or not
		"postgresql.port":     everywhere(absent),                          // 5432 is the default; the router listens there
		"postgresql.db_superuser": { // CSPG002
			managed: "postgresql['db_superuser'] = 'cincadmin'", externalDatabase: "postgresql['db_superuser'] = 'cincadmin'",
			selfHosted: "postgresql['db_superuser'] = 'cinc_owner'", externalSearch: "postgresql['db_superuser'] = 'cinc_owner'",
		},
		"postgresql.db_superuser_password": everywhere(absent), // in the secrets store, which CSPG003 accepts
		"postgresql.sslmode": { // default disable; these clusters' external database says disable
			selfHosted: "postgresql['sslmode'] = 'require'", externalSearch: "postgresql['sslmode'] = 'require'",
		},

		"opensearch.external":     external("opensearch['external'] = true"),
		"opensearch.external_url": external("opensearch['external_url'] = 'http://127.0.0.1:9200'"), // OPENSEARCH007
		"opensearch.enable":       everywhere(absent),                                               // the external branch turns it off
		"opensearch.shard_count": { // default 5
			managed: "opensearch['shard_count'] = 2", externalSearch: "opensearch['shard_count'] = 2",
			selfHosted: "opensearch['shard_count'] = 3", externalDatabase: "opensearch['shard_count'] = 3",
		},
		"opensearch.replica_count": { // default 1, which two nodes have
			selfHosted: "opensearch['replica_count'] = 2", externalDatabase: "opensearch['replica_count'] = 2",
		},

		"opscode_erchef.search_provider":   everywhere("opscode_erchef['search_provider'] = 'opensearch'"), // the preflight reads the file
		"opscode_erchef.search_queue_mode": everywhere("opscode_erchef['search_queue_mode'] = 'batch'"),    // OPENSEARCH008
		"opscode_erchef.search_auth_username": { // OPENSEARCH006
			managed: "opscode_erchef['search_auth_username'] = 'chef'", externalSearch: "opscode_erchef['search_auth_username'] = 'chef'",
			selfHosted: "opscode_erchef['search_auth_username'] = 'cinc'", externalDatabase: "opscode_erchef['search_auth_username'] = 'cinc'",
		},
		"opscode_erchef.search_auth_password": external("opscode_erchef['search_auth_password'] = File.read('/etc/cinc-project/search-password').strip"),
		"opscode_erchef.telemetry_enabled":    everywhere("opscode_erchef['telemetry_enabled'] = false"), // default true
		"opscode_erchef.db_pool_size":         everywhere(absent),                                        // 20: what max_connections is computed from
		"opscode_erchef.base_resource_url":    everywhere(absent),                                        // :host_header

		"bookshelf.storage_type":  external("bookshelf['storage_type'] = :sql"),        // default filesystem
		"bookshelf.vip":           everywhere("bookshelf['vip'] = 'chef.example.com'"), // default: the node's own name
		"bookshelf.external_url":  everywhere(absent),                                  // :host_header
		"oc_id.db_pool_size":      everywhere(absent),                                  // '20'
		"oc_bifrost.superuser_id": everywhere(absent),                                  // in the secrets store

		"nginx.ssl_certificate":     everywhere("nginx['ssl_certificate'] = '/etc/cinc-project/tls/tls.crt'"),
		"nginx.ssl_certificate_key": everywhere("nginx['ssl_certificate_key'] = '/etc/cinc-project/tls/tls.key'"),
		"nginx.ssl_dhparam":         everywhere("nginx['ssl_dhparam'] = '/etc/cinc-project/tls/dhparam.pem'"),
		"nginx.x_forwarded_proto":   everywhere(absent), // https
		"nginx.strict_host_header":  everywhere(absent), // false: health checks by address
		// Logs the header in place of the address, and what passes TLS through adds no header.
		"nginx.log_x_forwarded_for":   everywhere(absent),
		"data_collector.health_check": everywhere(absent), // no collector
	}
	for _, topology := range topologies() {
		t.Run(topology, func(t *testing.T) {
			text, err := Configuration(inputsOf(topology))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for line := range strings.Lines(string(text)) {
				line = strings.TrimSuffix(line, "\n")
				if !strings.HasPrefix(line, "#") {
					got[keyOf(line)] = line
				}
			}
			want := map[string]string{}
			for key, lines := range table {
				if lines[topology] != absent {
					want[key] = lines[topology]
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("cinc-server.rb (-want +got):\n%s", diff)
			}
			if strings.Contains(string(text), "planted") {
				t.Error("cinc-server.rb holds a secret")
			}
		})
	}
}

// keyOf names a line: "group['key'] = value" is group.key, "key value" is key.
func keyOf(line string) string {
	name, _, _ := strings.Cut(line, " ")
	return strings.NewReplacer("['", ".", "']", "").Replace(name)
}

func TestConfigurationOfSpecialCases(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*cluster.Resolved)
		want   string
	}{
		{"somebody else's balancer ends TLS", func(r *cluster.Resolved) { r.LB, r.API.Pool = nil, make([]netip.Addr, 2) }, "nginx['log_x_forwarded_for'] = true"},
		{"external database with TLS", func(r *cluster.Resolved) { r.Postgres.External.TLS = true }, "postgresql['sslmode'] = 'require'"},
		{"a collector's outage is not ours", func(r *cluster.Resolved) {
			r.Cinc.Settings = map[string]map[string]any{"data_collector": {"root_url": "https://automate.example.com/data-collector/v0/"}}
		}, "data_collector['health_check'] = false"},
		{"a setting of the user's", func(r *cluster.Resolved) {
			r.Cinc.Settings = map[string]map[string]any{"opscode_erchef": {"depsolver_timeout": 10000}}
		}, "opscode_erchef['depsolver_timeout'] = 10000"},
		{"at the top level", func(r *cluster.Resolved) {
			r.Cinc.Settings = map[string]map[string]any{"": {"default_orgname": "acme"}}
		}, "default_orgname 'acme'"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := inputsOf(managed)
			test.change(in.Cluster)
			text, err := Configuration(in)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), test.want+"\n") {
				t.Errorf("no line %q in:\n%s", test.want, text)
			}
		})
	}
}

// What the spec says comes last, so that it counts.
func TestUsersSettingsComeLast(t *testing.T) {
	in := inputsOf(selfHosted)
	in.Cluster.Cinc.Settings = map[string]map[string]any{"nginx": {"b": 1, "a": 2}, "": {"z": true}}
	text, err := Configuration(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := "z true\nnginx['a'] = 2\nnginx['b'] = 1\n"; !strings.HasSuffix(string(text), want) {
		t.Errorf("cinc-server.rb does not end with\n%s:\n%s", want, text)
	}
	in.Cluster.Cinc.Settings["nginx"]["c"] = "ü"
	if _, err := Configuration(in); err == nil || !strings.Contains(err.Error(), "nginx.c") {
		t.Errorf("a value that can't be written must be refused by name, got %v", err)
	}
}

// The table of the secrets store, by hand: group, key, and which secret it is. Lengths are the bundle's.
func TestStoreByHand(t *testing.T) {
	full := map[string]map[string]string{
		"postgresql":     {"db_superuser_password": "planted-owner"},
		"redis_lb":       {"password": "planted-redis"},
		"opscode_erchef": {"sql_password": "planted-erchef-sql", "sql_ro_password": "planted-erchef-sql-ro", "stats_password": "planted-erchef-stats", "search_auth_password": "planted-search"},
		"oc_bifrost":     {"superuser_id": "planted-bifrost-superuser", "sql_password": "planted-bifrost-sql", "sql_ro_password": "planted-bifrost-sql-ro"},
		"oc_id":          {"secret_key_base": "planted-ocid-key-base", "sql_password": "planted-ocid-sql", "sql_ro_password": "planted-ocid-sql-ro"},
		"bookshelf":      {"access_key_id": "planted-bookshelf-key-id", "secret_access_key": "planted-bookshelf-secret", "sql_password": "planted-bookshelf-sql", "sql_ro_password": "planted-bookshelf-sql-ro"},
		"chef-server":    {"superuser_key": "planted-superuser-key", "webui_key": "planted-webui-key", "webui_pub_key": "webui public"},
	}
	seed := map[string]map[string]string{}
	for group, keys := range full {
		seed[group] = keys
	}
	seed["chef-server"] = map[string]string{"webui_key": "planted-webui-key", "webui_pub_key": "webui public"}

	for _, topology := range topologies() {
		for _, bootstrap := range []bool{false, true} {
			in := inputsOf(topology)
			in.Joined.API.Bootstrap = bootstrap
			want := full
			if bootstrap && topology != standalone { // only with an external database must Cinc Server make the key itself
				want = seed
			}
			var got map[string]map[string]string
			if err := decode(written(t, in, SecretsFile).Content, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, bootstrap %v (-want +got):\n%s", topology, bootstrap, diff)
			}
		}
	}
}

// What cincbake writes, a spec may not: validate refuses it by name.
func TestOurSettingsAreReserved(t *testing.T) {
	for _, topology := range topologies() {
		in := inputsOf(topology)
		in.Cluster.LB = nil
		in.Cluster.Cinc.Settings = map[string]map[string]any{"data_collector": {"root_url": "https://automate.example.com"}}
		for _, s := range ours(in) {
			if _, file := s.value.(fileRead); file {
				continue // a secret, and refused as one
			}
			if _, reserved := cluster.ReservedSetting(s.group, s.key); !reserved {
				t.Errorf("%s.%s is not reserved", s.group, s.key)
			}
		}
	}
}
