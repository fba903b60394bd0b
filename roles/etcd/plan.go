package etcd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Unit is etcd's unit, from Debian's package.
const Unit = "etcd.service"

const (
	envFile = "/etc/default/etcd"
	dropIn  = "/etc/systemd/system/etcd.service.d/cincbake.conf"
)

// unitConf changes Debian's unit: a first member is ready only once a second one has started, which may take any time, and
// a member that can't be restarted is a lost vote.
const unitConf = `[Unit]
StartLimitIntervalSec=0

[Service]
Restart=always
RestartSec=2
TimeoutStartSec=infinity
`

// Bake returns the steps that put a member into an image.
func Bake() step.Plan {
	return step.Plan{
		{
			Title:  "Make user " + role.UserEtcd,
			Reason: "a data disk outlives the image; its files must keep their owner",
			Action: step.User{Name: role.UserEtcd, UID: role.UIDEtcd, Home: "/var/lib/etcd", Shell: "/usr/sbin/nologin"},
		},
		{
			Title:  "Install etcd",
			Reason: "the quorum that decides who is primary",
			Action: step.Packages{Names: []string{"etcd-server", "etcd-client"}},
		},
		{
			Title:  "Keep etcd from starting by itself",
			Reason: "the agent decides first whether this machine forms, joins or continues a cluster",
			Action: step.Unit{Name: Unit, State: step.Disabled},
		},
		{
			Title:  "Restart etcd for ever",
			Reason: "a member that stays down is a lost vote",
			Action: step.File{Path: dropIn, Mode: 0o644, Content: []byte(unitConf)},
		},
	}
}

// Boot returns the steps that write a member's configuration and start it as the join decided.
func Boot(in role.Inputs) step.Plan {
	plan := base.TLS(in, role.UserEtcd)
	plan = append(plan,
		step.Step{
			Title:  "Write etcd's environment",
			Reason: "one member per voter, mutual TLS on both ports",
			Action: step.File{Path: envFile, Mode: 0o644, Content: environment(in)},
		},
		step.Step{
			Title:  "Make etcd's directory",
			Reason: "its data outlives the image",
			Action: step.Directory{Path: StoreDir, Mode: 0o700, Owner: role.UserEtcd},
		},
	)
	if in.Joined.Etcd.Rescue {
		plan = append(plan, step.Step{Title: "Rescue etcd's data", Reason: in.Joined.Reason, Action: rescue{in}})
	}
	// Never restarted for a changed environment file: etcd has ignored those settings since its first start. Its certificate it
	// reads with each connection, but whom it trusts only when it starts.
	return append(plan, step.Step{
		Title:  "Start etcd",
		Reason: in.Joined.Reason,
		Action: step.Unit{Name: Unit, State: step.Started, NoWait: true, Watch: []string{role.CAFile}},
	})
}

// environment is etcd's configuration; the names are etcd's flags in upper case.
func environment(in role.Inputs) []byte {
	self, start := in.Self, in.Joined.Etcd
	cert, key := role.CertFile(role.UserEtcd), role.KeyFile(role.UserEtcd)
	rows := [][2]string{
		{"NAME", self.Name},
		{"DATA_DIR", StoreDir},
		{"LISTEN_PEER_URLS", fmt.Sprintf("https://%s:%d", self.Address, cluster.PortEtcdPeer)},
		{"LISTEN_CLIENT_URLS", fmt.Sprintf("https://%s:%d,https://127.0.0.1:%[2]d", self.Address, cluster.PortEtcdClient)},
		{"INITIAL_ADVERTISE_PEER_URLS", PeerURL(self)},
		{"ADVERTISE_CLIENT_URLS", ClientURL(self)},
		{"INITIAL_CLUSTER", strings.Join(start.Cluster, ",")},
		{"INITIAL_CLUSTER_STATE", start.State},
		{"INITIAL_CLUSTER_TOKEN", start.Token},
		{"STRICT_RECONFIG_CHECK", "true"},
		{"PRE_VOTE", "true"},
		// etcd 3.5's own advice for production: a member whose data differs must say so instead of voting on.
		{"EXPERIMENTAL_INITIAL_CORRUPT_CHECK", "true"},
		{"EXPERIMENTAL_COMPACT_HASH_CHECK_ENABLED", "true"},
		{"HEARTBEAT_INTERVAL", "100"},
		{"ELECTION_TIMEOUT", "1000"},
		{"AUTO_COMPACTION_MODE", "periodic"},
		{"AUTO_COMPACTION_RETENTION", "1h"},
		{"QUOTA_BACKEND_BYTES", "536870912"},
		{"LISTEN_METRICS_URLS", "http://127.0.0.1:2381"},
		{"CERT_FILE", cert},
		{"KEY_FILE", key},
		{"TRUSTED_CA_FILE", role.CAFile},
		{"CLIENT_CERT_AUTH", "true"},
		{"PEER_CERT_FILE", cert},
		{"PEER_KEY_FILE", key},
		{"PEER_TRUSTED_CA_FILE", role.CAFile},
		{"PEER_CLIENT_CERT_AUTH", "true"},
	}
	var b strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&b, "ETCD_%s=%s\n", row[0], row[1])
	}
	return []byte(b.String())
}

// Ready returns what must hold before the member counts.
func Ready(in role.Inputs) []role.Probe {
	return []role.Probe{{
		Title:    "etcd quorum",
		Deadline: 10 * time.Minute,
		Run: func(ctx context.Context, host step.Host) error {
			client, err := Local(in)
			if err != nil {
				return err
			}
			if err := MarkFormed(ctx, host, client); err != nil {
				return NoQuorum(in, err)
			}
			return nil
		},
	}}
}

// Local returns a client of this machine's own member.
func Local(in role.Inputs) (Client, error) {
	return newClient(fmt.Sprintf("https://127.0.0.1:%d", cluster.PortEtcdClient), in.Self.Name, in.Secrets)
}

// NoQuorum explains a read that found no quorum by what the other voters' agents last said.
func NoQuorum(in role.Inputs, cause error) error { return words().NotYet(in, cause) }

// Verify returns what must hold in an image with a member.
func Verify() []role.Check {
	return []role.Check{
		base.DisabledUnits(Unit),
		{Name: "etcd-empty", Why: "every clone would be the same member", Run: func(_ context.Context, host step.Host) error {
			names, err := host.List("/var/lib/etcd")
			if err == nil && len(names) > 0 {
				err = fmt.Errorf("/var/lib/etcd holds %s", strings.Join(names, ", "))
			}
			return err
		}},
	}
}
