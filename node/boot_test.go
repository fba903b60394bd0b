package node

import (
	"context"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
)

// A boot that never gets to its end tells each program once of what changed, however often it goes through its plan, and
// whoever it did not get to is told by who comes after it.
func TestBootRemembersWhatNobodyRead(t *testing.T) {
	m := booted(t, "postgres-1")
	if err := m.refresh(t); err != nil { // the files are not there yet: the first refresh writes them
		t.Fatal(err)
	}
	m.told()
	ready := m.Entries[StatusFile]
	authority := m.Entries[role.CAFile]
	authority.Content = []byte("another one\n")
	m.Entries[role.CAFile] = authority
	var told []string
	for range 2 {
		b := &boot{host: m, report: newReporter(m, io.Discard), in: role.Inputs{Facts: cluster.Facts{BootID: "b", Hostname: "h"}}}
		if err := b.identify(t.Context()); err != nil {
			t.Fatal(err)
		}
		var err error
		if b.in.Joined, err = keptDecision(m); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*joinPause/2)
		err = b.apply(ctx) // no etcd answers here, so it gets no further than to the quorum
		cancel()
		if err == nil {
			t.Fatal("there is no quorum, and the boot went on")
		}
		told = append(told, m.told()...)
	}
	if diff := cmp.Diff([]string{"restart --no-block etcd.service"}, told); diff != "" {
		t.Errorf("the boots (-want +got):\n%s", diff)
	}
	m.Entries[StatusFile] = ready
	for _, want := range [][]string{{"reload-or-restart patroni.service"}, nil} {
		if err := m.refresh(t); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, m.told()); diff != "" {
			t.Errorf("the refresh after them (-want +got):\n%s", diff)
		}
	}
	if _, left := m.Entries[role.UnreadFile]; left {
		t.Error("everybody has read everything, and something is still to be read")
	}
}
