package drill

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// Traffic is one kind of clients' work.
type Traffic struct {
	Kind    string
	Clients []Client
	Pause   time.Duration // of each client between two operations
	Source  Source        // a Store, if it is written to
}

// The kinds of traffic.
const (
	TrafficSQL       = "SQL write"
	TrafficChefWrite = "Chef write"
	TrafficChefRead  = "Chef read"
)

// Series is a suite that is run against a cluster.
type Series struct {
	Suite    Suite
	Cluster  *cluster.Resolved
	Site     Site
	Machines Machines
	// Traffic returns the work of one strike. It is asked anew for every strike, so that every strike's writes stay known,
	// and are looked for once more at the end.
	Traffic       func() []Traffic
	Configuration Configuration
	// Heard hears of every strike once it is done, with the outcome until then; a nil error means: go on.
	Heard func(Struck, Outcome) error
}

const (
	defaultPatience = 60 * time.Second // until a strike is mended, though clients are not served
	settled         = 3 * time.Second  // that clients must be served for, to be called served again
	serviceSteps    = 2 * time.Second  // between two operations, at most, in that time
)

// promise is what a store acknowledged once and had at the time.
type promise struct {
	store Store
	rows  []Row
}

// errNotWhole is a cluster that can't be struck any more.
var errNotWhole = errors.New("the cluster does not become whole")

// Run makes every strike of the suite. A strike whose checks fail is part of the outcome, and the series goes on; it ends
// early, with an error, only when the cluster does not become whole, or when ctx does. The outcome says what there is.
func (s Series) Run(ctx context.Context) (Outcome, error) {
	out := Outcome{
		Format: 1, Suite: s.Suite.Name, Began: time.Now().UTC().Truncate(time.Second), Planned: s.Suite.Count(),
		Configuration: s.Configuration, Strikes: []Struck{},
	}
	began := time.Now()
	for _, t := range s.Traffic() {
		out.Configuration.Traffic = append(out.Configuration.Traffic, TrafficConfig{t.Kind, t.Clients, t.Pause.Seconds()})
	}
	err := s.all(ctx, &out, began)
	out.Seconds = rounded(time.Since(began).Seconds())
	if err != nil {
		out.Stopped = err.Error()
	}
	out.summarise()
	return out, err
}

func (s Series) all(ctx context.Context, out *Outcome, began time.Time) error {
	if err := s.Site.WaitWhole(ctx, wholeDeadline); err != nil {
		return fmt.Errorf("before the first strike: %w", err)
	}
	search := s.view(ctx, 0).searchClusters()
	if len(search) > 1 || slices.Contains(search, "") {
		return fmt.Errorf("before the first strike, the search nodes are in these clusters: %q", search)
	}
	var promises []promise
	for _, strike := range s.Suite.Strikes {
		for turn := range strike.Runs {
			struck, kept, err := s.strike(ctx, strike, turn, search)
			promises = append(promises, kept...)
			struck.Number = len(out.Strikes) + 1
			out.Strikes = append(out.Strikes, struck)
			out.Seconds = rounded(time.Since(began).Seconds())
			out.summarise()
			if s.Heard != nil {
				err = errors.Join(err, s.Heard(struck, *out))
			}
			if err != nil {
				return err
			}
		}
	}
	// What one strike left, a later one may have taken.
	for _, p := range promises {
		there, err := p.store.Rows(ctx)
		if err != nil {
			out.Problems = append(out.Problems, "reading back at the end: "+err.Error())
			continue
		}
		out.LostLater += lost(p.rows, there)
	}
	return nil
}

// hearing is how long the series asks who says nothing: between two strikes the cluster is whole, so its host is just busy.
const hearing = 15 * time.Second

// view is the cluster as its machines say it is now.
func (s Series) view(ctx context.Context, turn int) view {
	for limit := time.Now().Add(hearing); ; {
		v := view{s.Cluster, s.Site.Statuses(ctx), turn}
		if v.complete() || time.Now().After(limit) || pause(ctx, time.Second) != nil {
			return v
		}
	}
}

// crew is the clients of one kind at work.
type crew struct {
	Traffic
	*writers
}

