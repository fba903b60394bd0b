package images

import (
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
)

func TestCompare(t *testing.T) {
	c := open(t)
	image := func(change func(*Record), lines ...string) Entry {
		r := sampleRecord(cluster.RolePostgres, "1")
		r.ContentDigest = DigestOf(lines)
		change(&r)
		e, err := c.Add(t.Context(), func(draft *Draft) (Record, error) {
			return r, errors.Join(draft.Manifest(lines), draft.Stream(KindRootfs, func(w io.Writer) error { _, err := io.WriteString(w, "tree"); return err }))
		})
		must(t, err)
		return e
	}
	sum := func(digit string) string { return "sha256:" + digit + zeros(63) }
	a := image(func(*Record) {},
		`"/etc" dir 0755 0:0`,
		`"/etc/gone" file 0644 0:0 `+sum("1"),
		`"/etc/link" link 0777 0:0 "old"`,
		`"/etc/mode" file 0644 0:0 `+sum("2"),
		`"/etc/motd" file 0644 0:0 `+sum("3"),
		`"/etc/owner" file 0644 0:0 `+sum("4"),
	)
	b := image(func(r *Record) {
		r.AgentVersion = "0.2.0"
		r.Packages = []Package{{Name: "etcd-server", Version: "3.5.17-1", Arch: "amd64"}, {Name: "less", Version: "668-1", Arch: "amd64"}}
	},
		`"/etc" dir 0755 0:0`,
		`"/etc/link" link 0777 0:0 "new"`,
		`"/etc/mode" file 0600 0:0 `+sum("2"),
		`"/etc/motd" file 0644 0:0 `+sum("5"),
		`"/etc/new" file 0755 0:0 `+sum("6"),
		`"/etc/owner" file 0644 0:432 `+sum("4")+` "security.capability"=01`,
	)
	got, err := Compare(a, b)
	must(t, err)
	want := Difference{
		Facts:    []Change{{"boot agent", "0.1.0", "0.2.0"}},
		Packages: []Change{{"etcd-server", "3.5.16-4", "3.5.17-1"}, {"less", "", "668-1"}},
		Files: []Change{
			{"/etc/gone", "file 0644 0:0", ""},
			{"/etc/link", `content "old"`, `content "new"`},
			{"/etc/mode", "mode 0644", "mode 0600"},
			{"/etc/motd", "content 300000000000", "content 500000000000"},
			{"/etc/new", "", "file 0755 0:0"},
			{"/etc/owner", "owner 0:0, attributes ", `owner 0:432, attributes "security.capability"=01`},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := Compare(a, a); err != nil || !got.Equal() {
		t.Errorf("an image differs from itself: %+v, %v", got, err)
	}
}
