package base

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/roles/nftables"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Verify returns what must hold in every sealed image.
func Verify() []role.Check {
	return slices.Concat(
		[]role.Check{
			{Name: "machine-id", Why: "every clone would have the same id", Run: emptyMachineID},
			{Name: "agent", Why: "nothing would wire the machine", Run: agentEnabled},
			{Name: "networkd", Why: "the machine would come up without a network", Run: func(_ context.Context, host step.Host) error {
				return wanted(host, "multi-user.target", "systemd-networkd.service")
			}},
			{Name: "firewall", Why: "the machine would come up open", Run: func(_ context.Context, host step.Host) error {
				return wanted(host, "sysinit.target", nftables.Unit)
			}},
			{Name: "password", Why: "everybody who knows it could log in to every clone", Run: noPassword},
			{Name: "enabled-service", Why: "it would start by itself, before the agent has decided how", Run: knownUnits("service", "timer", "path", "mount", "target")},
			{Name: "open-port", Why: "it would listen in every clone", Run: knownUnits("socket")},
		},
		gone(),
		found(),
	)
}

func emptyMachineID(_ context.Context, host step.Host) error {
	entry, err := host.Read("/etc/machine-id")
	if err == nil && len(entry.Content) > 0 {
		err = errors.New("/etc/machine-id is not empty")
	}
	return err
}

func agentEnabled(_ context.Context, host step.Host) error {
	if _, err := host.Read(role.AgentPath); err != nil {
		return err
	}
	return wanted(host, "multi-user.target", role.UnitBoot)
}

// gone are the paths that must not be there.
func gone() []role.Check {
	var checks []role.Check
	for _, gone := range []struct{ name, why, pattern string }{
		{"ssh-host-key", "whoever has a clone could pass for any other", "/etc/ssh/ssh_host_*"},
		{"snakeoil-key", "every clone would share it", "/etc/ssl/private/ssl-cert-snakeoil.key"},
		{"policy-rc.d", "no service could start", policyFile},
		{"site", "the image would depend on the place where it was baked", siteConf},
		{"site-ca", "the image would trust what was trusted where it was baked", siteCA},
		{"package-file", "it is of no use any more", packageDir},
		{"node-document", "every clone would be the same machine", "/etc/cincbake/node.json"},
		{"node-secrets", "every clone would have them", "/etc/cincbake/secrets.json"},
		{"cloud-init-state", "cloud-init would take a clone for the machine that was baked", "/var/lib/cloud/*"},
	} {
		checks = append(checks, role.Check{Name: gone.name, Why: gone.why, Run: Absent(gone.pattern)})
	}
	return checks
}

// homes are where people's files are; programs' files are in the others.
const (
	homes  = "/root /home"
	places = "/etc /root /home /srv /var/lib /usr/local /opt"
)

// found are searches of the tree; each must find nothing. A path under one of the exceptions does not count.
func found() []role.Check {
	const inClones = "it would be in every clone"
	var checks []role.Check
	for _, search := range []struct {
		name, why string
		in        string
		find      []string
		except    []string
	}{
		{"authorized-key", "its owner could log in to every clone", homes + " /etc/ssh", []string{"-name", "authorized_keys*"}, nil},
		{"history", "what was typed while baking, passwords among it, " + inClones, homes, []string{
			"(", "-name", ".*_history", "-o", "-name", ".lesshst", "-o", "-name", ".viminfo", "-o", "-name", ".wget-hsts", ")",
		}, nil},
		{"private-key", inClones, places, []string{"-type", "f", "-size", "-64k", "-exec", "grep", "-l", "-e", "-----BEGIN .*PRIVATE KEY-----", "{}", "+"}, []string{
			"/opt/cinc-project/embedded/", // the gems of Cinc Server bring keys for their own tests, which nobody trusts
		}},
		{"world-writable", "every program on the machine could change it", "/", []string{"-xdev", "-type", "f", "-perm", "-0002"}, exceptTemporary()},
		{"world-writable-directory", "every program on the machine could put files of others in its place", "/", []string{
			"-xdev", "-type", "d", "-perm", "-0002", "!", "-perm", "-1000",
		}, exceptTemporary()},
	} {
		checks = append(checks, role.Check{Name: search.name, Why: search.why, Run: func(ctx context.Context, host step.Host) error {
			return finds(ctx, host, strings.Fields(search.in), search.find, search.except)
		}})
	}
	return checks
}

// exceptTemporary are the directories that are anew at each boot, or not the image's.
func exceptTemporary() []string {
	return []string{"/tmp/", "/var/tmp/", "/run/", "/dev/", "/proc/", "/sys/"}
}

// enough is how many paths an error names.
const enough = 5

// finds fails with what find finds below the places that are there.
func finds(ctx context.Context, host step.Host, places, find, except []string) error {
	out, err := host.Run(ctx, step.Command{
		// A place need not be there, and files may go while find looks: what counts is what it names.
		Argv: append([]string{"/bin/sh", "-c", `find "$@" 2>/dev/null || true`, "find"}, append(places, find...)...),
	})
	if err != nil {
		return err
	}
	var named []string
	for line := range strings.Lines(string(out.Stdout)) {
		line = strings.TrimSuffix(line, "\n")
		if line != "" && !slices.ContainsFunc(except, func(under string) bool { return strings.HasPrefix(line+"/", under) }) {
			named = append(named, line)
		}
	}
	if len(named) == 0 {
		return nil
	}
	slices.Sort(named)
	rest := ""
	if len(named) > enough {
		rest = fmt.Sprintf(" and %d more", len(named)-enough)
		named = named[:enough]
	}
	return fmt.Errorf("found %s%s", strings.Join(named, ", "), rest)
}

