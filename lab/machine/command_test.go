package machine

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testMachine() Machine {
	return Machine{
		Unit: "cincbake-lab-demo.postgres-1", Dir: "/lab/postgres-1", Tree: "/trees/0123456789ab",
		Disk: "/dev/vdb", DiskBytes: 1 << 30, Interface: "eth0", Port: "node1",
		Network: Network{Path: "/lab/network", Gateway: netip.MustParsePrefix("10.77.0.1/24")},
	}
}

func TestCommand(t *testing.T) {
	nspawn := []string{
		"systemd-nspawn", "--quiet", "--boot", "--settings=no",
		"--machine=cincbake-lab-demo.postgres-1", "--hostname=localhost", "--directory=/lab/postgres-1/layer/root",
		"--keep-unit", "--register=no",
		"--network-namespace-path=/proc/self/ns/net", "--capability=CAP_NET_ADMIN",
		"--drop-capability=CAP_SYS_TIME,CAP_SYS_MODULE,CAP_SYS_RAWIO,CAP_MKNOD",
		"--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe",
	}
	scope := []string{
		"systemd-run", "--scope", "--quiet", "--collect", "--unit=cincbake-lab-demo.postgres-1", "--slice=cincbake-lab.slice",
		"--property=Delegate=yes", "--property=CPUWeight=100", "--",
	}
	disk := []string{"--bind=/dev/loop3:/dev/vdb"}
	share := []string{"--bind=/backup/demo:/mnt/backup"}
	join := func(parts ...[]string) (argv []string) {
		for _, part := range parts {
			argv = append(argv, part...)
		}
		return argv
	}
	for _, row := range []struct {
		name string
		host Host
		disk string
		from string
		want []string
	}{
		{"our own cgroups", Host{}, "/dev/vdb", "", join(nspawn, disk)},
		{"without a disk", Host{}, "", "", nspawn},
		{"under systemd", Host{Systemd: true}, "/dev/vdb", "", join(scope, nspawn, disk)},
		{"with a share", Host{}, "/dev/vdb", "/backup/demo", join(nspawn, disk, share)},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := testMachine()
			m.Disk = row.disk
			if row.from != "" {
				m.Share = Share{From: row.from, At: "/mnt/backup", UID: 432}
			}
			if diff := cmp.Diff(row.want, m.command(row.host, "/dev/loop3")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestScripts(t *testing.T) {
	m := testMachine()
	want := []string{
		"link set lo up",
		"link add br0 type bridge stp_state 0 forward_delay 0",
		"address add 10.77.0.1/24 dev br0",
		"link set br0 up",
	}
	if diff := cmp.Diff(want, m.Network.script()); diff != "" {
		t.Error(diff)
	}
	want = []string{
		"link set lo up",
		"link add eth0 address " + m.MAC().String() + " type veth peer name node1 netns /lab/network",
	}
	if diff := cmp.Diff(want, m.linkScript()); diff != "" {
		t.Error(diff)
	}
}

func TestMAC(t *testing.T) {
	one := testMachine()
	other := testMachine()
	other.Unit = "cincbake-lab-demo.postgres-2"
	if one.MAC().String() != testMachine().MAC().String() {
		t.Error("a machine's address changes")
	}
	if one.MAC().String() == other.MAC().String() {
		t.Error("two machines have one address")
	}
	for _, m := range []Machine{one, other} {
		// Bit 0 is set in addresses of groups, bit 1 in those that no manufacturer gave out (IEEE 802).
		if mac := m.MAC(); len(mac) != 6 || mac[0]&3 != 2 {
			t.Errorf("%s is no address of one machine", mac)
		}
	}
}

const (
	hybrid = `22 27 0:21 / /proc rw,relatime - proc proc rw
30 23 0:25 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
36 30 0:31 / /sys/fs/cgroup/systemd rw,relatime shared:9 - cgroup cgroup rw,name=systemd
37 30 0:32 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`
	unified = "28 25 0:24 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
)

func TestHost(t *testing.T) {
	const unit = "cincbake-lab-demo.postgres-1"
	for _, row := range []struct {
		name, mounts    string
		systemd         bool
		want            Host
		cgroup, unified string
		old             []string
	}{
		{
			"both versions, without systemd", hybrid, false,
			Host{Unified: "/sys/fs/cgroup/unified", Named: "/sys/fs/cgroup/systemd", CPU: "/sys/fs/cgroup/cpu"},
			"/sys/fs/cgroup/unified/" + unit, "/sys/fs/cgroup/unified/" + unit,
			[]string{"/sys/fs/cgroup/systemd/" + unit, "/sys/fs/cgroup/cpu/" + unit},
		},
		{
			"version 2 alone, without systemd", unified, false,
			Host{Unified: "/sys/fs/cgroup"},
			"/sys/fs/cgroup/" + unit, "/sys/fs/cgroup/" + unit, nil,
		},
		{
			"systemd", unified, true,
			Host{Systemd: true, Unified: "/sys/fs/cgroup"},
			"/sys/fs/cgroup/cincbake.slice/cincbake-lab.slice/" + unit + ".scope", "", nil,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			host, err := readHost(strings.NewReader(row.mounts), row.systemd)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, host); diff != "" {
				t.Error(diff)
			}
			ours, old := host.ours(unit)
			if diff := cmp.Diff([]string{row.cgroup, row.unified}, []string{host.cgroup(unit), ours}); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(row.old, old); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := readHost(strings.NewReader("22 27 0:21 / /proc rw,relatime - proc proc rw\n"), false); err == nil {
		t.Error("a host without version 2 was taken")
	}
}
