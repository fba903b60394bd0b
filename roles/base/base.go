// Package base is what every role's image and boot share: the package list, the agent's units, hygiene.
package base

import (
	"encoding/pem"
	"fmt"
	"net/netip"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/nftables"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// SystemCAFile holds the certificate authorities that the machine trusts for what is not the cluster's: Debian's, and those
// of the spec.
const SystemCAFile = "/etc/ssl/certs/ca-certificates.crt"

// packages are what every machine has beside the base system. e2fsprogs formats data disks and lets them grow.
func packages() []string {
	return []string{
		"ca-certificates", "chrony", "cloud-init", "dbus", "e2fsprogs", "iproute2", "nftables", "openssh-server",
		"sudo", "systemd", "systemd-sysv",
	}
}

// Bake returns the steps that come before a role's own, in a machine that Open made ready: what every machine has, and the
// agent in its place.
func Bake(recipe cluster.Recipe) (step.Plan, error) {
	os, err := cluster.OSFor(recipe.OS)
	if err != nil {
		return nil, err
	}
	plan := step.Plan{
		{
			Title:  "Install what every machine has",
			Reason: "cloud-init writes the wiring, chrony keeps time, e2fsprogs formats a blank data disk",
			Action: step.Packages{Names: packages()},
		},
		{
			Title:  "Limit cloud-init to its seed",
			Reason: os.Name + " machines are told who they are by their platform's datasource alone, and nothing is installed at boot",
			Action: step.File{Path: cloudConfigFile, Mode: 0o644, Content: cloudConfig(recipe.Platform)},
		},
		{
			Title:  "Keep the journal",
			Reason: "after a power-off the last boot's messages are the only witness",
			Action: step.File{
				Path: "/etc/systemd/journald.conf.d/cincbake.conf", Mode: 0o644,
				Content: []byte("[Journal]\nStorage=persistent\nSystemMaxUse=500M\n"),
			},
		},
		{
			Title:  "Refuse passwords over ssh",
			Reason: "ssh is for emergencies, by key",
			Action: step.File{
				Path: "/etc/ssh/sshd_config.d/cincbake.conf", Mode: 0o644,
				Content: []byte("PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin no\n"),
			},
		},
		{
			Title:  "Bring the network up by networkd",
			Reason: "cloud-init writes networkd's files, but Debian leaves the service off",
			Action: step.Unit{Name: "systemd-networkd.service", State: step.Enabled},
		},
		{
			Title:  "Wait for the network",
			Reason: "the agent asks its peers first thing",
			Action: step.Unit{Name: "systemd-networkd-wait-online.service", State: step.Enabled},
		},
		{
			Title:  "Leave the clock to the agent",
			Reason: "chrony starts once it knows its servers",
			Action: step.Unit{Name: "chrony.service", State: step.Disabled},
		},
		keptStill("apt-daily.timer"), keptStill("apt-daily-upgrade.timer"), keptStill("unattended-upgrades.service"),
		{
			Title:  "Mask systemd-resolved.service",
			Reason: "clouds' images bring it along; each boot writes /etc/resolv.conf, and a second resolver would write it too",
			Action: step.Unit{Name: "systemd-resolved.service", State: step.Masked},
		},
		unitFile(role.UnitBoot, bootUnit), enabled(role.UnitBoot, "the agent wires the machine at every boot"),
		unitFile(role.UnitAgent, agentUnit),
		unitFile(role.UnitScrub, scrubUnit), enabled(role.UnitScrub, "cloud-init's copies of the secrets go after the first boot"),
		unitFile(role.UnitRefresh, refreshUnit), unitFile(role.UnitRefreshTimer, refreshTimer),
		enabled(role.UnitRefreshTimer, "what changes around the machine reaches its programs within a minute"),
	}
	return append(plan, nftables.Bake()...), nil
}

// keptStill masks a unit that would change the machine behind everybody's back.
func keptStill(unit string) step.Step {
	return step.Step{
		Title:  "Mask " + unit,
		Reason: "an image is what was verified: updates come as a new image",
		Action: step.Unit{Name: unit, State: step.Masked},
	}
}

func unitFile(name, content string) step.Step {
	return step.Step{
		Title:  "Write unit " + name,
		Reason: "the agent is baked, not fetched",
		Action: step.File{Path: "/usr/lib/systemd/system/" + name, Mode: 0o644, Content: []byte(content)},
	}
}

func enabled(name, reason string) step.Step {
	return step.Step{Title: "Enable " + name, Reason: reason, Action: step.Unit{Name: name, State: step.Enabled}}
}

// Boot returns the steps that come before a role's own at every boot. The aliases are names that lead to this machine
// itself, whatever a DNS says about them: no look-up leaves the machine, and no connection.
func Boot(in role.Inputs, aliases ...string) step.Plan {
	plan := step.Plan{
		{
			Title:  "Trust the cluster's CA",
			Reason: "every program on the machine verifies its peers by it",
			Action: step.File{Path: role.CAFile, Mode: 0o644, Content: []byte(in.Secrets.CA)},
		},
		{
			Title:  "Name the cluster's machines",
			Reason: "programs look their own name up when they start; a DNS that does not answer must not cost them ten seconds",
			Action: step.File{Path: "/etc/hosts", Mode: 0o644, Content: hosts(in, aliases)},
		},
		{
			Title:  "Name the DNS servers",
			Reason: "without systemd-resolved nobody else writes this file; with no server named, look-ups fail at once",
			Action: step.File{Path: resolverFile, Mode: 0o644, Content: lines("nameserver ", in.Cluster.Network.DNS, "")},
		},
	}
	if len(in.Cluster.Network.NTP) > 0 {
		const sources = "/etc/chrony/sources.d/cincbake.sources"
		plan = append(plan,
			step.Step{
				Title:  "Name the time servers",
				Reason: "certificates and leases need a common clock",
				Action: step.File{Path: sources, Mode: 0o644, Content: lines("server ", in.Cluster.Network.NTP, " iburst")},
			},
			step.Step{
				Title:  "Keep time",
				Reason: "the servers are known now",
				Action: step.Unit{Name: "chrony.service", State: step.Started, Watch: []string{sources}},
			})
	}
	plan = append(plan, trust(in.Cluster.CACertificates)...)
	return append(plan, nftables.Boot(in)...)
}

// trust returns the steps that add certificate authorities to those that the system trusts.
func trust(certificates string) step.Plan {
	var plan step.Plan
	rest := []byte(certificates)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		// One file for each: the system's links, by hash, pass over files that hold more.
		plan = append(plan, step.Step{
			Title:  fmt.Sprintf("Add certificate authority %d of the spec", len(plan)+1),
			Reason: "what the cluster uses and does not run may be signed by it",
			Action: step.File{
				Path: fmt.Sprintf("/usr/local/share/ca-certificates/cincbake-%d.crt", len(plan)+1), Mode: 0o644,
				Content: pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}),
			},
		})
	}
	if len(plan) == 0 {
		return nil
	}
	return append(plan, step.Step{
		Title:  "Trust the certificate authorities of the spec",
		Reason: "every program of the system reads the bundle that this makes",
		Action: step.Exec{
			Command: step.Command{Argv: []string{"update-ca-certificates"}},
			Creates: fmt.Sprintf("/etc/ssl/certs/cincbake-%d.pem", len(plan)),
		},
	})
}

