package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write makes a folder with files in it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSettings(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want settings
		says string
	}{
		"dotted":  {"cluster.name: prod\nhttp.port: 9200\n", settings{"cluster.name": "prod", "http.port": 9200}, ""},
		"nested":  {"plugins:\n  security:\n    ssl.http:\n      enabled: true\n", settings{"plugins.security.ssl.http.enabled": true}, ""},
		"list":    {"node.roles: [master, data]\n", settings{"node.roles": []any{"master", "data"}}, ""},
		"comment": {"# nothing\n", settings{}, ""},
		"both":    {"a.b: 1\na:\n  b: 2\n", nil, "a.b is there twice"},
		"broken":  {"a: [\n", nil, "opensearch.yml"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{settingsFile: test.text})
			got, err := readSettings(filepath.Join(dir, settingsFile))
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("%v, want %q", err, test.says)
				}
				return
			}
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// Only what the plain server can't know goes, and only what it answers over HTTP moves.
func TestBehind(t *testing.T) {
	given := settings{
		"cluster.name": "prod", "network.host": "10.0.0.1", "http.port": 9200, "http.publish_host": "10.0.0.1", "transport.port": 9300,
		"plugins.security.disabled": false, "plugins.security.nodes_dn": []any{"CN=a"}, "plugins.sql.enabled": true,
	}
	got, err := given.behind("127.0.0.1:19200")
	want := settings{
		"cluster.name": "prod", "network.host": "10.0.0.1", "http.host": "127.0.0.1", "http.port": "19200", "transport.port": 9300,
		"plugins.sql.enabled": true, // the real server refuses it, and says so
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if len(given) != 8 {
		t.Errorf("the settings themselves were changed: %v", given)
	}
}

func TestListen(t *testing.T) {
	for name, test := range map[string]struct {
		given settings
		want  []string
		says  string
	}{
		"nothing said": {settings{}, []string{"127.0.0.1:9200"}, ""},
		"network":      {settings{"network.host": "10.0.0.1"}, []string{"10.0.0.1:9200"}, ""},
		"http first":   {settings{"network.host": "10.0.0.1", "http.host": "::1", "http.port": 9443}, []string{"[::1]:9443"}, ""},
		"two":          {settings{"network.host": []any{"_local_", "10.0.0.1"}}, []string{"127.0.0.1:9200", "10.0.0.1:9200"}, ""},
		"commas":       {settings{"network.host": "10.0.0.1, 10.0.0.2"}, []string{"10.0.0.1:9200", "10.0.0.2:9200"}, ""},
		"magic":        {settings{"network.host": "_site_"}, nil, "_site_"},
		"range":        {settings{"http.port": "9200-9300"}, nil, "a number only"},
	} {
		got, err := test.given.listen()
		if test.says != "" {
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v, want %q", name, err, test.says)
			}
			continue
		}
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// The server gets Java's options and its keystore, and no key or certificate.
func TestCopyConfiguration(t *testing.T) {
	from := write(t, map[string]string{
		"jvm.options": "-Xmx1g\n", "jvm.options.d/heap.options": "-Xmx2g\n", "log4j2.properties": "x", keystoreFile: "k", "node.key": "secret", settingsFile: "plugins.security.disabled: true\n",
	})
	to := t.TempDir()
	if err := copyConfiguration(from, to, settings{"cluster.name": "prod"}); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := filepath.WalkDir(to, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(to, path)
			got = append(got, name)
		}
		return err
	})
	want := []string{"jvm.options", "jvm.options.d/heap.options", "log4j2.properties", keystoreFile, settingsFile}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if text, err := os.ReadFile(filepath.Join(to, settingsFile)); err != nil || string(text) != "cluster.name: prod\n" {
		t.Errorf("%q %v", text, err)
	}
	if err := copyConfiguration(t.TempDir(), t.TempDir(), settings{}); err != nil {
		t.Errorf("a configuration without options: %v", err)
	}
}
