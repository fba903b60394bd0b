package drill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Store is where the writers write: the cluster's database, as any client reaches it.
type Store interface {
	// Prepare makes room for the rows of one drill.
	Prepare(ctx context.Context) error
	// Open connects a writer.
	Open(ctx context.Context, writer int) (Session, error)
	// Rows returns the rows that are there.
	Rows(ctx context.Context) (map[Row]bool, error)
}

// Session is a writer's connection. It is used by one goroutine.
type Session interface {
	// Write returns nil only when the database has acknowledged the row.
	Write(ctx context.Context, row Row) error
	Close()
}

const (
	writePause   = 10 * time.Millisecond // between two rows of a writer
	openPause    = 50 * time.Millisecond // after a failed connection, plus as much jitter
	openTimeout  = 5 * time.Second       // of all hosts together
	writeTimeout = 3 * time.Second       // then the connection is given up: its other end may be gone
)

// writers write rows until they are stopped.
type writers struct {
	ledger  ledger
	store   Store
	stop    context.CancelFunc
	working sync.WaitGroup
}

func startWriters(ctx context.Context, store Store, count int) *writers {
	ctx, stop := context.WithCancel(ctx)
	w := &writers{store: store, stop: stop}
	for writer := range count {
		w.working.Go(func() { w.write(ctx, writer) })
	}
	return w
}

// halt stops the writers, lets them finish the row they are at, and returns what was acknowledged.
func (w *writers) halt() (rows []Row, gap time.Duration) {
	now := time.Now()
	w.stop()
	w.working.Wait()
	return w.ledger.close(now)
}

func (w *writers) write(ctx context.Context, writer int) {
	var session Session
	defer func() {
		if session != nil {
			session.Close()
		}
	}()
	for number := 0; ; number++ {
		pause := writePause
		if session == nil {
			var err error
			if session, err = w.open(ctx, writer); err != nil {
				w.ledger.fail(err)
				pause = jittered(openPause)
			}
		}
		if session != nil {
			began := time.Now()
			if err := w.try(ctx, session, Row{writer, number}); err != nil {
				w.ledger.fail(err)
				session.Close()
				session = nil
			} else {
				w.ledger.acknowledge(Row{writer, number}, began, time.Now())
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (w *writers) open(ctx context.Context, writer int) (Session, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return w.store.Open(ctx, writer)
}

// try writes one row. Being stopped does not break it off: a row is acknowledged or it is not, never half.
func (w *writers) try(ctx context.Context, session Session, row Row) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	return session.Write(ctx, row)
}

// untilFlowing waits until a write that began after that time is acknowledged.
func (w *writers) untilFlowing(ctx context.Context, since time.Time, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		flows, last := w.ledger.flowsSince(since)
		if flows {
			return nil
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("no write was acknowledged within %v: %w", within, errors.Join(err, last))
		}
	}
}

// jittered returns up to twice as long, so that clients that lost their connections together do not come back together.
func jittered(d time.Duration) time.Duration { return d + rand.N(d) } //nolint:gosec // jitter, not a secret

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
