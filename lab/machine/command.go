package machine

import (
	"strconv"
	"strings"
)

// slice is the systemd slice that holds every machine of every lab.
const slice = "cincbake-lab.slice"

// withheld are the capabilities by which a machine could reach the host that it shares a kernel with: its clock, its
// modules, its memory, its disks.
var withheld = []string{"CAP_SYS_TIME", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_MKNOD"}

// command returns the command line that boots the machine; device is its data disk on this host, if it has one.
func (m Machine) command(host Host, device string) []string {
	argv := []string{
		"systemd-nspawn", "--quiet", "--boot", "--settings=no",
		"--machine=" + m.Unit,
		"--hostname=localhost", // its name is cloud-init's to give
		"--directory=" + m.root(),
		// The cgroup that it starts in is its own already, from its scope or from us.
		"--keep-unit", "--register=no",
		// It starts in a network namespace of its own too, with its interface in place and already on the bridge.
		"--network-namespace-path=/proc/self/ns/net", "--capability=CAP_NET_ADMIN",
		"--drop-capability=" + strings.Join(withheld, ","),
		"--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe",
	}
	if m.Disk != "" {
		argv = append(argv, "--bind="+device+":"+m.Disk)
	}
	if m.Share.From != "" {
		argv = append(argv, "--bind="+m.Share.From+":"+m.Share.At)
	}
	if !host.Systemd {
		return argv
	}
	scope := []string{
		"systemd-run", "--scope", "--quiet", "--collect",
		"--unit=" + m.Unit, "--slice=" + slice, "--property=Delegate=yes",
		"--property=CPUWeight=" + strconv.Itoa(m.weight()), "--",
	}
	return append(scope, argv...)
}

// environment is what the command needs beside its arguments.
func environment() []string {
	return []string{
		"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1", // today's systemd wants version 2, also on a host that has both
		"SYSTEMD_NSPAWN_LOCK=0",              // the lab keeps its own locks, and none beside the tree
	}
}