// noPassword finds accounts that somebody could log in to with a password, or with none.
func noPassword(_ context.Context, host step.Host) error {
	entry, err := host.Read("/etc/shadow")
	if err != nil {
		return err
	}
	for row := range strings.Lines(string(entry.Content)) {
		name, rest, _ := strings.Cut(row, ":")
		hash, _, _ := strings.Cut(rest, ":")
		if !strings.HasPrefix(hash, "!") && !strings.HasPrefix(hash, "*") {
			return fmt.Errorf("account %s has a password, or needs none", name)
		}
	}
	return nil
}

// units are everything that may be enabled in an image. What else a package enables must be turned off by the role that
// installs it, or be added here with a reason.
func units() map[string]string {
	const debian = "Debian's own, and listens to nobody"
	return map[string]string{
		role.UnitBoot:              "wires the machine",
		role.UnitScrub:             "removes cloud-init's copies of secrets",
		role.UnitRefreshTimer:      "keeps the machine's files true",
		nftables.Unit:              "the firewall",
		"ssh.service":              "for emergencies, by key; the firewall decides who reaches it",
		"sshd-keygen.service":      "makes the machine's own host keys",
		"cron.service":             "Cinc Server rotates its logs by it",
		"systemd-networkd.service": "the network", "systemd-networkd.socket": "the network's, in the machine", "systemd-network-generator.service": "the network",
		"systemd-networkd-wait-online.service": "the agent waits for the network", "systemd-networkd-persistent-storage.service": "the network",
		"systemd-networkd-varlink.socket": "the network's, in the machine",
		"cloud-init.service":              "the seed", "cloud-init-local.service": "the seed", "cloud-init-main.service": "the seed", "cloud-init-network.service": "the seed",
		"cloud-config.service": "the seed", "cloud-final.service": "the seed", "cloud-init.target": "the seed", "cloud-init-hotplugd.socket": "the seed's, in the machine",
		"getty@tty1.service": "the console", "remote-fs.target": debian, "remote-cryptsetup.target": debian, "remote-veritysetup.target": debian,
		"e2scrub_all.timer": debian, "e2scrub_reap.service": debian, "fstrim.timer": debian, "logrotate.timer": debian, "dpkg-db-backup.timer": debian,
		"systemd-pstore.service": debian, "machines.target": debian, "grub-common.service": debian, "console-setup.service": debian, "keyboard-setup.service": debian,
		"apparmor.service": debian, "man-db.timer": debian, "motd-news.timer": debian, "uuidd.socket": "makes ids, in the machine", "qemu-guest-agent.service": "the hypervisor's, by its own channel",
		"systemd-timesyncd.service": "keeps time until chrony does",
	}
}

// knownUnits fails with every enabled unit of the kinds that is not one of the above.
func knownUnits(kinds ...string) func(context.Context, step.Host) error {
	return func(_ context.Context, host step.Host) error {
		const dir = "/etc/systemd/system"
		folders, err := host.List(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		known := units()
		var others []string
		for _, folder := range folders {
			if !strings.HasSuffix(folder, ".wants") && !strings.HasSuffix(folder, ".requires") {
				continue
			}
			names, err := host.List(path.Join(dir, folder))
			if err != nil {
				return err
			}
			for _, name := range names {
				kind := strings.TrimPrefix(path.Ext(name), ".")
				if !slices.Contains(kinds, kind) || known[name] != "" || slices.Contains(others, name) {
					continue
				}
				if masked, err := host.Read(path.Join(dir, name)); err == nil && masked.Target == "/dev/null" {
					continue
				}
				others = append(others, name)
			}
		}
		if len(others) > 0 {
			return fmt.Errorf("%s is enabled", strings.Join(others, ", "))
		}
		return nil
	}
}

// DisabledUnits returns a check that none of the units starts by itself: the agent starts them once it has decided how.
func DisabledUnits(units ...string) role.Check {
	return role.Check{
		Name: "service-disabled", Why: "it would start before the agent has decided how",
		Run: func(_ context.Context, host step.Host) error {
			for _, unit := range units {
				if err := wanted(host, "multi-user.target", unit); err == nil {
					return fmt.Errorf("%s is enabled", unit)
				}
			}
			return nil
		},
	}
}

func wanted(host step.Host, target, unit string) error {
	_, err := host.Read("/etc/systemd/system/" + target + ".wants/" + unit)
	return err
}

// Absent returns what a check runs to see that nothing matches the pattern, which is one of step.Absent.
func Absent(pattern string) func(context.Context, step.Host) error {
	return func(ctx context.Context, host step.Host) error {
		gone, err := step.Absent{Path: pattern}.Check(ctx, step.NewRun(host))
		if err == nil && !gone {
			err = fmt.Errorf("found %s", pattern)
		}
		return err
	}
}
