package base_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

func machine() role.Inputs {
	self := cluster.Node{Name: "lb-1", Role: cluster.RoleLB, Slot: 1, Address: netip.MustParseAddr("10.20.0.11")}
	r := &cluster.Resolved{
		Name: "prod", Platform: cluster.OnPrem, Nodes: []cluster.Node{self},
		Network: cluster.Network{Prefix: netip.MustParsePrefix("10.20.0.0/24")},
	}
	return role.Inputs{Cluster: r, Self: self}
}

// Certificates of the spec become one file each, whatever stands between them, and the bundle is made once they are there.
func TestSpecsCertificatesAreTrusted(t *testing.T) {
	const first, second = "-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nQg==\n-----END CERTIFICATE-----\n"
	in := machine()
	in.Cluster.CACertificates = "corporate root\n" + first + "\n\nits successor\n" + second
	host := step.NewRecorder()
	if _, err := base.Boot(in).Apply(context.Background(), host, nil); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/usr/local/share/ca-certificates/cincbake-1.crt": first,
		"/usr/local/share/ca-certificates/cincbake-2.crt": second,
	} {
		if got := string(host.Entries[path].Content); got != want {
			t.Errorf("%s holds %q, want %q", path, got, want)
		}
	}
	made := func() (times int) {
		for _, c := range host.Ran {
			if c.Argv[0] == "update-ca-certificates" {
				times++
			}
		}
		return times
	}
	if made() != 1 {
		t.Errorf("the bundle was made %d times", made())
	}
	host.Entries["/etc/ssl/certs/cincbake-2.pem"] = step.Entry{Kind: step.KindSymlink}
	if _, err := base.Boot(in).Apply(context.Background(), host, nil); err != nil || made() != 1 {
		t.Errorf("a second boot made the bundle again: %d times, %v", made(), err)
	}
	in.Cluster.CACertificates = ""
	if text := base.Boot(in).Describe(); strings.Contains(text, "ca-certificates") {
		t.Errorf("without certificates there is nothing to trust:\n%s", text)
	}
}

// Where the cluster does not say a machine's address, the machine does.
func TestAddress(t *testing.T) {
	in := machine()
	in.Facts.Addresses = []netip.Addr{netip.MustParseAddr("10.30.1.5")}
	if got, err := base.Address(in); err != nil || got != in.Self.Address {
		t.Errorf("%v, %v", got, err)
	}
	in.Self.Address = netip.Addr{}
	if got, err := base.Address(in); err != nil || got.String() != "10.30.1.5" {
		t.Errorf("%v, %v", got, err)
	}
	in.Facts.Addresses = nil
	if _, err := base.Address(in); err == nil {
		t.Error("no address at all must be an error")
	}
}

func TestSysctl(t *testing.T) {
	file, ok := base.Sysctl("opensearch", "vm.max_map_count=262144", "vm.swappiness=1").Action.(step.File)
	if !ok || file.Path != "/etc/sysctl.d/60-cincbake-opensearch.conf" || string(file.Content) != "vm.max_map_count=262144\nvm.swappiness=1\n" {
		t.Errorf("%+v", file)
	}
}
