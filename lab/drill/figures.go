package drill

import (
	"slices"
	"time"
)

// noticed is the shortest pause of a service that is called one: clients on a busy machine pause a little all the time.
const noticed = time.Second

// span is a stretch of time.
type span struct{ from, to time.Time }

func (s span) length() time.Duration { return s.to.Sub(s.from) }

// overlap is how much of it another one covers.
func (s span) overlap(other span) time.Duration {
	from, to := s.from, s.to
	if other.from.After(from) {
		from = other.from
	}
	if other.to.Before(to) {
		to = other.to
	}
	return max(0, to.Sub(from))
}

// trace is what the clients of one kind of traffic did during a strike.
type trace struct {
	window  span
	clients []Client
	ops     []op
}

// acknowledged returns when operations of those clients were acknowledged, in order.
func (t trace) acknowledged(of func(client int) bool) []time.Time {
	var times []time.Time
	for _, o := range t.ops {
		if o.failure == nil && of(o.client) && !o.ended.Before(t.window.from) && !o.ended.After(t.window.to) {
			times = append(times, o.ended)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

// pauses returns the stretches between acknowledgements, the window's ends included.
func (t trace) pauses(of func(client int) bool) []span {
	var pauses []span
	last := t.window.from
	for _, at := range append(t.acknowledged(of), t.window.to) {
		pauses = append(pauses, span{last, at})
		last = at
	}
	return pauses
}

func longest(spans []span) span {
	return slices.MaxFunc(spans, func(a, b span) int { return int(a.length() - b.length()) })
}

func everyone(int) bool { return true }

// worstClient is the longest time that a single client waited whose own machine was not struck.
func (t trace) worstClient(struck []string) time.Duration {
	worst := time.Duration(0)
	for i, c := range t.clients {
		if !slices.Contains(struck, c.Node) {
			worst = max(worst, longest(t.pauses(func(client int) bool { return client == i })).length())
		}
	}
	return worst
}

// hanging returns the operations that took longer than hangLimit of a time in which others were served. One that waits while
// the service is away is no such thing, nor one on a machine that was struck itself. Whoever asked while it was away may
// learn of its return after as long again: TCP repeats what got no answer after twice as long each time.
func (t trace) hanging(struck []string) []op {
	var away []span
	for _, p := range t.pauses(everyone) {
		if p.length() > noticed {
			away = append(away, p)
		}
	}
	var hung []op
	for _, o := range t.ops {
		if slices.Contains(struck, t.clients[o.client].Node) {
			continue
		}
		waited := span{o.began, o.ended}
		served, limit := waited.length(), hangLimit
		for _, a := range away {
			if both := waited.overlap(a); both > 0 {
				served, limit = served-both, max(limit, a.length())
			}
		}
		if served > limit {
			hung = append(hung, o)
		}
	}
	return hung
}

// perSecond counts acknowledged operations by the second, from the window's beginning on.
func (t trace) perSecond() []int {
	counts := make([]int, int((t.window.length()+time.Second-1)/time.Second))
	for _, at := range t.acknowledged(everyone) {
		if second := int(at.Sub(t.window.from) / time.Second); second < len(counts) {
			counts[second]++
		}
	}
	return counts
}

// Spread is how a figure is spread over runs.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	return Spread{median(values), slices.Min(values), slices.Max(values)}
}
