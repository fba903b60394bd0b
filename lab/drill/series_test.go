package drill

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// fakeMachines keeps what was done to machines.
type fakeMachines struct {
	mu   sync.Mutex
	done []string
	// on is called with everything that is done.
	on func(what, node string) error
}

func (m *fakeMachines) do(what, node string) error {
	m.mu.Lock()
	m.done = append(m.done, what+" "+node)
	m.mu.Unlock()
	if m.on == nil {
		return nil
	}
	return m.on(what, node)
}

func (m *fakeMachines) PowerOff(_ context.Context, n string) error { return m.do("power-off", n) }
func (m *fakeMachines) Start(_ context.Context, n string) error    { return m.do("start", n) }
func (m *fakeMachines) PowerOffAll(_ context.Context, nodes []string) error {
	return m.do("power-off", strings.Join(nodes, "+"))
}

func (m *fakeMachines) StartAll(_ context.Context, nodes []string) error {
	return m.do("start", strings.Join(nodes, "+"))
}
func (m *fakeMachines) Shutdown(_ context.Context, n string) error { return m.do("shutdown", n) }
func (m *fakeMachines) Replace(_ context.Context, n string) error  { return m.do("replace", n) }
func (m *fakeMachines) KillPrograms(_ context.Context, n string, names ...string) (int, error) {
	return len(names), m.do("kill "+strings.Join(names, "+")+" of", n)
}

func (m *fakeMachines) Partition(_ context.Context, n string, with []string) error {
	return m.do("cut with "+strings.Join(with, "+")+" of", n)
}
func (m *fakeMachines) Heal(_ context.Context, n string) error   { return m.do("heal", n) }
func (m *fakeMachines) Freeze(_ context.Context, n string) error { return m.do("freeze", n) }
func (m *fakeMachines) Thaw(_ context.Context, n string) error   { return m.do("thaw", n) }
func (m *fakeMachines) Fill(_ context.Context, n string) error   { return m.do("fill", n) }
func (m *fakeMachines) Empty(_ context.Context, n string) error  { return m.do("empty", n) }

// fakeSite is a cluster that is whole after a while.
type fakeSite struct {
	statuses map[string]cluster.Status
	heals    time.Duration
	broken   error
	rollouts int
	unheard  int // how often nobody answers yet
}

func (s *fakeSite) Statuses(context.Context) map[string]cluster.Status {
	if s.unheard > 0 {
		s.unheard--
		return nil
	}
	return s.statuses
}

func (s *fakeSite) Switchover(context.Context) error { return nil }
func (s *fakeSite) Rollout(context.Context) error {
	s.rollouts++
	return nil
}

func (s *fakeSite) WaitWhole(ctx context.Context, _ time.Duration) error {
	if s.broken != nil {
		return s.broken
	}
	return pause(ctx, s.heals)
}

// rig is a series with fakes; all its traffic goes to one database.
type rig struct {
	Series
	db       *fakeDatabase
	site     *fakeSite
	machines *fakeMachines
}

func newRig(strikes ...Strike) *rig {
	c, statuses := elevenNodes()
	r := &rig{db: &fakeDatabase{}, site: &fakeSite{statuses: statuses, heals: 4 * time.Second}, machines: &fakeMachines{}}
	r.Series = Series{
		Suite: Suite{"test", strikes}, Cluster: c, Site: r.site, Machines: r.machines,
		Traffic: func() []Traffic {
			return []Traffic{{TrafficSQL, []Client{{Node: "api-1"}, {Node: "api-2"}, {Patient: true}}, writePause, r.db}}
		},
	}
	return r
}

// outage makes the database unreachable for that long after anything befalls a machine.
func (r *rig) outage(lasts time.Duration, on string) {
	r.machines.on = func(what, _ string) error {
		if what == on {
			ended := make(chan struct{})
			r.db.mu.Lock()
			r.db.ended = ended
			r.db.mu.Unlock()
			r.db.set(true, true)
			time.AfterFunc(lasts, func() {
				r.db.set(false, false)
				close(ended)
			})
		}
		return nil
	}
}

func TestSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		second := Blow{Do: actFreeze, To: "vip", After: duration(10 * time.Second)}
		r := newRig(
			Strike{Name: "primary, then VIP", Runs: 2, Blows: []Blow{{Do: actPowerOff, To: "primary"}, second}},
			Strike{Name: "of nothing", Runs: 1, Blows: []Blow{{Do: actFill, To: "api"}}},
			Strike{Name: "cut", Runs: 1, Hold: duration(30 * time.Second), Blows: []Blow{{Do: actPartition, To: "primary", With: []string{"api"}}}},
		)
		r.outage(8*time.Second, "power-off")
		var heard []int
		r.Heard = func(s Struck, o Outcome) error {
			if s.Number != len(o.Strikes) {
				t.Errorf("strike %d of %d", s.Number, len(o.Strikes))
			}
			heard = append(heard, s.Number)
			return nil
		}
		out, err := r.Run(t.Context())
		if err != nil || !out.OK() {
			t.Fatalf("%+v: %v", out, err)
		}
		if diff := cmp.Diff([]string{
			"power-off postgres-2", "freeze lb-2", "thaw lb-2", "start postgres-2",
			"power-off postgres-2", "freeze lb-2", "thaw lb-2", "start postgres-2",
			"cut with api-1 of postgres-2", "heal postgres-2",
		}, r.machines.done); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]int{1, 2, 3, 4}, heard); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(Totals{Strikes: 3, Skipped: 1, Operations: out.Totals.Operations, Acknowledged: out.Totals.Operations}, out.Totals); diff != "" {
			t.Error(diff)
		}
		first := out.Strikes[0]
		var events []string
		for _, e := range first.Events {
			events = append(events, e.What)
		}
		if diff := cmp.Diff([]string{EventStruck, EventLost, EventBack, EventStruck, EventRepaired, EventWhole}, events); diff != "" {
			t.Errorf("%s\n%+v", diff, first.Events)
		}
		if gap := first.Traffic[0].GapSeconds; gap < 7.9 || gap > 9 {
			t.Errorf("the gap was %v s", gap)
		}
		// The second blow came ten seconds after the first, clients had to be served for three more, and it takes four to be whole.
		if first.Whole < 17 || first.Whole > 18 {
			t.Errorf("whole after %v s", first.Whole)
		}
		if held := out.Strikes[3].Events[1]; held.What != EventRepaired || held.At < 30 {
			t.Errorf("healed too early: %+v", held)
		}
		if out.Strikes[2].Skipped != "there is no data disk of api-1" {
			t.Errorf("skipped since %q", out.Strikes[2].Skipped)
		}
	})
}

func TestSeriesFindsWhatIsWrong(t *testing.T) {
	power := Strike{Name: "power", Runs: 1, Blows: []Blow{{Do: actPowerOff, To: "replica"}}}
	for _, row := range []struct {
		name  string
		spoil func(*rig)
		want  string
	}{
		{"lost writes", func(r *rig) {
			r.machines.on = func(string, string) error {
				r.db.mu.Lock()
				defer r.db.mu.Unlock()
				r.db.forgets = 4
				return nil
			}
		}, "acknowledged writes are lost"},
		{"a second search cluster", func(r *rig) {
			r.machines.on = func(string, string) error {
				r.site.statuses["opensearch-3"] = cluster.Status{Search: &cluster.Search{ClusterUUID: "second"}}
				return nil
			}
		}, `the search nodes are in the clusters ["one" "second"]`},
		{"a blow that fails", func(r *rig) {
			r.machines.on = func(what, _ string) error {
				if what == "power-off" {
					return errors.New("the plug is stuck")
				}
				return nil
			}
		}, "power-off: the plug is stuck"},
		{"no service", func(r *rig) { r.outage(5*time.Minute, "power-off") }, "SQL write not served within 2m0s"},
		{"a connection that nobody serves and nobody ends", func(r *rig) {
			r.machines.on = func(what, _ string) error {
				r.db.set(what == "power-off", false)
				time.Sleep(time.Second) // for every client to run into it
				return nil
			}
			r.Suite.Strikes[0].Patience = duration(time.Second)
			r.site.heals = 20 * time.Second
		}, "SQL write: 1 operations hung for more than 10s while others were served"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(power)
				row.spoil(r)
				out, err := r.Run(t.Context())
				if err != nil || out.OK() || out.Totals.Failed != 1 {
					t.Fatalf("%+v: %v", out.Totals, err)
				}
				if problems := strings.Join(out.Strikes[0].Problems, "\n"); !strings.Contains(problems, row.want) {
					t.Errorf("the problems are %q", problems)
				}
				if !slices.Contains(r.machines.done, "start postgres-1") {
					t.Errorf("it was not mended: %v", r.machines.done)
				}
			})
		})
	}
}

