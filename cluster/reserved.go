package cluster

import "strings"

// reservedSettings are the settings of cinc-server.rb that cincbake writes itself, or that would undo what it arranges, with
// the reason. An entry for a group alone stands for every key in it; "." opens a top-level setting.
func reservedSettings() map[string]string {
	const (
		tiers     = "it follows from the spec's tiers"
		pools     = "the database's connections are counted from it"
		names     = "it follows from domain"
		proxy     = "the load balancer relies on it"
		authority = "it follows from tls and the cluster's secrets"
	)
	return map[string]string{
		".api_fqdn": names, ".topology": tiers, ".role": tiers, ".use_chef_backend": tiers, ".chef_backend_members": tiers,
		".backend_vip":           tiers,
		".insecure_addon_compat": "secrets would be written where every program can read them",
		".ip_version":            "clusters are IPv4",

		"postgresql.external": tiers, "postgresql.vip": tiers, "postgresql.port": tiers, "postgresql.sslmode": tiers,
		"postgresql.db_superuser": tiers, "postgresql.db_connection_superuser": tiers,

		"opensearch.external": tiers, "opensearch.external_url": tiers, "opensearch.enable": tiers,
		"opensearch.shard_count": tiers, "opensearch.replica_count": tiers, "elasticsearch": tiers,

		"opscode_erchef.search_provider": tiers, "opscode_erchef.search_queue_mode": tiers, "opscode_erchef.search_auth_username": tiers,
		"opscode_erchef.telemetry_enabled": "nothing is sent to anyone",
		"opscode_erchef.db_pool_size":      pools, "opscode_erchef.db_pool_max": pools, "opscode_erchef.db_pool_init": pools,
		"oc_bifrost.db_pool_size": pools, "oc_bifrost.db_pool_max": pools, "oc_bifrost.db_pool_init": pools,
		"bookshelf.db_pool_size": pools, "bookshelf.db_pool_max": pools, "bookshelf.db_pool_init": pools,
		"oc_id.db_pool_size":      pools,
		"oc_bifrost.superuser_id": authority,

		"bookshelf.enable": tiers, "bookshelf.storage_type": "it cannot be changed once data is there", "bookshelf.vip": names, "bookshelf.vip_port": names,

		"nginx.server_name": names, "nginx.url": names,
		"nginx.ssl_certificate": authority, "nginx.ssl_certificate_key": authority, "nginx.ssl_dhparam": "the image has one",
		"nginx.ssl_port": proxy, "nginx.non_ssl_port": proxy, "nginx.x_forwarded_proto": proxy, "nginx.enable_ipv6": "clusters are IPv4",
		"nginx.strict_host_header": proxy, "nginx.log_x_forwarded_for": proxy, "data_collector.health_check": proxy,
	}
}

// ReservedSetting tells whether a setting of cinc-server.rb is cincbake's own to write, and why. Group "" is the top level.
func ReservedSetting(group, key string) (why string, reserved bool) {
	table := reservedSettings()
	for _, name := range []string{group + "." + key, group} {
		if why, reserved = table[name]; reserved && name != "" {
			return why, true
		}
	}
	return "", false
}

// holdsSecret tells whether a setting's value is a secret by its name: veil's required ones and the optional ones all end so.
func holdsSecret(name string) bool {
	for _, mark := range []string{"password", "secret", "token", "access_key_id"} {
		if strings.Contains(name, mark) {
			return true
		}
	}
	return strings.HasSuffix(name, "_key_base")
}
