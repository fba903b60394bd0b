package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
	"gopkg.in/yaml.v3"

	"github.com/cincbake/cincbake/test/standin/deb"
)

// pretended is a tree as the server's archive has it, and a folder as compile leaves it.
func pretended(t *testing.T, options string) (tree, made string) {
	t.Helper()
	tree, made = t.TempDir(), t.TempDir()
	for file, content := range map[string]string{
		filepath.Join(tree, "lib", "opensearch.jar"):             "jar",
		filepath.Join(tree, "modules", "reindex", "reindex.jar"): "jar",
		filepath.Join(tree, "bin", "opensearch"):                 "#!/bin/bash\n",
		filepath.Join(tree, "config", "jvm.options"):             options,
		filepath.Join(tree, "config", "log4j2.properties"):       "x",
		filepath.Join(tree, "LICENSE.txt"):                       "x",
		filepath.Join(tree, "NOTICE.txt"):                        "x",
		filepath.Join(tree, "README.md"):                         "x",
		filepath.Join(made, frontName):                           "x",
		filepath.Join(made, preloadName):                         "x",
	} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return tree, made
}

const javaOptions = "-Xmx1g\n-XX:HeapDumpPath=data\n-XX:ErrorFile=logs/hs_err_pid%p.log\n9-:-Xlog:gc*:file=logs/gc.log\n"

// contentOf returns a file of the package.
func contentOf(t *testing.T, p deb.Package, path string) string {
	t.Helper()
	for _, f := range p.Files {
		if f.Path != path {
			continue
		}
		if f.Read == nil {
			return string(f.Content)
		}
		content, err := f.Read()
		if err != nil {
			t.Fatal(err)
		}
		defer content.Close()
		text, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	t.Fatalf("the package has no %s", path)
	return ""
}

// The package has what the role's bake takes away and what it relies on, and no key lies about before its script ran.
func TestContents(t *testing.T) {
	p, err := contents(pretended(t, javaOptions))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		pluginDir + "/opensearch-sql/plugin-descriptor.properties", "/var/lib/opensearch/rca_enabled.conf",
		"/usr/lib/systemd/system/opensearch-performance-analyzer.service", security + "/securityconfig/roles.yml",
		home + "/modules/reindex/reindex.jar", standin + "/bin/opensearch",
	} {
		contentOf(t, p, path)
	}
	options := contentOf(t, p, configDir+"/jvm.options")
	if strings.Contains(options, "=data") || strings.Contains(options, "=logs") || !strings.Contains(options, "file=/var/log/opensearch/gc.log") {
		t.Errorf("Java's files go to:\n%s", options)
	}
	script := contentOf(t, p, security+"/tools/install_demo_configuration.sh")
	for _, name := range []string{"esnode.pem", "esnode-key.pem", "kirk.pem", "kirk-key.pem", "root-ca.pem"} {
		if !strings.Contains(script, "$config_dir/"+name+" ") {
			t.Errorf("the demonstration has no %s", name)
		}
	}
	if strings.Contains(script, "@KEYS@") || strings.Count(script, "-----BEGIN PRIVATE KEY-----") != 2 {
		t.Error("the script has not the keys of the demonstration")
	}
	for _, f := range p.Files {
		if f.Read == nil && f.Path != security+"/tools/install_demo_configuration.sh" && strings.Contains(string(f.Content), "PRIVATE KEY") {
			t.Errorf("%s is a key", f.Path)
		}
	}
	if !strings.Contains(p.Summary, "TEST FIXTURE") || p.Version != "1.3.20" {
		t.Errorf("it says of itself: %s %s", p.Version, p.Summary)
	}
}

// Another version of the server would have other options: they must not be missed silently.
func TestUnknownOptions(t *testing.T) {
	if _, err := contents(pretended(t, "-Xmx1g\n")); err == nil || !strings.Contains(err.Error(), "HeapDumpPath") {
		t.Errorf("%v", err)
	}
}

// The demonstration's users are what the official package's are: known.
func TestDemonstrationUsers(t *testing.T) {
	text, err := files.ReadFile("files/internal_users.yml")
	if err != nil {
		t.Fatal(err)
	}
	var users map[string]struct{ Hash string }
	if err := yaml.Unmarshal(text, &users); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"admin", "kibanaserver"} {
		if err := bcrypt.CompareHashAndPassword([]byte(users[name].Hash), []byte(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestArguments(t *testing.T) {
	for _, arguments := range [][]string{{}, {"--out", "x", "more"}, {"--nonsense"}} {
		if err := run(t.Context(), arguments, io.Discard); err == nil {
			t.Errorf("%v was taken", arguments)
		}
	}
}
