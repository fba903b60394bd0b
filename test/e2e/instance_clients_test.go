//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cincbake/cincbake/lab/drill"
)

// clients write to the Chef API through the balancer, as writers do.
func (c *cloud) clients(t *testing.T, patience time.Duration) (stop func(what string)) {
	t.Helper()
	resolved, bundle := c.load(t)
	return c.writers(t, patience, &drill.Chef{
		Cluster: resolved, CA: bundle.CA.Certificate, Key: bundle.Cinc.Superuser.Private,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.vpc.dial(ctx, c.balancer.address) },
	})
}

// writers write to a store, each by connections of a few requests, as a run of Chef's client is. One whose request fails tries
// again for as long as its patience lasts; without any, each request must succeed. What is returned stops them, fails if one of
// them did, and looks for everything that was acknowledged.
func (b *bench) writers(t *testing.T, patience time.Duration, store drill.Store) (stop func(what string)) {
	t.Helper()
	if err := store.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	const count = 4
	ctx, cancel := context.WithCancel(t.Context())
	var working sync.WaitGroup
	all := make([]client, count)
	for number := range all {
		all[number].patience = patience
		working.Go(func() { all[number].work(ctx, store, number) })
	}
	return func(what string) {
		t.Helper()
		cancel()
		working.Wait()
		there, err := store.Rows(t.Context())
		if err != nil {
			t.Fatalf("%s: what is there of the writes could not be read, so whether any was lost is not known: %v", what, err)
		}
		var (
			worst                 time.Duration
			failed                []string
			done, retried, nobody int
		)
		for _, one := range all {
			done, retried, worst, failed = done+len(one.acknowledged), retried+one.retried, max(worst, one.worst), append(failed, one.failed...)
			for _, row := range one.acknowledged {
				if !there[row] {
					nobody++
				}
			}
		}
		b.figure(t, "%s: %d writes, %d failed, %d lost; %d were tried again, for at most %.1f s", what, done, len(failed), nobody, retried, worst.Seconds())
		if len(failed) > 0 || nobody > 0 || done < 100 {
			t.Errorf("%s: %d failed, %d of %d acknowledged writes are lost:\n%s", what, len(failed), nobody, done, strings.Join(failed[:min(len(failed), 20)], "\n"))
		}
	}
}

// client is one of them, and what became of its writes.
type client struct {
	patience time.Duration

	acknowledged []drill.Row
	failed       []string
	retried      int           // writes that did not succeed at once
	worst        time.Duration // from the first try to the success of one
}

// work writes until ctx ends, and a write that it is at to its end.
func (c *client) work(ctx context.Context, store drill.Store, number int) {
	const requests, long = 10, 20 * time.Second
	var session drill.Session
	leave := func() {
		if session != nil {
			session.Close()
		}
		session = nil
	}
	defer leave()
	var since time.Time // it fails since then
	for row := 0; ctx.Err() == nil || !since.IsZero(); row++ {
		began := time.Now()
		if row%requests == 0 {
			leave()
		}
		err := func() (err error) {
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), cmp.Or(c.patience, long))
			defer cancel()
			if session == nil {
				if session, err = store.Open(limited, number); err != nil {
					return err
				}
			}
			return session.Write(limited, drill.Row{Writer: number, Number: row})
		}()
		if err == nil {
			c.acknowledged = append(c.acknowledged, drill.Row{Writer: number, Number: row})
			if !since.IsZero() {
				c.retried, c.worst = c.retried+1, max(c.worst, time.Since(since))
			}
			since = time.Time{}
		} else {
			leave() // a connection ends with its first failure
			if since.IsZero() {
				since = began
			}
			if tried := time.Since(since); tried > c.patience {
				c.failed = append(c.failed, fmt.Sprintf("%s, for %.1f s: %v", time.Now().Format("15:04:05.000"), tried.Seconds(), err))
				since = time.Time{}
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
}
