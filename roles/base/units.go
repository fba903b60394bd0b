package base

import (
	"github.com/cincbake/cincbake/cluster"
)

const cloudConfigFile = "/etc/cloud/cloud.cfg.d/90-cincbake.cfg"

// cloudConfig is baked: it names the one datasource, so that nothing is probed for, and keeps only modules that a machine
// which is never configured by hand needs.
func cloudConfig(platform cluster.Platform) []byte {
	datasource := map[cluster.Platform]string{cluster.OnPrem: "NoCloud", cluster.AWS: "Ec2"}[platform]
	return []byte("# cincbake: what cloud-init may do on this machine. The rest is the agent's.\n" +
		"datasource_list: [ " + datasource + " ]\n" + `cloud_init_modules:
 - seed_random
 - write-files
 - growpart
 - resizefs
 - set_hostname
 - update_etc_hosts
 - users-groups
 - ssh
cloud_config_modules: []
cloud_final_modules:
 - final-message
`)
}

// bootUnit starts the agent at every boot. It is ordered on cloud-config.target, upstream's stable name, so the seed's
// files are there; it hangs on multi-user.target too, since later boots have no seed and cloud-init.target is then not
// pulled in. It must not be ordered after cloud-final: that is ordered after multi-user.target, and systemd would drop the
// agent's job to break the cycle, in silence.
// Type=exec lets multi-user.target, and with it cloud-final and the scrubbing, go on while the agent waits for its peers.
const bootUnit = `[Unit]
Description=cincbake: wire this machine into its cluster
Documentation=https://github.com/cincbake/cincbake
After=cloud-config.target network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
RemainAfterExit=yes
ExecStart=/usr/bin/cincbake-node boot
Restart=on-failure
RestartSec=5
StandardOutput=journal+console

[Install]
WantedBy=multi-user.target cloud-init.target
`

// agentUnit is the endpoint. The boot starts it as soon as the machine knows who it is.
const agentUnit = `[Unit]
Description=cincbake: answer peers and the operator
Documentation=https://github.com/cincbake/cincbake
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=/usr/bin/cincbake-node serve
Restart=always
RestartSec=1
`

// scrubUnit takes away what cloud-init kept of the seed once cloud-init is through. Only its last stage is late enough, and
// only After=cloud-final with WantedBy=cloud-init.target is ordered so without a cycle.
const scrubUnit = `[Unit]
Description=cincbake: remove cloud-init's copies of secrets
Documentation=https://github.com/cincbake/cincbake
After=cloud-final.service
ConditionPathExists=/etc/cincbake/secrets.json

[Service]
Type=oneshot
ExecStart=/usr/bin/cincbake-node scrub

[Install]
WantedBy=cloud-init.target
`

// refreshUnit has nothing to do while a boot goes on; the agent itself looks whether one does.
const refreshUnit = `[Unit]
Description=cincbake: let programs know what changed around this machine
Documentation=https://github.com/cincbake/cincbake
After=cincbake-boot.service

[Service]
Type=oneshot
ExecStart=/usr/bin/cincbake-node refresh
TimeoutStartSec=5min
`

// refreshTimer spreads the machines of a cluster: none that must restart a program for a change does so with the others.
const refreshTimer = `[Unit]
Description=cincbake: let programs know what changed around this machine, every minute
Documentation=https://github.com/cincbake/cincbake

[Timer]
OnBootSec=2min
OnUnitActiveSec=1min
RandomizedDelaySec=10s
AccuracySec=1s

[Install]
WantedBy=timers.target
`
