package drill

import (
	"fmt"
	"sync"
	"time"
)

// Row is one written row. Its number is tried once only, so an acknowledged row is one that must be there for ever.
type Row struct {
	Writer int
	Number int
}

// ledger keeps what the database acknowledged, and how long it acknowledged nothing. Several writers share one.
type ledger struct {
	mu    sync.Mutex
	rows  []Row
	last  time.Time     // of the last acknowledgement
	gap   time.Duration // the longest time between two
	begun time.Time     // when the latest of the acknowledged writes began
	err   error         // why a write failed last
	ops   []op          // what was acknowledged, and what somebody waited for in vain for long
}

// op is one operation of a client.
type op struct {
	client       int
	began, ended time.Time
	failure      error // nil: it was acknowledged
}

// words tell when and how somebody waited, in seconds of the strike.
func (o op) words(clients []Client, after func(time.Time) float64) string {
	who, end := fmt.Sprintf("client %d", o.client), "acknowledged"
	if node := clients[o.client].Node; node != "" {
		who += " on " + node
	}
	if o.failure != nil {
		end = o.failure.Error()
	}
	return fmt.Sprintf("%s, from %.1f s to %.1f s: %s", who, after(o.began), after(o.ended), end)
}

func (l *ledger) acknowledge(row Row, began, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.last.IsZero() {
		l.gap = max(l.gap, now.Sub(l.last))
	}
	l.rows = append(l.rows, row)
	l.last = now
	l.ops = append(l.ops, op{row.Writer, began, now, nil})
	if began.After(l.begun) {
		l.begun = began
	}
}

// fail keeps why an operation failed, and the operation itself when it took long enough to matter.
func (l *ledger) fail(client int, began, now time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	if now.Sub(began) > hangLimit {
		l.ops = append(l.ops, op{client, began, now, err})
	}
}

// steadySince tells whether operations were acknowledged all the time from then to now, each less than pause after the last.
func (l *ledger) steadySince(since, now time.Time, pause time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	until := now
	for i := len(l.ops) - 1; i >= 0; i-- {
		o := l.ops[i]
		switch {
		case o.failure != nil:
			continue
		case until.Sub(o.ended) >= pause:
			return false
		case o.ended.Before(since):
			return true
		}
		until = o.ended
	}
	return false
}

// flowsSince tells whether a write that began after that time was acknowledged, and otherwise why one failed last.
func (l *ledger) flowsSince(t time.Time) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.begun.After(t), l.err
}

// close returns the acknowledged rows and the longest gap, one that lasts until now included.
func (l *ledger) close(now time.Time) ([]Row, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	gap := l.gap
	if !l.last.IsZero() {
		gap = max(gap, now.Sub(l.last))
	}
	return l.rows, gap
}

// lost counts the acknowledged rows that are not there.
func lost(acknowledged []Row, there map[Row]bool) int {
	missing := 0
	for _, row := range acknowledged {
		if !there[row] {
			missing++
		}
	}
	return missing
}
