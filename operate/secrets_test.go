package operate

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/secrets"
)

// town is three machines that take secrets, in the order in which they got them.
type town struct {
	mu    sync.Mutex
	got   []string
	has   map[string]string // what each was last given
	after func(node string) // what happens to the town then
	state map[string]cluster.Status
}

func newTown() *town {
	at := time.Unix(1795658400, 0).UTC()
	as := func(d *cluster.Database) cluster.Status {
		s := ready(d)
		s.Updated = at
		return s
	}
	return &town{
		has: map[string]string{}, after: func(string) {},
		state: map[string]cluster.Status{"postgres-1": as(primary()), "postgres-2": as(standby()), "heartbeat-1": as(nil)},
	}
}

func (w *town) handler(name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(rw http.ResponseWriter, _ *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		_ = json.NewEncoder(rw).Encode(w.state[name])
	})
	mux.HandleFunc("PUT /v1/secrets", func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		defer w.mu.Unlock()
		answer := taken{Changed: []string{}, Since: w.state[name].Updated}
		if s, err := secrets.DecodeScoped(body); err != nil || s.Node != name {
			rw.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(rw, `{"error":"not mine"}`)
			return
		}
		if w.has[name] != string(body) {
			answer.Changed = []string{"nodes." + name + ".certificate"}
		}
		if !r.URL.Query().Has("check") && len(answer.Changed) > 0 {
			w.has[name] = string(body)
			w.got = append(w.got, name)
			s := w.state[name]
			s.Updated = s.Updated.Add(time.Second)
			w.state[name] = s
			w.after(name)
		}
		_ = json.NewEncoder(rw).Encode(answer)
	})
	return mux
}

func (w *town) agents(t *testing.T) (Client, *secrets.Bundle) {
	t.Helper()
	return w.agentsOf(t, testCluster())
}

func (w *town) agentsOf(t *testing.T, r *cluster.Resolved) (Client, *secrets.Bundle) {
	t.Helper()
	handlers := map[string]http.Handler{}
	for name := range w.state {
		handlers[name] = w.handler(name)
	}
	c := agentsOf(t, r, handlers)
	bundle, err := secrets.Generate(c.Cluster, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c, bundle
}

// The primary comes last, and whoever has theirs is passed over when it is asked for again.
func TestDeliver(t *testing.T) {
	w := newTown()
	c, bundle := w.agents(t)
	if would, err := c.CheckDelivery(t.Context(), bundle); err != nil || len(would) != 3 || len(w.got) > 0 {
		t.Fatalf("a check: %v, %v, and %v got something", would, err, w.got)
	}
	var heard []string
	done, err := c.Deliver(t.Context(), bundle, func(d Delivery) { heard = append(heard, d.Node) })
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"postgres-2", "heartbeat-1", "postgres-1"}
	if !cmp.Equal(want, w.got) || !cmp.Equal(want, heard) || len(done) != 3 || len(done[0].Changed) != 1 {
		t.Errorf("got theirs: %v, heard of: %v, done: %v", w.got, heard, done)
	}
	if done, err = c.Deliver(t.Context(), bundle, func(Delivery) {}); err != nil || len(w.got) != 3 || len(done[0].Changed) > 0 {
		t.Errorf("again: %v, %v, and %v got theirs", done, err, w.got)
	}
}

// What was launched from the pool runs with secrets of the bundle like any other: it gets its part, and is asked and looked
// over with the others.
func TestThePoolTakesPart(t *testing.T) {
	w := newTown()
	for _, name := range []string{"api-1", "api-2"} {
		w.state[name] = cluster.Status{Result: cluster.ResultReady, Updated: time.Unix(1795658400, 0).UTC(), Service: &cluster.Service{Status: "pong"}}
	}
	c, bundle := w.agentsOf(t, pooled())
	if would, err := c.CheckDelivery(t.Context(), bundle); err != nil || len(would) != 5 || would[1].Node != "api-2" {
		t.Fatalf("a check: %v, %v", would, err)
	}
	if _, err := c.Deliver(t.Context(), bundle, func(Delivery) {}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"api-1", "api-2", "postgres-2", "heartbeat-1", "postgres-1"}; !cmp.Equal(want, w.got) {
		t.Errorf("got theirs: %v", w.got)
	}
	all, err := c.Doctor(t.Context())
	if err != nil || len(all) != 5 || all[1].Node != "api-2" {
		t.Errorf("looked over: %v, %v", all, err)
	}
	if one, err := c.Doctor(t.Context(), "api-2"); err != nil || len(one) != 1 {
		t.Errorf("looked over by name: %v, %v", one, err)
	}
}

// Before a step of the CA's replacement, a machine of the pool that missed the one before keeps all from it.
func TestCheckDeliveryMissesThePool(t *testing.T) {
	w := newTown()
	for _, name := range []string{"api-1", "api-2"} {
		w.state[name] = cluster.Status{Result: cluster.ResultReady, Service: &cluster.Service{Status: "pong"}}
	}
	c, bundle := w.agentsOf(t, pooled())
	dial := c.Dial
	c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "10.20.0.22:9440" {
			address = "10.20.0.21:9440" // there, and not to be delivered to
		}
		return dial(ctx, network, address)
	}
	if _, err := c.CheckDelivery(t.Context(), bundle); exit.CodeOf(err) != exit.Unsafe || !strings.Contains(err.Error(), "api-2 does not answer") || len(w.got) > 0 {
		t.Errorf("got %v", err)
	}
}

// It stops at the first machine that is not well with what it got.
func TestDeliverStops(t *testing.T) {
	w := newTown()
	c, bundle := w.agents(t)
	w.after = func(name string) {
		s := w.state[name]
		s.Result, s.Reason, s.Hint = cluster.ResultRefused, "the secrets are somebody else's", "do this"
		w.state[name] = s
	}
	done, err := c.Deliver(t.Context(), bundle, func(Delivery) {})
	if exit.CodeOf(err) != exit.Unsafe || !strings.Contains(err.Error(), "postgres-2 refuses its new secrets: the secrets are somebody else's: do this") {
		t.Errorf("got %v", err)
	}
	if len(done) > 0 || !cmp.Equal([]string{"postgres-2"}, w.got) {
		t.Errorf("done %v, and %v got theirs", done, w.got)
	}
}

func TestCheckDeliveryNeedsAWholeCluster(t *testing.T) {
	w := newTown()
	c, bundle := w.agents(t)
	s := w.state["heartbeat-1"]
	s.Result = cluster.ResultWaiting
	w.state["heartbeat-1"] = s
	if _, err := c.CheckDelivery(t.Context(), bundle); exit.CodeOf(err) != exit.Unsafe || !strings.Contains(err.Error(), "heartbeat-1 is waiting") {
		t.Errorf("got %v", err)
	}
}
