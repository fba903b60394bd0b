package images

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
)

func TestPrune(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	c := open(t)
	add := func(role cluster.Role, digits string, age time.Duration, change func(*Record)) Entry {
		r := sampleRecord(role, digits)
		r.Created = now.Add(-age)
		if change != nil {
			change(&r)
		}
		e, err := c.Add(t.Context(), writer("image "+digits, r))
		must(t, err)
		return e
	}
	const day = 24 * time.Hour
	add(cluster.RolePostgres, "a1", 30*day, nil)                                       // two newer ones are there
	add(cluster.RolePostgres, "a2", 20*day, nil)                                       // second newest verified
	add(cluster.RolePostgres, "a3", 15*day, nil)                                       // newest verified
	add(cluster.RolePostgres, "a4", 10*day, func(r *Record) { r.Verified = false })    // never counts among the newest
	add(cluster.RolePostgres, "a5", time.Hour, func(r *Record) { r.Verified = false }) // young
	used := add(cluster.RoleHeartbeat, "b1", 40*day, nil)
	stable := add(cluster.RoleHeartbeat, "b2", 39*day, nil)
	add(cluster.RoleHeartbeat, "b3", 38*day, nil)
	add(cluster.RoleHeartbeat, "b4", 37*day, nil)
	add(cluster.RoleHeartbeat, "b5", 36*day, nil)
	broken := add(cluster.RoleHeartbeat, "b6", 35*day, nil)
	must(t, os.WriteFile(filepath.Join(broken.Dir, recordName), []byte("{"), 0o600))
	_, err := c.Promote(t.Context(), stable.ID, "stable", true)
	must(t, err)

	policy := Policy{Keep: 2, MinAge: 7 * day, Now: now, Used: map[string]string{used.Record.ContentDigest: "the lab demo"}}
	plan := func() map[string]string {
		fates, err := c.Plan(t.Context(), policy)
		must(t, err)
		why := map[string]string{}
		for _, f := range fates {
			word := "goes: "
			if f.Keep {
				word = "stays: "
			}
			why[f.Entry.ID[len(f.Entry.ID)-12:][:2]] = word + f.Why
		}
		return why
	}
	want := map[string]string{
		"a1": "goes: made 2026-10-27 12:00:00, and nothing needs it",
		"a2": "stays: number 2 of the newest 2 of its recipe",
		"a3": "stays: number 1 of the newest 2 of its recipe",
		"a4": "goes: made 2026-11-16 12:00:00, and nothing needs it",
		"a5": "stays: made 1h0m0s ago, less than 168h0m0s",
		"b1": "stays: used by the lab demo",
		"b2": "stays: in the channel stable",
		"b3": "goes: made 2026-10-19 12:00:00, and nothing needs it",
		"b4": "stays: number 2 of the newest 2 of its recipe",
		"b5": "stays: number 1 of the newest 2 of its recipe",
	}
	got := plan()
	if got["b6"][:len("stays: broken")] != "stays: broken" {
		t.Errorf("a broken one %s", got["b6"])
	}
	delete(got, "b6")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	policy.Role = cluster.RolePostgres
	if got := plan(); got["b3"] != "stays: not a postgres image" || got["b6"] != "stays: not a postgres image" {
		t.Errorf("another role's: %s, %s", got["b3"], got["b6"])
	}
	policy.Role, policy.Broken = "", true
	fates, err := c.Plan(t.Context(), policy)
	must(t, err)
	var doomed []Entry
	for _, f := range fates {
		if !f.Keep {
			doomed = append(doomed, f.Entry)
		}
	}
	must(t, c.Remove(t.Context(), doomed))
	left, err := c.List(t.Context())
	must(t, err)
	if len(left) != 7 || len(doomed) != 4 {
		t.Errorf("%d went, %v stay", len(doomed), ids(left))
	}
	onlyImages(t, c)

	if err := c.Remove(t.Context(), []Entry{stable}); err == nil {
		t.Error("a channel's image was removed")
	}
	if _, err := c.Show(t.Context(), stable.ID); errors.Is(err, ErrNotFound) {
		t.Error("a channel's image is gone")
	}
}
