package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Two builds are the same bytes, and the first word that is printed is where they are.
func TestBuildIsDeterministic(t *testing.T) {
	var first []byte
	for range 2 {
		dir := t.TempDir()
		var out bytes.Buffer
		if err := run(t.Context(), []string{"--out", dir}, &out); err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(out.String())
		if len(words) != 2 || words[0] != filepath.Join(dir, "cinc-server-core_15.10.91-1_amd64.deb") || !strings.HasPrefix(words[1], "sha256:") {
			t.Fatalf("printed %q", out.String())
		}
		content, err := os.ReadFile(words[0])
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(first, content) {
			t.Error("the second build made other bytes")
		}
		first = content
	}
	if err := run(t.Context(), nil, &bytes.Buffer{}); err == nil {
		t.Error("a build without a folder must fail")
	}
}

// The layout is the real one's; nothing in it is configured, and whoever looks sees what it is.
func TestContents(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("program"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := contents(program)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, file := range p.Files {
		got[file.Path] = file.Link
	}
	want := map[string]string{
		"/opt/cinc-project/bin/cinc-server-ctl":                        "",
		"/opt/cinc-project/embedded/cookbooks/infra-server/README.txt": "",
		"/opt/cinc-project/embedded/ssl/certs/cacert.pem":              "",
		"/opt/cinc-project/sv":                                         "",
		"/opt/cinc-project/service":                                    "",
		"/opt/cinc-project/init":                                       "",
		"/usr/bin/cinc-server-ctl":                                     control,
		"/usr/bin/private-cinc-ctl":                                    control,
		"/usr/bin/chef-server-ctl":                                     control,
		"/etc/systemd/system/goiardi.service":                          "/dev/null",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, text := range []string{p.Summary, p.Scripts["postinst"]} {
		if !strings.Contains(text, "STAND-IN") && !strings.Contains(text, "stands in") {
			t.Errorf("not labelled: %s", text)
		}
	}
}
