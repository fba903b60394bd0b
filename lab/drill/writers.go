package drill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Source is something that clients work with.
type Source interface {
	// Prepare makes room for the work of one drill.
	Prepare(ctx context.Context) error
	// Open connects a client.
	Open(ctx context.Context, client int) (Session, error)
}

// Store is a source that is written to: the cluster's database, or its API, as any client reaches it.
type Store interface {
	Source
	// Rows returns the rows that are there.
	Rows(ctx context.Context) (map[Row]bool, error)
}

// Session is a client's connection. It is used by one goroutine.
type Session interface {
	// Write returns nil only when the row is acknowledged. Of a client that reads, a row is a read.
	Write(ctx context.Context, row Row) error
	Close()
}

// Client is one who works all the time.
type Client struct {
	// Node is the machine that it runs on, and that takes it down with itself; empty: none of the cluster's.
	Node string `json:"node,omitempty"`
	// Patient clients wait much longer than others. They notice a connection that nobody serves and nobody ends.
	Patient bool `json:"patient,omitempty"`
}

const (
	writePause   = 10 * time.Millisecond  // between two rows of a writer
	openPause    = 50 * time.Millisecond  // after a failure, plus as much jitter; twice as long after each further one,
	longestPause = 400 * time.Millisecond // but no longer: a service that comes back must not be found out late
	openTimeout  = 5 * time.Second        // of all hosts together
	writeTimeout = 3 * time.Second        // then the connection is given up: its other end may be gone
	patience     = 30 * time.Second       // of patient clients, instead of both
	hangLimit    = 10 * time.Second       // nobody may wait longer than that for a service that others get
)

// writers write rows until they are stopped.
type writers struct {
	ledger  ledger
	source  Source
	clients []Client
	pause   time.Duration // of each between two rows
	stop    context.CancelFunc
	working sync.WaitGroup
}

func startWriters(ctx context.Context, store Store, count int) *writers {
	return startClients(ctx, store, make([]Client, count), writePause)
}

func startClients(ctx context.Context, source Source, clients []Client, pause time.Duration) *writers {
	ctx, stop := context.WithCancel(ctx)
	w := &writers{source: source, clients: clients, pause: pause, stop: stop}
	for client := range clients {
		w.working.Go(func() { w.write(ctx, client) })
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
	retry := openPause
	for number := 0; ; number++ {
		pause := w.pause
		began := time.Now()
		if session == nil {
			var err error
			if session, err = w.open(ctx, writer); err != nil {
				w.ledger.fail(writer, began, time.Now(), err)
				session, pause, retry = nil, jittered(retry), min(2*retry, longestPause)
			}
		}
		if session != nil {
			if err := w.try(ctx, session, Row{writer, number}); err != nil {
				w.ledger.fail(writer, began, time.Now(), err)
				session.Close()
				session, pause, retry = nil, max(pause, jittered(retry)), min(2*retry, longestPause)
			} else {
				retry = openPause
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

// within is how long a client waits.
func (w *writers) within(client int, hasty time.Duration) time.Duration {
	if w.clients[client].Patient {
		return patience
	}
	return hasty
}

func (w *writers) open(ctx context.Context, writer int) (Session, error) {
	ctx, cancel := context.WithTimeout(ctx, w.within(writer, openTimeout))
	defer cancel()
	return w.source.Open(ctx, writer)
}

// try writes one row. Being stopped does not break it off: a row is acknowledged or it is not, never half.
func (w *writers) try(ctx context.Context, session Session, row Row) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.within(row.Writer, writeTimeout))
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
