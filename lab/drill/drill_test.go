package drill

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/internal/exit"
)

// fakeDatabase is a database in memory. Times are those of a synctest bubble.
type fakeDatabase struct {
	mu   sync.Mutex
	rows map[Row]bool
	// hangs makes writes hang until their caller gives up, as on a connection to a dead machine; refuses makes new
	// connections fail at once.
	hangs, refuses bool
	ended          chan struct{} // ends the writes that hang, as a router does; nil: nobody does
	forgets        int           // how many of the rows to come it acknowledges but does not keep
}

func (f *fakeDatabase) Prepare(context.Context) error {
	f.rows = map[Row]bool{}
	return nil
}

func (f *fakeDatabase) Open(context.Context, int) (Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuses {
		return nil, errors.New("connection refused")
	}
	return f, nil
}

func (f *fakeDatabase) Write(ctx context.Context, row Row) error {
	f.mu.Lock()
	hangs, ended := f.hangs, f.ended
	f.mu.Unlock()
	if hangs {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return errors.New("connection reset")
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.forgets > 0 {
		f.forgets--
		return nil
	}
	f.rows[row] = true
	return nil
}

func (f *fakeDatabase) Close() {}

func (f *fakeDatabase) Rows(context.Context) (map[Row]bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rows, nil
}

func (f *fakeDatabase) set(hangs, refuses bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hangs, f.refuses = hangs, refuses
}

// fakeCluster has a primary that a fault can move.
type fakeCluster struct {
	mu      sync.Mutex
	primary string
	heals   time.Duration // how long until it is whole
	broken  error
}

func (c *fakeCluster) Primary(context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.primary, nil
}

func (c *fakeCluster) DatabaseRole(_ context.Context, node string) (string, error) {
	switch {
	case !strings.HasPrefix(node, "postgres"):
		return "", nil
	case node == c.primary:
		return "primary", nil
	default:
		return "sync_standby", nil
	}
}

func (c *fakeCluster) WaitWhole(ctx context.Context, _ time.Duration) error {
	if c.broken != nil {
		return c.broken
	}
	return pause(ctx, c.heals)
}

// failover is a fault that stops the database for that long and then moves the primary.
func failover(c *fakeCluster, db *fakeDatabase, lasts time.Duration, forgets int) (fault Fault, mended *[]string) {
	mended = &[]string{}
	return Fault{
		Name: "power-off",
		Strike: func(context.Context, string) error {
			db.set(true, true)
			time.AfterFunc(lasts, func() {
				c.mu.Lock()
				c.primary = "postgres-2"
				c.mu.Unlock()
				db.mu.Lock()
				db.forgets = forgets
				db.mu.Unlock()
				db.set(false, false)
			})
			return nil
		},
		Mend: func(_ context.Context, node string) error {
			*mended = append(*mended, node)
			return nil
		},
	}, mended
}

func TestDrill(t *testing.T) {
	for _, row := range []struct {
		name    string
		lasts   time.Duration
		forgets int
		node    string
		want    Result
	}{
		{"a failover", 12 * time.Second, 0, "", Result{
			Fault: "power-off", Node: "postgres-1", Lost: 0, PrimaryBefore: "postgres-1", PrimaryAfter: "postgres-2", NodeRole: "sync_standby",
		}},
		{"lost writes are counted", 5 * time.Second, 7, "", Result{
			Fault: "power-off", Node: "postgres-1", Lost: 7, PrimaryBefore: "postgres-1", PrimaryAfter: "postgres-2", NodeRole: "sync_standby",
		}},
		{"a named node", 5 * time.Second, 0, "heartbeat-1", Result{
			Fault: "power-off", Node: "heartbeat-1", PrimaryBefore: "postgres-1", PrimaryAfter: "postgres-2",
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, db := &fakeCluster{primary: "postgres-1", heals: 10 * time.Second}, &fakeDatabase{}
				fault, mended := failover(c, db, row.lasts, row.forgets)
				var heard []Result
				report, err := Drill{Cluster: c, Store: db, Fault: fault, Node: row.node}.Run(t.Context(), func(r Result) { heard = append(heard, r) })
				if err != nil {
					t.Fatal(err)
				}
				got := report.Results[0]
				if diff := cmp.Diff(report.Results, heard); diff != "" {
					t.Error(diff)
				}
				// From the last write before the strike to the first one after it: a writer is never away for longer than a
				// hanging write and the pause after a failed connection.
				if longest := (row.lasts + writeTimeout + 2*openPause).Seconds(); got.GapSeconds < row.lasts.Seconds()-0.05 || got.GapSeconds > longest {
					t.Errorf("the gap was %v s", got.GapSeconds)
				}
				if least := (row.lasts + c.heals).Seconds(); got.FullRedundancySeconds < least || got.FullRedundancySeconds > least+4 {
					t.Errorf("whole again after %v s", got.FullRedundancySeconds)
				}
				if got.Acknowledged < 4*2*int(steady/writePause)*9/10 {
					t.Errorf("%d writes were acknowledged", got.Acknowledged)
				}
				if diff := cmp.Diff([]string{got.Node}, *mended); diff != "" {
					t.Error(diff)
				}
				got.GapSeconds, got.FullRedundancySeconds, got.Acknowledged = 0, 0, 0
				if diff := cmp.Diff(row.want, got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestDrillRunsRepeatedly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, db := &fakeCluster{primary: "postgres-1"}, &fakeDatabase{}
		switched := 0
		fault := Switchover(func(context.Context) error { switched++; return nil })
		report, err := Drill{Cluster: c, Store: db, Fault: fault, Runs: 3}.Run(t.Context(), func(Result) {})
		if err != nil || len(report.Results) != 3 || switched != 3 || report.Lost != 0 {
			t.Errorf("%+v: %v", report, err)
		}
	})
}

func TestDrillFails(t *testing.T) {
	for _, row := range []struct {
		name  string
		spoil func(*fakeCluster, *fakeDatabase, *Fault)
		want  string
		code  exit.Code
	}{
		{
			"not whole before", func(c *fakeCluster, _ *fakeDatabase, _ *Fault) { c.broken = errors.New("no primary") },
			"drill power-off, run 1: before the strike: no primary", exit.Failed,
		},
		{
			"no write gets through before", func(_ *fakeCluster, db *fakeDatabase, _ *Fault) { db.refuses = true },
			"drill power-off, run 1: before the strike: no write was acknowledged within 30s: context deadline exceeded\nconnection refused", exit.TimedOut,
		},
		{"the strike fails", func(_ *fakeCluster, _ *fakeDatabase, f *Fault) {
			f.Strike = func(context.Context, string) error { return errors.New("no such machine") }
		}, "drill power-off, run 1: striking postgres-1: no such machine", exit.Failed},
		{"no write gets through after", func(_ *fakeCluster, db *fakeDatabase, f *Fault) {
			f.Strike = func(context.Context, string) error { db.set(true, true); return nil }
		}, "drill power-off, run 1: no write was acknowledged within 2m0s: context deadline exceeded\nconnection refused", exit.TimedOut},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, db := &fakeCluster{primary: "postgres-1"}, &fakeDatabase{}
				fault := Fault{Name: "power-off", Strike: func(context.Context, string) error { return nil }}
				row.spoil(c, db, &fault)
				_, err := Drill{Cluster: c, Store: db, Fault: fault}.Run(t.Context(), func(Result) { t.Error("a failed run was heard of") })
				if err == nil || err.Error() != row.want || exit.CodeOf(err) != row.code {
					t.Errorf("got %v, exit code %d", err, exit.CodeOf(err))
				}
			})
		})
	}
}

func TestDrillStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		c, db := &fakeCluster{primary: "postgres-1", heals: time.Hour}, &fakeDatabase{}
		if _, err := (Drill{Cluster: c, Store: db, Fault: Switchover(func(context.Context) error { return nil })}).Run(ctx, func(Result) {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestLedger(t *testing.T) {
	at := func(seconds float64) time.Time {
		return time.Unix(0, 0).Add(time.Duration(seconds*1000) * time.Millisecond)
	}
	var l ledger
	if flows, _ := l.flowsSince(time.Time{}); flows {
		t.Error("writes flow before there is one")
	}
	for i, when := range []float64{1, 1.5, 4, 4.1} {
		l.acknowledge(Row{0, i}, at(when-0.2), at(when))
	}
	for _, row := range []struct {
		since, until float64
		flows        bool
		gap          time.Duration
	}{
		{3, 4.2, true, 2500 * time.Millisecond},
		{3.95, 4.2, false, 2500 * time.Millisecond}, // acknowledged after it, but begun before
		{3, 9.1, true, 5 * time.Second},             // the gap that has not ended
	} {
		if flows, _ := l.flowsSince(at(row.since)); flows != row.flows {
			t.Errorf("flows since %v: %v", row.since, flows)
		}
		if rows, gap := l.close(at(row.until)); len(rows) != 4 || gap != row.gap {
			t.Errorf("until %v: %d rows, %v", row.until, len(rows), gap)
		}
	}
}

func TestLost(t *testing.T) {
	acknowledged := []Row{{0, 1}, {0, 2}, {1, 1}}
	for _, row := range []struct {
		there []Row
		want  int
	}{
		{[]Row{{0, 1}, {0, 2}, {1, 1}}, 0},
		{[]Row{{0, 1}, {0, 2}, {1, 1}, {1, 2}}, 0}, // there without an acknowledgement: no promise was broken
		{[]Row{{0, 2}, {1, 2}}, 2},
		{nil, 3},
	} {
		there := map[Row]bool{}
		for _, r := range row.there {
			there[r] = true
		}
		if got := lost(acknowledged, there); got != row.want {
			t.Errorf("%v: %d lost, want %d", row.there, got, row.want)
		}
	}
}

func TestReport(t *testing.T) {
	run := func(gap float64, lost int) Result {
		return Result{
			Fault: "power-off", Node: "postgres-1", GapSeconds: gap, Acknowledged: 100, Lost: lost,
			PrimaryBefore: "postgres-1", PrimaryAfter: "postgres-2", FullRedundancySeconds: 30, NodeRole: "sync_standby",
		}
	}
	for _, row := range []struct {
		results []Result
		want    Report
	}{
		{nil, Report{}},
		{[]Result{run(16, 0)}, Report{MedianGapSeconds: 16, WorstGapSeconds: 16, Acknowledged: 100}},
		{[]Result{run(16, 0), run(11, 1), run(25, 0)}, Report{MedianGapSeconds: 16, WorstGapSeconds: 25, Acknowledged: 300, Lost: 1}},
		{[]Result{run(16, 0), run(11, 0)}, Report{MedianGapSeconds: 13.5, WorstGapSeconds: 16, Acknowledged: 200}},
	} {
		row.want.Results = row.results
		if diff := cmp.Diff(row.want, summarise(row.results)); diff != "" {
			t.Error(diff)
		}
	}
	var text bytes.Buffer
	one := run(15.62, 0)
	if err := one.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if err := summarise([]Result{one, run(11, 1)}).WriteText(&text); err != nil {
		t.Fatal(err)
	}
	want := `power-off of postgres-1
  without an acknowledged write   15.6 s
  acknowledged writes lost        0 of 100
  primary                         postgres-2, was postgres-1
  postgres-1 is now               sync_standby
  whole again after               30.0 s
2 runs: 13.3 s without an acknowledged write in the middle, 15.6 s at worst; 1 of 200 acknowledged writes lost
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Error(diff)
	}
}
