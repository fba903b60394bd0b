// Package nftables is the firewall of every machine: what the port table admits comes in, and nothing else. It is one
// table of its own and leaves every other table alone.
package nftables

import (
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Unit loads the firewall, at every boot before the network comes up.
const Unit = "cincbake-firewall.service"

const (
	unitFile  = "/usr/lib/systemd/system/" + Unit
	rulesFile = "/etc/cincbake/firewall.nft"
)

// unit does not use Debian's nftables.service: that one flushes the rules of everybody else when it stops. A machine that
// has never booted has no rules yet; the agent starts the unit once they are written.
const unit = `[Unit]
Description=cincbake: host firewall
Documentation=https://github.com/cincbake/cincbake
ConditionPathExists=` + rulesFile + `
DefaultDependencies=no
After=local-fs.target
Before=network-pre.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft --file ` + rulesFile + `
ExecReload=/usr/sbin/nft --file ` + rulesFile + `
ExecStop=/usr/sbin/nft delete table inet cincbake

[Install]
WantedBy=sysinit.target
`

// Bake returns the steps that put the firewall's unit into an image.
func Bake() step.Plan {
	return step.Plan{
		{
			Title:  "Write unit " + Unit,
			Reason: "from the second boot on, no packet comes in before the rules are there",
			Action: step.File{Path: unitFile, Mode: 0o644, Content: []byte(unit)},
		},
		{
			Title:  "Enable " + Unit,
			Reason: "it loads the rules before the network comes up",
			Action: step.Unit{Name: Unit, State: step.Enabled},
		},
	}
}

// Boot returns the steps that bring the machine's firewall into service.
func Boot(in role.Inputs) step.Plan {
	return step.Plan{
		{
			Title:  "Write the firewall's rules",
			Reason: "only those who have business with the machine reach its ports; what the kernel refuses replaces nothing",
			Action: step.File{Path: rulesFile, Mode: 0o644, Content: rules(in), Reader: []string{"nft", "--check", "--file"}},
		},
		{
			Title:  "Load the firewall's rules",
			Reason: "they replace the former ones in one transaction",
			Action: step.Unit{Name: Unit, State: step.Started, Reload: true, Watch: []string{rulesFile}},
		},
	}
}

// rules is the table, made from the port table's rows for the machine. Loaded again, it replaces itself.
func rules(in role.Inputs) []byte {
	var b strings.Builder
	b.WriteString(opening)
	if in.Cluster.Platform == cluster.AWS {
		b.WriteString("        # DHCP\n        udp sport 67 udp dport 68 accept\n")
	}
	for _, r := range inbound(in) {
		b.WriteString(r.String())
	}
	b.WriteString("    }\n}\n")
	return []byte(b.String())
}

// opening admits answers, and the messages without which no network works: path MTU, neighbours. The first two lines make
// the file replace the table whether it is there or not.
const opening = `# Written by cincbake at every boot.
table inet cincbake
delete table inet cincbake
table inet cincbake {
    chain input {
        type filter hook input priority filter; policy drop;
        iifname "lo" accept
        ct state established,related accept
        ct state invalid drop
        meta l4proto { icmp, icmpv6 } accept
`
