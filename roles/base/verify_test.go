package base_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// image is a sealed machine's tree in a folder of this host. Programs that look for paths look below the folder.
type image struct {
	step.Machine
	dir string
}

func (i image) Run(ctx context.Context, command step.Command) (step.Output, error) {
	for n, word := range command.Argv {
		if n > 0 && strings.HasPrefix(word, "/") {
			command.Argv[n] = i.dir + word
		}
	}
	out, err := step.This().Run(ctx, command)
	out.Stdout = bytes.ReplaceAll(out.Stdout, []byte(i.dir), nil)
	return out, err
}

func (i image) put(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	full := filepath.Join(i.dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(full, mode); err != nil {
		t.Fatal(err)
	}
}

func (i image) link(t *testing.T, path, target string) {
	t.Helper()
	full := filepath.Join(i.dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, full); err != nil {
		t.Fatal(err)
	}
}

// clean is an image with nothing wrong.
func clean(t *testing.T) image {
	t.Helper()
	dir := t.TempDir()
	i := image{step.Folder(dir), dir}
	i.put(t, role.AgentPath, "program", 0o755)
	i.put(t, "/etc/machine-id", "", 0o444)
	i.put(t, "/etc/shadow", "root:*:19675:0:99999:7:::\netcd:!:19675::::::\nsshd:!*:19675::::::\n", 0o600)
	i.put(t, "/opt/cinc-project/embedded/gems/spec/key.pem", "-----BEGIN RSA PRIVATE KEY-----\n", 0o644)
	i.put(t, "/etc/ssl/openssl.cnf", "# private keys begin with PRIVATE KEY-----\n", 0o644)
	i.put(t, "/tmp/scratch", "", 0o666)
	for _, unit := range []string{"multi-user.target.wants/" + role.UnitBoot, "multi-user.target.wants/systemd-networkd.service", "sysinit.target.wants/cincbake-firewall.service"} {
		i.link(t, "/etc/systemd/system/"+unit, "/usr/lib/systemd/system/"+filepath.Base(unit))
	}
	i.link(t, "/etc/systemd/system/timers.target.wants/apt-daily.timer", "/usr/lib/systemd/system/apt-daily.timer")
	i.link(t, "/etc/systemd/system/apt-daily.timer", "/dev/null") // masked: it does not start
	return i
}

func failing(t *testing.T, host step.Host) (names []string) {
	t.Helper()
	for _, check := range base.Verify() {
		if err := check.Run(t.Context(), host); err != nil {
			names = append(names, check.Name)
		}
	}
	return names
}

// Each thing that must not be in an image is found, by name.
func TestPlantedIsFound(t *testing.T) {
	if names := failing(t, clean(t)); len(names) > 0 {
		t.Fatalf("a clean image fails %v", names)
	}
	file := func(path, text string, mode os.FileMode) func(*testing.T, image) {
		return func(t *testing.T, i image) { t.Helper(); i.put(t, path, text, mode) }
	}
	enabled := func(unit string) func(*testing.T, image) {
		return func(t *testing.T, i image) {
			t.Helper()
			i.link(t, "/etc/systemd/system/"+unit, "/usr/lib/systemd/system/"+filepath.Base(unit))
		}
	}
	gone := func(path string) func(*testing.T, image) {
		return func(t *testing.T, i image) {
			t.Helper()
			if err := os.Remove(filepath.Join(i.dir, path)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name  string
		plant func(*testing.T, image)
		check string
	}{
		{"a host key", file("/etc/ssh/ssh_host_ed25519_key", "key", 0o600), "ssh-host-key"},
		{"a private key in /etc", file("/etc/tool/server.key", "-----BEGIN PRIVATE KEY-----\n", 0o600), "private-key"},
		{"a private key of OpenSSH's form at home", file("/home/admin/id", "-----BEGIN OPENSSH PRIVATE KEY-----\n", 0o600), "private-key"},
		{"a private key behind a certificate", file("/var/lib/tool/both.pem", "-----BEGIN CERTIFICATE-----\n\n-----BEGIN EC PRIVATE KEY-----\n", 0o600), "private-key"},
		{"a password", file("/etc/shadow", "root:$y$j9T$abc:19675:0:99999:7:::\n", 0o600), "password"},
		{"an account that needs no password", file("/etc/shadow", "root::19675:0:99999:7:::\n", 0o600), "password"},
		{"root's authorized keys", file("/root/.ssh/authorized_keys", "ssh-ed25519 AAAA", 0o600), "authorized-key"},
		{"a user's authorized keys", file("/home/debian/.ssh/authorized_keys2", "ssh-ed25519 AAAA", 0o600), "authorized-key"},
		{"a shell's history", file("/root/.bash_history", "ls", 0o600), "history"},
		{"a database shell's history", file("/home/admin/.psql_history", "select", 0o600), "history"},
		{"a machine's id", file("/etc/machine-id", "0123456789abcdef\n", 0o444), "machine-id"},
		{"cloud-init's state", file("/var/lib/cloud/instance", "i-1", 0o644), "cloud-init-state"},
		{"an enabled service", enabled("multi-user.target.wants/mine.service"), "enabled-service"},
		{"an enabled timer", enabled("timers.target.wants/mine.timer"), "enabled-service"},
		{"a service that another requires", enabled("multi-user.target.requires/mine.service"), "enabled-service"},
		{"an open port", enabled("sockets.target.wants/telnet.socket"), "open-port"},
		{"the snakeoil key", file("/etc/ssl/private/ssl-cert-snakeoil.key", "key", 0o640), "snakeoil-key"},
		{"a file that everybody may write", file("/usr/bin/tool", "", 0o777), "world-writable"},
		{"a policy that no service starts", file("/usr/sbin/policy-rc.d", "exit 101", 0o755), "policy-rc.d"},
		{"the site's proxy", file("/etc/apt/apt.conf.d/99cincbake-site", "", 0o644), "site"},
		{"the site's authorities", file("/etc/apt/cincbake-site.pem", "", 0o644), "site-ca"},
		{"a package of the bake", file("/var/cache/cincbake/packages/0.deb", "", 0o644), "package-file"},
		{"a node document", file("/etc/cincbake/node.json", "{}", 0o644), "node-document"},
		{"a machine's secrets", file("/etc/cincbake/secrets.json", "{}", 0o600), "node-secrets"},
		{"no agent", gone(role.AgentPath), "agent"},
		{"an agent that does not start", gone("/etc/systemd/system/multi-user.target.wants/" + role.UnitBoot), "agent"},
		{"no network", gone("/etc/systemd/system/multi-user.target.wants/systemd-networkd.service"), "networkd"},
		{"no firewall", gone("/etc/systemd/system/sysinit.target.wants/cincbake-firewall.service"), "firewall"},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := clean(t)
			test.plant(t, i)
			if names := failing(t, i); len(names) != 1 || names[0] != test.check {
				t.Errorf("failing %v, want %s", names, test.check)
			}
		})
	}
	i := clean(t)
	i.put(t, "/usr/share/open/x", "", 0o644)
	if err := os.Chmod(filepath.Join(i.dir, "/usr/share/open"), 0o777); err != nil { //nolint:gosec // this is what must be found
		t.Fatal(err)
	}
	if names := failing(t, i); len(names) != 1 || names[0] != "world-writable-directory" {
		t.Errorf("a directory that everybody may write: failing %v", names)
	}
}

func TestDisabledUnits(t *testing.T) {
	i := clean(t)
	check := base.DisabledUnits("etcd.service", "patroni.service")
	if err := check.Run(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	i.link(t, "/etc/systemd/system/multi-user.target.wants/patroni.service", "/usr/lib/systemd/system/patroni.service")
	if err := check.Run(t.Context(), i); err == nil || !strings.Contains(err.Error(), "patroni.service") {
		t.Errorf("an enabled unit: %v", err)
	}
}
