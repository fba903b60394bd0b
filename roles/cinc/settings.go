package cinc

import (
	"maps"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
)

// Configuration is cinc-server.rb, whole. It holds no secret: what Cinc Server must know it reads from files that are
// root's alone.
//
// A key that Cinc Server would give the same value by itself is left out, unless its preflight asks for the key's presence
// or looks at nothing but the file. The pools are left at their defaults: max_connections is computed from those.
func Configuration(in role.Inputs) ([]byte, error) {
	var b strings.Builder
	b.WriteString("# Written by cincbake, again at every boot: put your own settings into the spec, under cinc.\n")
	for _, group := range [][]setting{ours(in), users(in.Cluster.Cinc.Settings)} {
		for _, s := range group {
			line, err := s.line()
			if err != nil {
				return nil, err
			}
			b.WriteString(line)
		}
	}
	return []byte(b.String()), nil
}

// ours are the settings that follow from the cluster.
func ours(in role.Inputs) []setting {
	r := in.Cluster
	var all []setting
	if in.Self.Role == cluster.RoleAPI {
		// On every node alike: "tier" would need all of them named in each.
		all = append(all, setting{"", "topology", "standalone"})
	}
	all = append(all,
		setting{"", "api_fqdn", r.Domain},
		// True would write every secret into further files.
		setting{"", "insecure_addon_compat", false},
	)
	if in.Self.Role == cluster.RoleAPI {
		all = append(all, database(in)...)
		all = append(all, search(in)...)
	}
	all = append(all,
		// The preflight looks at the file alone: unset, it takes the search for Elasticsearch and tests this machine's memory
		// for it. With the provider set, the queue's mode must be, too.
		setting{"opscode_erchef", "search_provider", "opensearch"},
		setting{"opscode_erchef", "search_queue_mode", "batch"},
	)
	if in.Self.Role == cluster.RoleAPI {
		all = append(all,
			setting{"opscode_erchef", "search_auth_username", SearchUser(in)},
			// In the secrets store alone, each preflight would try a login without it for 25 seconds.
			setting{"opscode_erchef", "search_auth_password", fileRead(searchPassword)},
		)
	}
	all = append(all, setting{"opscode_erchef", "telemetry_enabled", false})
	if in.Self.Role == cluster.RoleAPI {
		// Cookbooks in the database: every node sees the same ones. It can't be changed later.
		all = append(all, setting{"bookshelf", "storage_type", symbol("sql")})
	}
	all = append(all,
		// The default is the machine's own name, whatever api_fqdn says; erchef asks it for each file of a cookbook.
		setting{"bookshelf", "vip", r.Domain},
		setting{"nginx", "ssl_certificate", certificateFile},
		setting{"nginx", "ssl_certificate_key", keyFile},
		setting{"nginx", "ssl_dhparam", dhparamFile},
	)
	if several := in.Self.Slot == 0 || len(r.API.Pool) > 1; several && r.LB == nil {
		// A balancer of the user's own ends TLS as a rule and names the client in this header. The cluster's own ones pass TLS
		// through and can't: the log would then hold no address at all, since Cinc Server logs the header in its place.
		all = append(all, setting{"nginx", "log_x_forwarded_for", true})
	}
	if _, ok := r.Cinc.Settings["data_collector"]["root_url"]; ok {
		// Otherwise an outage of the collector would make every node's _status fail, and the balancer drop them all.
		all = append(all, setting{"data_collector", "health_check", false})
	}
	return all
}

func database(in role.Inputs) []setting {
	where := DatabaseOf(in)
	all := []setting{
		{"postgresql", "external", true},
		{"postgresql", "vip", databaseHost}, // the default, but the preflight asks for the key (CSPG004)
		{"postgresql", "db_superuser", where.Owner},
	}
	if where.TLS {
		// Encrypts and verifies nothing; Cinc Server knows no stricter word.
		all = append(all, setting{"postgresql", "sslmode", "require"})
	}
	return all
}

func search(in role.Inputs) []setting {
	all := []setting{
		{"opensearch", "external", true},
		{"opensearch", "external_url", searchURL()},
	}
	if shards := in.Cluster.OpenSearch.Shards; shards != defaultShards {
		all = append(all, setting{"opensearch", "shard_count", shards})
	}
	if replicas := in.Cluster.OpenSearch.Replicas; replicas != defaultReplicas {
		all = append(all, setting{"opensearch", "replica_count", replicas})
	}
	return all
}

// users are the spec's own settings, sorted: those of the top level first.
func users(settings map[string]map[string]any) []setting {
	var all []setting
	for _, group := range slices.Sorted(maps.Keys(settings)) {
		for _, key := range slices.Sorted(maps.Keys(settings[group])) {
			all = append(all, setting{group, key, settings[group][key]})
		}
	}
	return all
}
