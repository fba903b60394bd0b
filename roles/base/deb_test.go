package base

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// bench is a machine in which a bake installs a package.
func bench(version string) *step.Recorder {
	host := step.NewRecorder()
	installed := false
	host.Answer = func(command step.Command) (step.Output, error) {
		switch command.Argv[0] {
		case "dpkg-query":
			if !installed {
				return step.Output{}, &step.ExitError{Argv: command.Argv, Status: 1}
			}
			return step.Output{Stdout: []byte("ii  " + version)}, nil
		case "apt-get":
			installed = true
		}
		return step.Output{}, nil
	}
	return host
}

func TestDeb(t *testing.T) {
	digest := strings.Repeat("ab", 32)
	fetched := cluster.RecipePackage{Version: "15.10.91", Digest: "sha256:" + digest, URL: "https://example.com/p.deb"}
	uploaded := fetched
	uploaded.URL = ""
	file := "/var/cache/cincbake/packages/" + digest + ".deb"
	for _, test := range []struct {
		name    string
		pack    cluster.RecipePackage
		there   bool // the file is, before the bake
		version string
		want    []string // programs that run, in order
		says    string   // of the error
	}{
		{"fetched", fetched, false, "15.10.91-1", []string{"dpkg-query", "/usr/lib/apt/apt-helper", "sha256sum", "apt-get", "dpkg-query"}, ""},
		{"put in place", uploaded, true, "15.10.91-1", []string{"dpkg-query", "sha256sum", "apt-get", "dpkg-query"}, ""},
		{"put in place although there is a URL", fetched, true, "15.10.91", []string{"dpkg-query", "sha256sum", "apt-get", "dpkg-query"}, ""},
		{"nobody put it in place", uploaded, false, "", []string{"dpkg-query"}, "was not put at " + file},
		{"another version", fetched, false, "15.10.90-1", []string{"dpkg-query", "/usr/lib/apt/apt-helper", "sha256sum", "apt-get", "dpkg-query"}, `installed p "15.10.90" and the recipe says "15.10.91"`},
		{"no digest", cluster.RecipePackage{Version: "1"}, true, "", []string{"dpkg-query"}, "neither sha256"},
	} {
		t.Run(test.name, func(t *testing.T) {
			host := bench(test.version)
			if test.there {
				host.Entries[file] = step.Entry{Kind: step.KindFile}
			}
			plan := step.Plan{{Action: Deb{Name: "p", Package: test.pack}}}
			_, err := plan.Apply(t.Context(), host, nil)
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("got %v, want %q", err, test.says)
			}
			var ran []string
			for _, command := range host.Ran {
				ran = append(ran, command.Argv[0])
				if command.Argv[0] == "sha256sum" && string(command.Stdin) != digest+"  "+file+"\n" {
					t.Errorf("sha256sum was asked to check %q", command.Stdin)
				}
				if command.Argv[0] == "/usr/lib/apt/apt-helper" && command.Argv[len(command.Argv)-1] != "SHA256:"+digest {
					t.Errorf("apt-helper was not given the digest: %v", command.Argv)
				}
			}
			if diff := cmp.Diff(test.want, ran); diff != "" {
				t.Errorf("programs (-want +got):\n%s", diff)
			}
			if err != nil {
				return
			}
			if changed, err := plan.Apply(t.Context(), host, nil); err != nil || changed != 0 {
				t.Errorf("the second time it changed %d, %v", changed, err)
			}
			if _, err := host.Read(file); err == nil {
				t.Error("the file stays in the image")
			}
		})
	}
}

func TestHosts(t *testing.T) {
	self := cluster.Node{Name: "api", Role: cluster.RoleAPI}
	in := role.Inputs{
		Cluster: &cluster.Resolved{Name: "prod", Nodes: []cluster.Node{self, {Name: "postgres-1"}}},
		Self:    self,
		Facts:   cluster.Facts{Hostname: "ip-10-30-1-2"},
	}
	const head = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.0.1 chef.example.com\n"
	for addresses, want := range map[string]string{"": head, "10.30.1.2": head + "10.30.1.2 api.prod.internal api ip-10-30-1-2\n"} {
		in.Facts.Addresses = parse(t, addresses)
		if diff := cmp.Diff(want, string(hosts(in, []string{"chef.example.com"}))); diff != "" {
			t.Errorf("with address %q (-want +got):\n%s", addresses, diff)
		}
	}
}

func parse(t *testing.T, address string) []netip.Addr {
	t.Helper()
	if address == "" {
		return nil
	}
	return []netip.Addr{netip.MustParseAddr(address)}
}