// strike makes one strike. It fails only when the series can't go on.
func (s Series) strike(ctx context.Context, strike Strike, turn int, search []string) (Struck, []promise, error) {
	r := Struck{Name: strike.Name, Nodes: []string{}, Events: []Event{}, Traffic: []TrafficResult{}}
	blows, err := strike.resolve(s.view(ctx, turn), s.Machines, s.Site)
	if err != nil {
		if none := (absent{}); errors.As(err, &none) {
			r.Skipped = err.Error()
			return r, nil, nil
		}
		return r, nil, err
	}
	problem := func(format string, args ...any) { r.Problems = append(r.Problems, fmt.Sprintf(format, args...)) }
	for _, b := range blows {
		for _, node := range b.nodes {
			if !slices.Contains(r.Nodes, node) {
				r.Nodes = append(r.Nodes, node)
			}
		}
	}

	crews, err := s.start(ctx)
	defer func() {
		for _, c := range crews {
			c.stop()
		}
	}()
	if err != nil {
		return r, nil, fmt.Errorf("%s: before the strike: %w", strike.Name, err)
	}
	from := time.Now()
	wait := steady
	if strike.Within > 0 {
		wait += rand.N(time.Duration(strike.Within)) //nolint:gosec // a moment, not a secret
	}
	if err := pause(ctx, wait); err != nil {
		return r, nil, err
	}
	struck := time.Now()
	r.Began, r.From = struck.UTC().Truncate(time.Millisecond), -rounded(struck.Sub(from).Seconds())
	event := func(at time.Time, what, text string) {
		r.Events = append(r.Events, Event{rounded(at.Sub(struck).Seconds()), what, text})
	}

	// Nothing stays broken because the drill was stopped.
	mended := false
	defer func() {
		if !mended {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withDeadline)
			defer cancel()
			_ = mend(ctx, blows)
		}
	}()

	// The blows.
	for _, b := range blows {
		if err := pause(ctx, time.Until(struck.Add(time.Duration(b.After)))); err != nil {
			return r, nil, err
		}
		event(time.Now(), EventStruck, b.Do+" of "+strings.Join(b.nodes, ", "))
		if err := each(ctx, b.nodes, b.fault.Strike, b.fault.StrikeAll); err != nil {
			problem("%s: %v", b.Do, err)
		}
	}
	last := time.Now()

	// Clients are served again, the damage is mended, nothing is missing.
	if !strike.MendFirst {
		patience := time.Duration(strike.Patience)
		if patience == 0 {
			patience = defaultPatience
		}
		if err := untilServed(ctx, crews, last, max(patience, time.Duration(strike.Hold))); err != nil && ctx.Err() != nil {
			return r, nil, ctx.Err()
		}
		if err := pause(ctx, time.Until(last.Add(time.Duration(strike.Hold)))); err != nil {
			return r, nil, err
		}
	}
	mended = true
	if err := mend(context.WithoutCancel(ctx), blows); err != nil { // to its end, also when the drill is stopped just now
		problem("mending: %v", err)
	}
	if slices.ContainsFunc(blows, func(b resolved) bool { return b.fault.Mend != nil }) {
		event(time.Now(), EventRepaired, "")
	}
	repaired := time.Now()
	whole := s.Site.WaitWhole(ctx, wholeDeadline)
	if whole == nil {
		r.Whole = rounded(time.Since(struck).Seconds())
		event(time.Now(), EventWhole, "")
	} else {
		problem("%v", whole)
	}
	if err := untilServed(ctx, crews, repaired, flowDeadline); err != nil {
		if ctx.Err() != nil {
			return r, nil, ctx.Err()
		}
		problem("%v", err)
	}

	kept := s.look(ctx, crews, span{from, time.Now()}, struck, &r)
	if whole == nil {
		if now := s.view(ctx, turn).searchClusters(); !slices.Equal(now, search) {
			problem("the search nodes are in the clusters %q; before the first strike it was %q", now, search)
		}
	}
	if ctx.Err() != nil {
		return r, kept, ctx.Err()
	}
	if whole != nil {
		return r, kept, exit.As(exit.TimedOut, fmt.Errorf("%s: %w: %w", strike.Name, errNotWhole, whole))
	}
	return r, kept, nil
}

// start lets the clients work, and waits until all kinds of them are served.
func (s Series) start(ctx context.Context) ([]crew, error) {
	var crews []crew
	for _, t := range s.Traffic() {
		if err := t.Source.Prepare(ctx); err != nil {
			return crews, fmt.Errorf("preparing room for the %ss: %w", t.Kind, err)
		}
		crews = append(crews, crew{t, startClients(ctx, t.Source, t.Clients, t.Pause)})
	}
	for _, c := range crews {
		if err := c.untilFlowing(ctx, time.Time{}, firstDeadline); err != nil {
			return crews, fmt.Errorf("%s: %w", c.Kind, err)
		}
	}
	return crews, nil
}

