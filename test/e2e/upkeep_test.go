//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestUpkeep does to a whole cluster what its operators do in a year: they replace every machine by newer images, renew the
// certificates, and restore a backup onto fresh machines. Clients work meanwhile. It takes about half an hour, and is no
// part of the end-to-end suite.
func TestUpkeep(t *testing.T) {
	b := newBench(t)
	t.Cleanup(func() { t.Logf("figures:\n  %s", strings.Join(b.figures, "\n  ")) })
	for _, part := range []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		{"a spec with every tier", testTiersSpec},
		{"eleven machines become a cluster", testTiersUp},
		{"every machine is replaced under clients' eyes", testUpkeepRollout},
		{"running machines take new certificates over", testUpkeepRotate},
		{"a backup brings everything back on fresh machines", testUpkeepRestore},
		{"down leaves nothing behind", testTiersDown},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, b) }) {
			t.Fatalf("the story ends here")
		}
	}
}

// askAllTheTime asks the clients' address how the service is, until the function that it returns is called. A question that
// fails is asked again for as long as retry, as a client does with one that changes nothing; what fails then has failed.
func askAllTheTime(t *testing.T, retry time.Duration) (answers func() (asked int, failures []error)) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	var (
		asking   sync.WaitGroup
		asked    int
		failures []error
	)
	l := tiers(t)
	asking.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
			err := pong(context.WithoutCancel(ctx), l)
			for end := time.Now().Add(retry); err != nil && time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
				err = pong(context.WithoutCancel(ctx), l)
			}
			asked++
			if err != nil {
				failures = append(failures, fmt.Errorf("%s: %w", time.Now().Format(time.TimeOnly), err))
			}
		}
	})
	return func() (int, []error) {
		stop()
		asking.Wait()
		return asked, failures
	}
}

// testUpkeepRollout replaces every machine while all kinds of clients work.
func testUpkeepRollout(t *testing.T, b *bench) {
	answers := askAllTheTime(t, 5*time.Second)
	report := filepath.Join(t.TempDir(), "report")
	o := b.try(t, 20*time.Minute, "lab", "drill", "rollout", "--images", b.images, "--report", report)
	asked, failures := answers()
	b.figure(t, "%.0f s, exit code %d; %d questions, %d failed for more than five seconds\n%s", o.took.Seconds(), o.code, asked, len(failures), o.stdout)
	for _, err := range failures {
		t.Error(err)
	}
	unharmed(t, report, o)
}

// testUpkeepRotate replaces every leaf certificate while a client asks all the time.
func testUpkeepRotate(t *testing.T, b *bench) {
	before := inside(t, "postgres-1", "cat", "/etc/cincbake/tls/postgres.pem")
	answers := askAllTheTime(t, 5*time.Second)
	o := b.must(t, 5*time.Minute, "secrets", "rotate", "leaves", "--apply", "--lab")
	asked, failures := answers()
	b.figure(t, "%d questions during a rotation of %.0f s, %d failed for more than five seconds", asked, o.took.Seconds(), len(failures))
	for _, err := range failures {
		t.Error(err)
	}
	if inside(t, "postgres-1", "cat", "/etc/cincbake/tls/postgres.pem") == before {
		t.Error("postgres-1 still has its old certificate")
	}
	if o := b.try(t, time.Minute, "secrets", "rotate", "cinc.bookshelfSecret"); o.code != 5 || !strings.Contains(o.stderr, "--allow-outage") {
		t.Errorf("what takes an outage was not refused with the way to have one: %d, %s", o.code, o.stderr)
	}
}

// testUpkeepRestore destroys everything and begins anew from the backup.
func testUpkeepRestore(t *testing.T, b *bench) {
	b.must(t, 5*time.Minute, "backup", "--lab")
	const count = "select count(*) from written"
	rows := b.sql(t, "cincbake", count)
	b.must(t, 2*time.Minute, "lab", "down")
	b.must(t, time.Minute, "restore", "--latest", "--lab")
	o := b.must(t, 8*time.Minute, "lab", "up", "--images", b.images)
	b.figure(t, "whole %.1f s after lab up, from the backup", o.took.Seconds())
	if got := b.sql(t, "cincbake", count); got != rows || rows == "0" {
		t.Errorf("%s rows came back, there were %s", got, rows)
	}
	if keys := b.sql(t, "opscode_chef", "select key_name from keys join users using (id) where username = 'pivotal'"); keys != "cincbake" {
		t.Errorf("pivotal's keys are %q", keys)
	}
	b.must(t, 5*time.Minute, "reindex", "--lab")
	if err := pong(t.Context(), tiers(t)); err != nil {
		t.Error(err)
	}
}
