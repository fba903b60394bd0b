package base_test

import (
	"context"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// baked is a machine after the bake, in memory: what verify wants to see is there, and nothing else.
func baked() *step.Recorder {
	host := step.NewRecorder()
	for _, path := range []string{
		role.AgentPath,
		"/etc/systemd/system/multi-user.target.wants/" + role.UnitBoot,
		"/etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
		"/etc/systemd/system/sysinit.target.wants/cincbake-firewall.service",
		"/etc/machine-id",
	} {
		host.Entries[path] = step.Entry{Kind: step.KindFile}
	}
	return host
}

func failing(host step.Host) (names []string) {
	for _, check := range base.Verify() {
		if err := check.Run(context.Background(), host); err != nil {
			names = append(names, check.Name)
		}
	}
	return names
}

// Each thing that must not be in an image is found by name, and gone once the machine was sealed.
func TestPlantedIsFoundAndSealed(t *testing.T) {
	if names := failing(baked()); len(names) > 0 {
		t.Fatalf("a clean image fails %v", names)
	}
	for _, test := range []struct {
		path   string
		text   string
		check  string
		sealed bool // sealing mends it
	}{
		{"/etc/machine-id", "0123456789abcdef\n", "machine-id", true},
		{"/etc/ssh/ssh_host_ed25519_key", "key", "ssh-host-key", true},
		{"/etc/ssl/private/ssl-cert-snakeoil.key", "key", "snakeoil-key", true},
		{"/root/.ssh", "", "authorized-key", true},
		{"/root/.bash_history", "ls", "history", true},
		{"/usr/sbin/policy-rc.d", "exit 101", "policy-rc.d", true},
		{"/var/lib/cloud/instance", "", "cloud-init-state", true},
		// A machine that has booted once is no source for an image: sealing does not hide that.
		{"/etc/cincbake/node.json", "{}", "node-document", false},
		{"/etc/cincbake/secrets.json", "{}", "node-secrets", false},
	} {
		t.Run(test.check, func(t *testing.T) {
			host := baked()
			host.Entries[test.path] = step.Entry{Kind: step.KindFile, Content: []byte(test.text)}
			if names := failing(host); len(names) != 1 || names[0] != test.check {
				t.Fatalf("planted %s: failing %v, want %s", test.path, names, test.check)
			}
			if _, err := base.Seal().Apply(context.Background(), host, nil); err != nil {
				t.Fatal(err)
			}
			if names := failing(host); (len(names) == 0) != test.sealed {
				t.Errorf("after sealing: failing %v", names)
			}
		})
	}
	for _, missing := range []struct{ path, check string }{
		{role.AgentPath, "agent"},
		{"/etc/systemd/system/multi-user.target.wants/" + role.UnitBoot, "agent"},
		{"/etc/systemd/system/multi-user.target.wants/systemd-networkd.service", "networkd"},
		{"/etc/systemd/system/sysinit.target.wants/cincbake-firewall.service", "firewall"},
	} {
		host := baked()
		delete(host.Entries, missing.path)
		if names := failing(host); len(names) != 1 || names[0] != missing.check {
			t.Errorf("without %s: failing %v, want %s", missing.path, names, missing.check)
		}
	}
}

// Two bakes on two days must not differ, and what is no date must stay as it is.
func TestSealFixesDates(t *testing.T) {
	host := baked()
	host.Entries["/etc/shadow"] = step.Entry{Kind: step.KindFile, Mode: 0o640, Content: []byte("root:*:20783:0:99999:7:::\netcd:!:::::::\n")}
	host.Entries["/var/cache/debconf/config.dat"] = step.Entry{Kind: step.KindFile, Content: []byte("Name: x\nVariables:\n NEW = /tmp/postgresql-common.AbC123\n OLD = /etc/x\n")}
	if _, err := base.Seal().Apply(context.Background(), host, nil); err != nil {
		t.Fatal(err)
	}
	shadow := host.Entries["/etc/shadow"]
	if got := string(shadow.Content); got != "root:*:19675:0:99999:7:::\netcd:!:::::::\n" || shadow.Mode != 0o640 {
		t.Errorf("shadow is %q, %04o", got, shadow.Mode)
	}
	if got := string(host.Entries["/var/cache/debconf/config.dat"].Content); strings.Contains(got, "AbC123") || !strings.Contains(got, "OLD") {
		t.Errorf("config.dat is %q", got)
	}
	changed, err := base.Seal().Apply(context.Background(), host, nil)
	if err != nil || changed != 0 {
		t.Errorf("sealing twice changed %d steps, %v", changed, err)
	}
}

func TestDisabledUnits(t *testing.T) {
	host := baked()
	check := base.DisabledUnits("etcd.service", "patroni.service")
	if err := check.Run(context.Background(), host); err != nil {
		t.Fatal(err)
	}
	host.Entries["/etc/systemd/system/multi-user.target.wants/patroni.service"] = step.Entry{Kind: step.KindSymlink}
	if err := check.Run(context.Background(), host); err == nil || !strings.Contains(err.Error(), "patroni.service") {
		t.Errorf("an enabled unit: %v", err)
	}
}
