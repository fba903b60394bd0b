package operate

import (
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// balancing answers GET /v1/status as an lb node whose haproxy says something else each time it is asked, and the last
// thing ever after.
func balancing(asked *atomic.Int32, said ...cluster.Balancer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := min(int(asked.Add(1)), len(said))
		saying(cluster.Status{Result: cluster.ResultReady, Balancer: &said[n-1]}).ServeHTTP(w, r)
	})
}

// draining takes POST /v1/drain and keeps what was ordered.
func draining(ordered *string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /v1/status", saying(cluster.Status{Result: cluster.ResultReady}))
	mux.HandleFunc("POST /v1/drain", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*ordered = string(body)
		_ = json.NewEncoder(w).Encode(struct{}{})
	})
	return mux
}

// up is a balancer by which these API nodes get clients.
func up(names ...string) cluster.Balancer { return cluster.Balancer{Up: names} }

// A drain is through once every balancer that answers has heard of it; another balancer may be off.
func TestDrainWaitsForTheBalancers(t *testing.T) {
	for _, test := range []struct {
		name    string
		drained bool
		said    []cluster.Balancer
		ordered string
		rounds  int32
	}{
		{"drained", true, []cluster.Balancer{up("api-1", "api-2"), up("api-1")}, `{"drained":true}`, 2},
		{"let in again", false, []cluster.Balancer{up("api-1"), up("api-1", "api-2")}, `{"drained":false}`, 2},
		{"while nobody is well", true, []cluster.Balancer{{Up: []string{}, Degraded: true}}, `{"drained":true}`, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var asked atomic.Int32
			var ordered string
			c := agentsOf(t, testTiers(), map[string]http.Handler{"lb-1": balancing(&asked, test.said...), "api-2": draining(&ordered)})
			if err := c.Drain(t.Context(), "api-2", test.drained); err != nil {
				t.Fatal(err)
			}
			if ordered != test.ordered || asked.Load() != test.rounds {
				t.Errorf("ordered %s, and asked the balancer %d times", ordered, asked.Load())
			}
		})
	}
}

func TestDrainTakesAPINodesAlone(t *testing.T) {
	c := agentsOf(t, testTiers(), nil)
	for name, want := range map[string]string{"lb-1": "lb-1 is no API node", "api-9": `cluster prod has no node "api-9"`} {
		if err := c.Drain(t.Context(), name, true); exit.CodeOf(err) != exit.Invalid || err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A machine that was launched from the pool is drained like one that the spec has.
func TestDrainOfThePool(t *testing.T) {
	r := testTiers()
	r.API = &cluster.API{Min: 2, Max: 3, Pool: []netip.Addr{r.Nodes[api1].Address, r.Nodes[api2].Address, netip.MustParseAddr("10.20.0.23")}}
	var asked atomic.Int32
	var ordered string
	c := agentsOf(t, r, map[string]http.Handler{"lb-1": balancing(&asked, up("api-1", "api-2")), "api-3": draining(&ordered)})
	if err := c.Drain(t.Context(), "api-3", true); err != nil || !strings.Contains(ordered, "true") {
		t.Errorf("ordered %q: %v", ordered, err)
	}
}

func TestAlone(t *testing.T) {
	for _, test := range []struct {
		name string
		said cluster.Balancer
		want bool
	}{
		{"the only one", up("api-2"), true},
		{"one of two", up("api-1", "api-2"), false},
		{"another is the only one", up("api-1"), false},
		{"nobody is well, and clients go to any", cluster.Balancer{Up: []string{}, Degraded: true}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var asked atomic.Int32
			c := agentsOf(t, testTiers(), map[string]http.Handler{"lb-2": balancing(&asked, test.said)})
			if got := c.Alone(t.Context(), "api-2"); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// Clients of both balancers count, and only those of the one machine.
func TestAwaitClientsGone(t *testing.T) {
	with := func(sessions int) cluster.Balancer {
		return cluster.Balancer{Up: []string{"api-1"}, Sessions: map[string]int{"api-1": 7, "api-2": sessions}}
	}
	var one, two atomic.Int32
	c := agentsOf(t, testTiers(), map[string]http.Handler{"lb-1": balancing(&one, with(2), with(0)), "lb-2": balancing(&two, with(1), with(1), with(0))})
	if left, err := c.AwaitClientsGone(t.Context(), "api-2", time.Minute); left != 0 || err != nil || one.Load() != 3 {
		t.Errorf("%d left after %d rounds: %v", left, one.Load(), err)
	}
	one.Store(0)
	c = agentsOf(t, testTiers(), map[string]http.Handler{"lb-1": balancing(&one, with(2))})
	began := time.Now()
	if left, err := c.AwaitClientsGone(t.Context(), "api-2", 50*time.Millisecond); left != 2 || err != nil {
		t.Errorf("%d left: %v", left, err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("waited %v instead of 50 ms", took)
	}
}