// Machines that lose power together lose it at one moment: no survivor may notice the others go.
func TestSeriesStrikesAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Single(actPowerOff, Everybody, 1, 0).Strikes...)
		out, err := r.Run(t.Context())
		if err != nil || !out.OK() {
			t.Errorf("%v: %v", out.Strikes, err)
		}
		var names []string
		for _, n := range r.Cluster.Nodes {
			names = append(names, n.Name)
		}
		all := strings.Join(names, "+")
		if diff := cmp.Diff([]string{"power-off " + all, "start " + all}, r.machines.done); diff != "" {
			t.Error(diff)
		}
	})
}

// A rollout is one thing that befalls all machines, whoever is named.
func TestSeriesRollsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Single(actRollout, "primary", 1, 0).Strikes...)
		out, err := r.Run(t.Context())
		if err != nil || !out.OK() || r.site.rollouts != 1 || len(r.machines.done) != 0 {
			t.Errorf("%d rollouts, machines %v: %v", r.site.rollouts, r.machines.done, err)
		}
		if nodes := out.Strikes[0].Nodes; len(nodes) != len(r.Cluster.Nodes) {
			t.Errorf("struck %v", nodes)
		}
	})
}

// Writes that a later strike took are found at the end.
func TestSeriesLooksBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Strike{Name: "switchover", Runs: 2, Blows: []Blow{{Do: actSwitchover, To: "primary"}}})
		var stores []*fakeDatabase
		r.Traffic = func() []Traffic {
			stores = append(stores, &fakeDatabase{})
			return []Traffic{{TrafficSQL, make([]Client, 2), writePause, stores[len(stores)-1]}}
		}
		r.Heard = func(s Struck, _ Outcome) error {
			if s.Number == 2 {
				first := stores[1] // the one before it only said what the traffic is
				first.mu.Lock()
				defer first.mu.Unlock()
				delete(first.rows, Row{0, 3})
			}
			return nil
		}
		out, err := r.Run(t.Context())
		if err != nil || out.OK() || out.LostLater != 1 || out.Totals.Lost != 0 {
			t.Errorf("%d lost later, %+v: %v", out.LostLater, out.Totals, err)
		}
	})
}

func TestSeriesAsksWhoSaysNothing(t *testing.T) {
	power := Strike{Name: "power", Runs: 1, Blows: []Blow{{Do: actPowerOff, To: "primary"}}}
	for unheard, skipped := range map[int]bool{5: false, 100: true} { // a busy host, and a cluster that is gone
		synctest.Test(t, func(t *testing.T) {
			r := newRig(power)
			search := r.view(t.Context(), 0).searchClusters()
			r.site.unheard = unheard
			struck, _, err := r.strike(t.Context(), power, 0, search)
			if err != nil || (struck.Skipped != "") != skipped {
				t.Errorf("unheard %d times: skipped since %q: %v", unheard, struck.Skipped, err)
			}
		})
	}
}

func TestSeriesStops(t *testing.T) {
	strike := Strike{Name: "freeze", Runs: 3, Hold: duration(time.Minute), Blows: []Blow{{Do: actFreeze, To: "primary"}}}
	t.Run("not whole", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(strike)
			r.machines.on = func(what, _ string) error {
				if what == "thaw" {
					r.site.broken = errors.New("postgres-2 does not answer")
				}
				return nil
			}
			out, err := r.Run(t.Context())
			if !errors.Is(err, errNotWhole) || exit.CodeOf(err) != exit.TimedOut || out.OK() {
				t.Errorf("%v", err)
			}
			if len(out.Strikes) != 1 || out.Totals.Failed != 1 || len(out.Strikes[0].Traffic) != 1 || out.Stopped == "" {
				t.Errorf("%+v", out)
			}
		})
	})
	t.Run("interrupted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			r := newRig(strike)
			out, err := r.Run(ctx)
			if !errors.Is(err, context.DeadlineExceeded) || out.OK() {
				t.Errorf("%v", err)
			}
			if diff := cmp.Diff([]string{"freeze postgres-2", "thaw postgres-2"}, r.machines.done); diff != "" {
				t.Errorf("what stays broken: %s", diff)
			}
		})
	})
	t.Run("two search clusters before", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(strike)
			r.site.statuses["opensearch-1"] = cluster.Status{}
			if _, err := r.Run(t.Context()); err == nil || len(r.machines.done) > 0 {
				t.Errorf("struck %v: %v", r.machines.done, err)
			}
		})
	})
}
