//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cluster"
)

// round is one election of the API node that makes the databases.
type round struct {
	name string
	// at is the step of the reconfigure at which the elected node is struck; empty: nobody is.
	at     string
	strike func(*testing.T, *bench, string)
}

// heldFor is how long a reconfigure stands still at the step where it is struck.
const heldFor = 20

// TestElection lets three fresh API nodes start in the same second on an empty database server, more than twenty times, and
// strikes the elected one, or the database, at every step of what it does. It takes about half an hour, and is no
// part of the end-to-end suite, which has four such rounds.
func TestElection(t *testing.T) {
	b := newBench(t)
	testTiersSpec(t, b)
	testTiersUp(t, b)

	rounds := []round{}
	for n := range 8 {
		rounds = append(rounds, round{name: fmt.Sprintf("undisturbed %d", n+1)})
	}
	for _, step := range []string{"secrets", "databases", "search", "files", "bootstrap", "services", "cinc-server-running.json"} {
		rounds = append(rounds, round{"killed before " + step, step, killHolder})
	}
	for _, step := range []string{"databases", "bootstrap"} {
		rounds = append(rounds,
			round{"the primary dies before " + step, step, killPrimary},
			round{"a switchover before " + step, step, switchOver},
			round{"frozen before " + step + ", and thawed after its successor", step, freezeHolder})
	}
	for _, r := range rounds {
		t.Run(r.name, func(t *testing.T) { r.run(t, b) })
	}
}

func (r round) run(t *testing.T, b *bench) {
	began := startTogether(t, b, func(server string) {
		if r.at != "" {
			inside(t, server, "sh", "-c", fmt.Sprintf("mkdir -p /etc/cinc-project; echo %s %d > /etc/cinc-project/pause", r.at, heldFor))
		}
	})
	if r.strike != nil {
		holder := pausing(t, r.at)
		for _, server := range servers { // whoever comes next does not stand still
			inside(t, server, "rm", "--force", "/etc/cinc-project/pause")
		}
		r.strike(t, b, holder)
	}
	b.untilWhole(t, 4*time.Minute)
	b.figure(t, "whole after %.1f s", time.Since(began).Seconds())
	if made := oneSetOfDatabases(t, b); r.strike == nil && made != 1 {
		t.Errorf("%d machines made the databases", made)
	}
}

// startTogether boots three fresh API nodes on a database server that never had anything of Cinc Server's.
func startTogether(t *testing.T, b *bench, started func(server string)) time.Time {
	t.Helper()
	forgetDatabases(t, b)
	began := time.Now()
	var starting sync.WaitGroup
	for _, server := range servers {
		starting.Go(func() {
			if o := b.try(t, time.Minute, "lab", "replace", server); o.code != 0 {
				t.Errorf("replace %s: %s", server, o.stderr)
				return
			}
			started(server)
		})
	}
	starting.Wait()
	return began
}

// oneSetOfDatabases looks whether all API nodes hold the same values and the databases were made to their end, and counts
// how many nodes set out to make them.
func oneSetOfDatabases(t *testing.T, b *bench) (made int) {
	t.Helper()
	keys := b.sql(t, "opscode_chef", "select key_name from keys join users using (id) where username = 'pivotal'")
	ledger := b.sql(t, "cincbake", "select made, version from ledger")
	if keys != "cincbake" || ledger != "t|15.10.91" {
		t.Errorf("pivotal's keys %q, ledger %q", keys, ledger)
	}
	var stores []string
	for _, server := range servers {
		stores = append(stores, inside(t, server, "cat", "/etc/cincbake/private-cinc-secrets.json"))
		made += strings.Count(inside(t, server, "journalctl", "--unit=cincbake-boot", "--output=cat", "--boot"), "join: bootstrap")
	}
	if stores = slices.Compact(stores); len(stores) != 1 {
		t.Error("the API nodes hold different values")
	}
	return made
}

// pausing waits for the API node whose reconfigure stands still before that step.
func pausing(t *testing.T, step string) string {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		for _, server := range servers {
			if inside(t, server, "sh", "-c", "cat /etc/cinc-project/paused 2>/dev/null || true") == step {
				return server
			}
		}
	}
	t.Fatalf("no API node was seen before %s, so none can be struck there", step)
	return ""
}

func killHolder(t *testing.T, b *bench, holder string) {
	b.must(t, time.Minute, "lab", "kill", holder)
	b.must(t, time.Minute, "lab", "start", holder)
}

func killPrimary(t *testing.T, b *bench, _ string) {
	for _, n := range b.status(t).Nodes {
		if db := n.Status.Database; db != nil && db.Role == "primary" {
			b.must(t, time.Minute, "lab", "kill", n.Node.Name)
			time.Sleep(heldFor * time.Second) // the other one is primary by then
			b.must(t, time.Minute, "lab", "start", n.Node.Name)
			return
		}
	}
	t.Fatal("nobody is primary")
}

func switchOver(t *testing.T, b *bench, _ string) {
	b.must(t, 2*time.Minute, "switchover", "--lab")
}

// freezeHolder stops the holder of the lock where it is until another node has made the databases.
func freezeHolder(t *testing.T, b *bench, holder string) {
	b.must(t, time.Minute, "lab", "freeze", holder)
	b.await(t, "the other API nodes serve", func(s status) bool {
		ready := 0
		for _, n := range s.Nodes {
			if n.Node.Role == cluster.RoleAPI && n.Node.Name != holder && n.Status.Result == cluster.ResultReady {
				ready++
			}
		}
		return ready == len(servers)-1
	})
	b.must(t, time.Minute, "lab", "thaw", holder)
}