// untilServed waits until clients of every kind have been served for a while, of which the beginning lies after since.
func untilServed(ctx context.Context, crews []crew, since time.Time, within time.Duration) error {
	deadline := time.Now().Add(within)
	for {
		now := time.Now()
		var away []string
		for _, c := range crews {
			start := now.Add(-settled)
			if start.Before(since) || !c.ledger.steadySince(start, now, serviceSteps) {
				away = append(away, c.Kind)
			}
		}
		switch {
		case len(away) == 0:
			return nil
		case now.After(deadline):
			var why []error
			for _, c := range crews {
				if slices.Contains(away, c.Kind) {
					_, last := c.ledger.flowsSince(now)
					why = append(why, last)
				}
			}
			return fmt.Errorf("%s not served within %v: %w", strings.Join(away, ", "), within, errors.Join(why...))
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// mend takes back what the blows did, the last one first.
func mend(ctx context.Context, blows []resolved) error {
	var failures []error
	for _, b := range slices.Backward(blows) {
		if b.fault.Mend != nil {
			failures = append(failures, each(ctx, b.nodes, b.fault.Mend, b.fault.MendAll))
		}
	}
	return errors.Join(failures...)
}

// each does something to a machine, or to several of them.
func each(ctx context.Context, nodes []string, do func(context.Context, string) error, all func(context.Context, []string) error) error {
	if len(nodes) > 1 && all != nil {
		return all(ctx, nodes)
	}
	var failures []error
	for _, node := range nodes {
		failures = append(failures, do(ctx, node))
	}
	return errors.Join(failures...)
}

// look ends the clients' work and sees what became of it.
func (s Series) look(ctx context.Context, crews []crew, window span, struck time.Time, r *Struck) []promise {
	r.Seconds = rounded(window.length().Seconds())
	problem := func(format string, args ...any) { r.Problems = append(r.Problems, fmt.Sprintf(format, args...)) }
	after := func(at time.Time) float64 { return rounded(at.Sub(struck).Seconds()) }
	var (
		kept  []promise
		worst span
	)
	for _, c := range crews {
		rows, _ := c.halt()
		t := trace{window, c.Clients, c.ledger.ops}
		gap := longest(t.pauses(everyone))
		if gap.length() > worst.length() {
			worst = gap
		}
		hung := t.hanging(r.Nodes)
		result := TrafficResult{
			Kind: c.Kind, GapSeconds: rounded(gap.length().Seconds()), GapAt: after(gap.from),
			WorstClientSeconds: rounded(t.worstClient(r.Nodes).Seconds()), Operations: len(rows),
			Hanging: len(hung), PerSecond: t.perSecond(),
		}
		if result.Operations == 0 {
			problem("%s: nobody was served, so nothing is proved", c.Kind)
		}
		if len(hung) > 0 {
			problem("%s: %d operations hung for more than %v while others were served; the first was %s", c.Kind, len(hung), hangLimit, hung[0].words(c.Clients, after))
		}
		if reads, ok := c.Source.(*ChefReads); ok && reads.Missing() > 0 {
			result.Lost = reads.Missing()
			problem("%s: %d acknowledged items were not found when they were read", c.Kind, result.Lost)
		}
		if store, ok := c.Source.(Store); ok {
			result.Acknowledged = len(rows)
			there, err := store.Rows(ctx)
			if err != nil {
				problem("%s: reading back what was written: %v", c.Kind, err)
			} else if result.Lost = lost(rows, there); result.Lost > 0 {
				problem("%s: %d of %d acknowledged writes are lost", c.Kind, result.Lost, len(rows))
			}
			kept = append(kept, promise{store, slices.DeleteFunc(rows, func(row Row) bool { return err == nil && !there[row] })})
		}
		r.Traffic = append(r.Traffic, result)
	}
	if worst.length() > noticed {
		// What was acknowledged last lies a moment before the blow that came between.
		r.Events = append(r.Events, Event{max(0, after(worst.from)), EventLost, ""}, Event{after(worst.to), EventBack, ""})
	}
	slices.SortStableFunc(r.Events, func(a, b Event) int {
		switch {
		case a.At < b.At:
			return -1
		case a.At > b.At:
			return 1
		}
		return 0
	})
	return kept
}

// rounded keeps as much of a duration as the clients' own pauses let it mean.
func rounded(seconds float64) float64 { return math.Round(seconds*100) / 100 }
