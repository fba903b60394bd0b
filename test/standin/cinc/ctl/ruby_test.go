package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		text, fails string
		want        settings
	}{
		{text: "", want: settings{}},
		{text: "# a comment\n\n", want: settings{}},
		{text: "topology 'standalone'", want: settings{"": {"topology": "standalone"}}},
		{text: "insecure_addon_compat false", want: settings{"": {"insecure_addon_compat": false}}},
		{text: `api_fqdn 'it\'s \\ \n'`, want: settings{"": {"api_fqdn": `it's \ \n`}}},
		{text: "bookshelf['storage_type'] = :sql", want: settings{"bookshelf": {"storage_type": symbol("sql")}}},
		{text: "postgresql['port'] = 5432\npostgresql['port'] = -1", want: settings{"postgresql": {"port": -1}}},
		{text: "lb['xmaint_allowed_ips_list'] = ['127.0.0.1', 2, true]", want: settings{"lb": {"xmaint_allowed_ips_list": []any{"127.0.0.1", 2, true}}}},
		{text: "lb['xmaint_allowed_ips_list'] = []", want: settings{"lb": {"xmaint_allowed_ips_list": []any{}}}},
		{text: "oc_id['x'] = File.read('" + file + "').strip", want: settings{"oc_id": {"x": "secret"}}},

		{text: "topologie 'standalone'", fails: ":1: undefined local variable or method 'topologie'"},
		{text: "\nnginks['x'] = 1", fails: ":2: undefined local variable or method 'nginks'"},
		{text: "puts(1)", fails: "reads KEY VALUE"},
		{text: "topology ENV['X']", fails: "does not read"},
		{text: "topology 'a' 'b'", fails: "left over"},
		{text: "topology 'a", fails: "without its end"},
		{text: "lb['x'] = ['a'", fails: "without its end"},
		{text: `topology "a"`, fails: "does not read"},
		{text: "oc_id['x'] = File.read('/nowhere').strip", fails: "/nowhere"},
		{text: "oc_id['x'] = File.read('" + file + "')", fails: "File.read('PATH').strip only"},
	} {
		got, err := parse(test.text)
		if test.fails != "" {
			if err == nil || !strings.Contains(err.Error(), test.fails) {
				t.Errorf("%q: got %v, want %q", test.text, err, test.fails)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.text, diff)
		}
	}
}
