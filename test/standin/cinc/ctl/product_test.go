package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/cinc"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
)

// What cincbake writes is what the stand-in reads: configuration, and secrets store.
func TestReadsWhatCincbakeWrites(t *testing.T) {
	dir := t.TempDir()
	in := role.Inputs{
		Cluster: &cluster.Resolved{
			Name: "prod", Platform: cluster.OnPrem, Domain: "chef.example.com", LB: &cluster.LB{Kind: cluster.LBNodes},
			API: &cluster.API{Min: 2, Max: 2}, Postgres: &cluster.Postgres{Version: 13}, OpenSearch: &cluster.OpenSearch{Version: "1.3.20", Shards: 3, Replicas: 2},
			Cinc: &cluster.Cinc{Version: "15.10.91", Settings: map[string]map[string]any{
				"opscode_erchef": {"depsolver_timeout": 10000}, "lb": {"xmaint_allowed_ips_list": []any{"192.0.2.1", "it's"}},
			}},
		},
		Self: cluster.Node{Name: "api-1", Role: cluster.RoleAPI, Slot: 1},
	}
	text, err := cinc.Configuration(in)
	if err != nil {
		t.Fatal(err)
	}
	// The password's file is this test's own.
	password := filepath.Join(dir, "password")
	if err := write(password, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := parse(strings.ReplaceAll(string(text), "/etc/cinc-project/search-password", password))
	if err != nil {
		t.Fatal(err)
	}
	if c.text("", "api_fqdn", "") != "chef.example.com" || c.text("opscode_erchef", "search_auth_password", "") != "secret" ||
		storage(c) != "sql" || c.number("opscode_erchef", "depsolver_timeout", 0) != 10000 || c.truth("", "insecure_addon_compat", true) {
		t.Errorf("read %v of:\n%s", c, text)
	}

	made := secrets.New("owner-password")
	for _, bootstrap := range []bool{true, false} {
		content, err := cinc.Store(secrets.Cinc{
			DatabaseOwner: made, BifrostSuperuser: made, Superuser: secrets.KeyPEM{Private: made}, WebUI: secrets.KeyPEM{Private: made, Public: "public"},
		}, bootstrap)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "store.json")
		if err := write(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := loadStore(file)
		if err != nil {
			t.Fatal(err)
		}
		if serverOf(c, s).password != "owner-password" || !s.hasSecrets() || (s.get("chef-server", "superuser_key") == "") != bootstrap {
			t.Errorf("bootstrap %v: read %v", bootstrap, s)
		}
	}
}
