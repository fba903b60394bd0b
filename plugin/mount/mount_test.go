package mount

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMountPoints(t *testing.T) {
	const mountinfo = `22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:5 / /proc rw - proc proc rw
40 22 0:50 / /bakes/postgres-1/root rw,relatime shared:5 - overlay cincbake rw
41 40 0:51 / /bakes/postgres-1/root/proc rw - proc proc rw
42 22 0:52 / /bakes/postgres-10/root rw - overlay cincbake rw
43 22 0:53 / /bakes/postgres-1/a\040b rw - tmpfs tmpfs rw
garbage
`
	want := []string{"/bakes/postgres-1/root", "/bakes/postgres-1/root/proc", "/bakes/postgres-1/a b"}
	if diff := cmp.Diff(want, points(mountinfo, "/bakes/postgres-1")); diff != "" {
		t.Error(diff)
	}
}
