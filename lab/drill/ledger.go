package drill

import (
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
}

func (l *ledger) acknowledge(row Row, began, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.last.IsZero() {
		l.gap = max(l.gap, now.Sub(l.last))
	}
	l.rows = append(l.rows, row)
	l.last = now
	if began.After(l.begun) {
		l.begun = began
	}
}

func (l *ledger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
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
