package opensearch

import (
	"fmt"

	"github.com/cincbake/cincbake/roles/role"
)

// meta opens every file of the security plugin.
type meta struct {
	Type    string `yaml:"type"`
	Version int    `yaml:"config_version"`
}

func metaOf(kind string) meta { return meta{kind, 2} }

type users struct {
	Meta  meta            `yaml:"_meta"`
	Users map[string]user `yaml:",inline"`
}

type user struct {
	Hash         string   `yaml:"hash"`
	Reserved     bool     `yaml:"reserved"` // not to be changed over the REST API
	BackendRoles []string `yaml:"backend_roles,omitempty"`
	Description  string   `yaml:"description"`
}

type permissions struct {
	Meta  meta                  `yaml:"_meta"`
	Roles map[string]permission `yaml:",inline"`
}

type permission struct {
	Reserved bool              `yaml:"reserved"`
	Cluster  []string          `yaml:"cluster_permissions"`
	Index    []indexPermission `yaml:"index_permissions"`
}

type indexPermission struct {
	Patterns []string `yaml:"index_patterns"`
	Actions  []string `yaml:"allowed_actions"`
}

type mappings struct {
	Meta  meta               `yaml:"_meta"`
	Roles map[string]mapping `yaml:",inline"`
}

type mapping struct {
	Reserved     bool     `yaml:"reserved"`
	BackendRoles []string `yaml:"backend_roles,omitempty"`
	Users        []string `yaml:"users,omitempty"`
}

type securityConfig struct {
	Meta   meta `yaml:"_meta"`
	Config struct {
		Dynamic struct {
			HTTP struct {
				Anonymous bool `yaml:"anonymous_auth_enabled"`
			} `yaml:"http"`
			Authentication map[string]authentication `yaml:"authc"`
		} `yaml:"dynamic"`
	} `yaml:"config"`
}

type authentication struct {
	HTTP          bool          `yaml:"http_enabled"`
	Transport     bool          `yaml:"transport_enabled"`
	Order         int           `yaml:"order"`
	Authenticator authenticator `yaml:"http_authenticator"`
	Backend       backend       `yaml:"authentication_backend"`
}

type authenticator struct {
	Type      string `yaml:"type"`
	Challenge bool   `yaml:"challenge"`
}

type backend struct {
	Type string `yaml:"type"`
}

type metaOnly struct {
	Meta meta `yaml:"_meta"`
}

// securityFile is a file that the security plugin makes its index of, when the cluster is first formed.
type securityFile struct {
	name    string
	content any
}

// demoFree returns the files with no user and no role in them: what the package brings has users with known passwords.
func demoFree() []securityFile {
	return []securityFile{
		{"internal_users.yml", metaOnly{metaOf("internalusers")}},
		{"roles.yml", metaOnly{metaOf("roles")}},
		{"roles_mapping.yml", metaOnly{metaOf("rolesmapping")}},
	}
}

// security returns the files of the machine's cluster.
func security(in role.Inputs) ([]securityFile, error) {
	if in.Secrets.OpenSearch == nil {
		return nil, fmt.Errorf("%s has no passwords of the search cluster in its secrets", in.Self.Name)
	}
	passwords := in.Secrets.OpenSearch
	config := securityConfig{Meta: metaOf("config")}
	config.Config.Dynamic.Authentication = map[string]authentication{
		"basic_internal_auth_domain": {
			HTTP: true, Transport: true,
			Authenticator: authenticator{"basic", true}, Backend: backend{"intern"},
		},
	}
	return []securityFile{
		{"config.yml", config},
		{"internal_users.yml", users{metaOf("internalusers"), map[string]user{
			"admin":         {passwords.AdminHash.Reveal(), true, []string{"admin"}, "may do everything; the operator's"},
			role.SearchUser: {passwords.CincHash.Reveal(), true, nil, "Cinc Server"},
		}}},
		{"roles.yml", permissions{metaOf("roles"), map[string]permission{cincRole: cincPermission()}}},
		{"roles_mapping.yml", mappings{metaOf("rolesmapping"), map[string]mapping{
			"all_access": {true, []string{"admin"}, nil}, // the plugin's own role
			cincRole:     {true, nil, []string{role.SearchUser}},
		}}},
	}, nil
}

// cincRole is the role of Cinc Server's user.
const cincRole = "cinc_server"

// cincPermission is what Cinc Server does with its search cluster, by its source: it makes and fills the index called chef,
// deletes by query (a scrolled search), and refreshes all indices. Health is for the router's check and for readiness, and the
// state, which holds no document, for naming the manager in the machines' status.
func cincPermission() permission {
	return permission{
		Reserved: true,
		Cluster:  []string{"cluster:monitor/main", "cluster:monitor/health", "cluster:monitor/state", "indices:data/write/bulk", "indices:data/read/scroll*"},
		Index: []indexPermission{
			{[]string{"chef"}, []string{"*"}},
			{[]string{"*"}, []string{"indices:admin/refresh*"}},
		},
	}
}
