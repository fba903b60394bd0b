package cluster

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSettingsSurviveTheNodeDocument: a number must not come back as another type than it left.
func TestSettingsSurviveTheNodeDocument(t *testing.T) {
	want := Settings{"": {"a": "text", "b": 7, "c": true}, "nginx": {"list": []any{"x", 1, false}, "empty": []any{}}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Settings
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, bad := range []string{`{"a": {"b": 1.5}}`, `{"a": {"b": null}}`, `{"a": {"b": {"c": 1}}}`, `{"a": {"b": [[1]]}}`, `{"a": 1}`, `[]`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s was taken: %v", bad, got)
		}
	}
}

// TestReservedSettings: what a node cannot do without (the fact sheet's minimal configuration) is nobody else's to write.
func TestReservedSettings(t *testing.T) {
	for _, name := range strings.Fields(`.topology .api_fqdn .insecure_addon_compat postgresql.external postgresql.vip postgresql.port postgresql.db_superuser
		postgresql.sslmode opensearch.external opensearch.external_url opscode_erchef.search_provider opscode_erchef.search_queue_mode
		opscode_erchef.search_auth_username opscode_erchef.telemetry_enabled bookshelf.storage_type bookshelf.vip nginx.ssl_certificate
		nginx.ssl_certificate_key nginx.ssl_dhparam nginx.log_x_forwarded_for opscode_erchef.db_pool_size oc_bifrost.db_pool_init
		bookshelf.db_pool_max oc_id.db_pool_size elasticsearch.anything`) {
		group, key, _ := strings.Cut(name, ".")
		if why, reserved := ReservedSetting(group, key); !reserved || why == "" {
			t.Errorf("%s may be written by anyone", name)
		}
	}
	for _, name := range strings.Fields(`.default_orgname nginx.ssl_protocols opscode_erchef.depsolver_timeout oc_id.administrators ldap.host postgresql.max_connections`) {
		group, key, _ := strings.Cut(name, ".")
		if why, reserved := ReservedSetting(group, key); reserved {
			t.Errorf("%s is reserved: %s", name, why)
		}
	}
	for _, name := range []string{"sql_password", "db_superuser_password", "secret_access_key", "access_key_id", "secret_key_base", "token", "bind_password"} {
		if !holdsSecret(name) {
			t.Errorf("%s is no secret", name)
		}
	}
}

// TestSettingsAreNotRepeated: a secret that was written as a setting by mistake is refused by name and never shown.
func TestSettingsAreNotRepeated(t *testing.T) {
	const planted = "0777777777" // a number to YAML, in octal
	for _, line := range []string{
		"ldap: {bind_password: " + planted + "}", "opscode_erchef: {sql_password: [" + planted + "]}", "my_token: " + planted,
		"postgresql: {db_superuser_password: " + planted + "}",
	} {
		text := strings.Replace(everything, "default_orgname: acme", line, 1)
		if strings.HasPrefix(line, "opscode_erchef") {
			text = strings.Replace(text, "    opscode_erchef: {depsolver_timeout: 10000, strict_search_result_acls: true}\n", "", 1)
		}
		problems := parseBroken(t, "cluster.yaml", []byte(text))
		if strings.Contains(problems.Error(), planted) || problems[0].Rule != ruleValueType {
			t.Errorf("%s: %v", line, problems)
		}
		problems = parseBroken(t, "cluster.yaml", []byte(strings.ReplaceAll(text, planted, "PLANTED7PAYLOAD")))
		if strings.Contains(problems.Error(), "PLANTED7PAYLOAD") || problems[0].Rule != "setting-secret" {
			t.Errorf("%s: %v", line, problems)
		}
	}
}

func TestArchOf(t *testing.T) {
	for instanceType, want := range map[string]string{
		"m6i.xlarge": "amd64", "t3.small": "amd64", "g4dn.xlarge": "amd64", "r7iz.large": "amd64", "u-6tb1.metal": "amd64", "i3en.large": "amd64",
		"m7g.xlarge": "arm64", "t4g.small": "arm64", "c7gn.large": "arm64", "a1.large": "arm64", "im4gn.large": "arm64", "x2gd.large": "arm64", "g5g.xlarge": "arm64",
		"xlarge": "", "": "", ".large": "",
	} {
		if got := archOf(instanceType); got != want {
			t.Errorf("%s: %q, want %q", instanceType, got, want)
		}
	}
}
