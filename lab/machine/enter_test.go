package machine

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEnterLetsGoOfCapabilitiesFirst(t *testing.T) {
	want := []string{
		"setpriv", "--bounding-set=-all,+cap_0", "--inh-caps=-all", "--",
		"nsenter", "--target=2508", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd", "--",
		"sh", "-c", "exit 3",
	}
	if diff := cmp.Diff(want, enter("2508", "-all,+cap_0", []string{"sh", "-c", "exit 3"})); diff != "" {
		t.Error(diff)
	}
}

func TestBounding(t *testing.T) {
	for _, row := range []struct {
		name, status, want string
		fails              bool
	}{
		{"some", "Name:\tsystemd\nCapBnd:\t0000000000240005\nCapAmb:\t0\n", "-all,+cap_0,+cap_2,+cap_18,+cap_21", false},
		{"none", "CapBnd:\t0000000000000000\n", "-all", false},
		{"no such line", "Name:\tsystemd\n", "", true},
		{"no number", "CapBnd:\tall\n", "", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got, err := bounding(row.status); got != row.want || (err != nil) != row.fails {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestMountedAt(t *testing.T) {
	const mounts = `22 27 0:21 / /proc rw,relatime - proc proc rw
40 27 7:3 / /data rw,relatime shared:1 - ext4 /dev/vdb rw
41 27 7:3 /sub /srv/a\040folder rw - ext4 /dev/vdb rw
42 27 7:4 / /with\040space rw - ext4 /dev/vdc rw
`
	for device, want := range map[string]string{"/dev/vdb": "/data", "/dev/vdc": "/with space", "/dev/vdd": ""} {
		if got := mountedAt(mounts, device); got != want {
			t.Errorf("%s is mounted at %q", device, got)
		}
	}
}