// Sysctl returns the step that bakes kernel settings, like vm.swappiness=1, for a program.
func Sysctl(program string, settings ...string) step.Step {
	return step.Step{
		Title:  "Set the kernel up for " + program,
		Reason: "systemd applies them before anything starts",
		Action: step.File{
			Path: "/etc/sysctl.d/60-cincbake-" + program + ".conf", Mode: 0o644,
			Content: []byte(strings.Join(settings, "\n") + "\n"),
		},
	}
}

// TLS returns the steps that give the program called user the machine's certificate and key.
func TLS(in role.Inputs, user string) step.Plan {
	return step.Plan{
		{
			Title:  "Give " + user + " the machine's certificate",
			Reason: "it serves and dials under the machine's name",
			Action: step.File{Path: role.CertFile(user), Mode: 0o644, Content: []byte(in.Secrets.Leaf.Certificate)},
		},
		{
			Title:  "Give " + user + " the machine's key",
			Reason: "each program reads a copy of its own, so that none needs more rights",
			Action: step.File{Path: role.KeyFile(user), Mode: 0o600, Owner: user, Content: []byte(in.Secrets.Leaf.Key.Reveal())},
		},
	}
}

// hosts is /etc/hosts, whole. A machine's own line begins with a name that has a dot: that is what "hostname -f" answers.
func hosts(in role.Inputs, aliases []string) []byte {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
	for _, alias := range aliases {
		fmt.Fprintf(&b, "127.0.0.1 %s\n", alias)
	}
	for _, n := range in.Cluster.Nodes {
		address, names := n.Address, n.Name
		if n.Name == in.Self.Name {
			address, names = ownAddress(in), FQDN(in)+" "+n.Name
			if hostname := in.Facts.Hostname; hostname != "" && hostname != n.Name && hostname != FQDN(in) {
				names += " " + hostname // a platform may have named the machine otherwise
			}
		}
		if address.IsValid() {
			fmt.Fprintf(&b, "%s %s\n", address, names)
		}
	}
	return []byte(b.String())
}

// FQDN is the machine's own full name. It ends in internal, which no DNS outside ever answers for, so that it is short
// and never a client's.
func FQDN(in role.Inputs) string { return in.Self.Name + "." + in.Cluster.Name + ".internal" }

// Address is the machine's own, from the cluster or, where addresses are not part of it, as the machine found it.
func Address(in role.Inputs) (netip.Addr, error) {
	address := ownAddress(in)
	if !address.IsValid() {
		return address, fmt.Errorf("%s has no address yet", in.Self.Name)
	}
	return address, nil
}

func ownAddress(in role.Inputs) netip.Addr {
	if in.Self.Address.IsValid() || len(in.Facts.Addresses) == 0 {
		return in.Self.Address
	}
	return in.Facts.Addresses[0]
}

func lines(before string, addresses []netip.Addr, after string) []byte {
	var b strings.Builder
	for _, address := range addresses {
		fmt.Fprintf(&b, "%s%s%s\n", before, address, after)
	}
	return []byte(b.String())
}
