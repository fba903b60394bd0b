package fakeaws

import (
	"context"
	"sync/atomic"
	"time"
)

// Fly lets the account's time pass, some minutes of it each second, until the account is asked to stop. What it returns halts
// and resumes that meanwhile; stop waits until it has ended.
func (s *Server) Fly() (halt func(bool), stop func()) {
	var halted atomic.Bool
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if !halted.Load() {
					s.Advance(5 * time.Second)
				}
			}
		}
	}()
	return halted.Store, func() { cancel(); <-done }
}
