package drill

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// ChefReads reads what a Chef's writers write, as most of Cinc's clients do most of the time.
type ChefReads struct {
	Chef *Chef
	// missing counts items that a read did not find, asked for again and again, after their creation was acknowledged.
	missing atomic.Int64
}

var _ Source = (*ChefReads)(nil)

// Prepare does nothing: the writers' data bag is what is read.
func (r *ChefReads) Prepare(context.Context) error {
	r.missing.Store(0)
	return nil
}

// Clients returns two readers and a patient one.
func (r *ChefReads) Clients() []Client { return append(make([]Client, 2), Client{Patient: true}) }

// Open gives a reader a way of its own.
func (r *ChefReads) Open(context.Context, int) (Session, error) {
	s, err := r.Chef.session()
	if err != nil {
		return nil, err
	}
	return &readSession{s, r}, nil
}

// Missing returns how many acknowledged items a read did not find.
func (r *ChefReads) Missing() int { return int(r.missing.Load()) }

// What is not found is asked for again: a server may say so of a database that went away between two of its questions
// (goiardi does), and what is lost stays lost.
const (
	askedAgain = 3
	askedAfter = 500 * time.Millisecond
)

type readSession struct {
	*chefSession
	reads *ChefReads
}

// Write reads the newest item that is acknowledged; before there is one, the list of data bags.
func (s *readSession) Write(ctx context.Context, _ Row) error {
	s.chef.mu.Lock()
	newest := s.chef.newest
	s.chef.mu.Unlock()
	if newest == "" {
		return s.ask(ctx, http.MethodGet, "data", nil, nil)
	}
	var item struct{ ID string }
	err := s.ask(ctx, http.MethodGet, s.chef.bag(newest), nil, &item)
	for range askedAgain {
		if !answered(err, http.StatusNotFound) || pause(ctx, askedAfter) != nil {
			break
		}
		err = s.ask(ctx, http.MethodGet, s.chef.bag(newest), nil, &item)
	}
	switch {
	case answered(err, http.StatusNotFound):
		s.reads.missing.Add(1)
		return err
	case err != nil:
		return err
	case item.ID != newest:
		return fmt.Errorf("read %q where %q was asked for", item.ID, newest)
	}
	return nil
}
