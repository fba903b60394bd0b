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

// telling answers GET /v1/status as an lb node whose haproxy says something else each time it is asked, and the last
// thing ever after.
func telling(asked *atomic.Int32, said ...cluster.Balancer) http.Handler {
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

// A drain is through once every balancer has heard of it.
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
			c := agentsOf(t, testTiers(), map[string]http.Handler{
				"lb-1": telling(&asked, test.said...), "lb-2": telling(new(atomic.Int32), test.said[len(test.said)-1]), "api-2": draining(&ordered),
			})
			if err := c.Drain(t.Context(), "api-2", test.drained); err != nil {
				t.Fatal(err)
			}
			if ordered != test.ordered || asked.Load() != test.rounds {
				t.Errorf("ordered %s, and asked the balancer %d times", ordered, asked.Load())
			}
		})
	}
}

// A balancer whose agent is silent may lead clients to the machine all the same, as may one that says nothing of its haproxy.
func TestDrainNamesBalancersThatWereNotHeard(t *testing.T) {
	for _, test := range []struct {
		name string
		lb2  http.Handler
		want string
	}{
		{"silent", nil, "lb-2 does not answer: no route to host"},
		{"without haproxy", saying(cluster.Status{Result: cluster.ResultReady}), "lb-2 says nothing of its haproxy"},
		{"behind", telling(new(atomic.Int32), up("api-1", "api-2")), "lb-2 has not heard of it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			handlers := map[string]http.Handler{"lb-1": telling(new(atomic.Int32), up("api-1"))}
			if test.lb2 != nil {
				handlers["lb-2"] = test.lb2
			}
			err := agentsOf(t, testTiers(), handlers).awaitBalancers(t.Context(), "api-2", true, time.Millisecond)
			if exit.CodeOf(err) != exit.TimedOut || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "lb-1") {
				t.Errorf("%v (code %d)", err, exit.CodeOf(err))
			}
		})
	}
}

// Where balancers are somebody else's, there is nobody to ask.
func TestDrainWithoutBalancersOfOurOwn(t *testing.T) {
	r := testTiers()
	r.LB, r.Nodes = nil, r.Nodes[api1:search1]
	var ordered string
	c := agentsOf(t, r, map[string]http.Handler{"api-2": draining(&ordered)})
	if err := c.Drain(t.Context(), "api-2", true); err != nil || ordered == "" {
		t.Errorf("ordered %q: %v", ordered, err)
	}
	if alone, err := c.Alone(t.Context(), "api-2"); alone || err != nil {
		t.Errorf("alone: %v, %v", alone, err)
	}
	if left, err := c.AwaitClientsGone(t.Context(), "api-2", time.Minute); left != 0 || err != nil {
		t.Errorf("%d left: %v", left, err)
	}
}

func TestCheckDrain(t *testing.T) {
	c := agentsOf(t, testTiers(), map[string]http.Handler{"api-2": saying(cluster.Status{})})
	for name, want := range map[string]exit.Code{"api-1": exit.Failed, "api-2": exit.Done, "lb-1": exit.Invalid, "api-9": exit.Invalid} {
		if err := c.CheckDrain(t.Context(), name); exit.CodeOf(err) != want {
			t.Errorf("%s: %v", name, err)
		}
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
	c := agentsOf(t, r, map[string]http.Handler{
		"lb-1": telling(&asked, up("api-1", "api-2")), "lb-2": telling(&asked, up("api-1", "api-2")), "api-3": draining(&ordered),
	})
	if err := c.Drain(t.Context(), "api-3", true); err != nil || !strings.Contains(ordered, "true") {
		t.Errorf("ordered %q: %v", ordered, err)
	}
}

func TestAlone(t *testing.T) {
	says := func(b cluster.Balancer) http.Handler { return telling(new(atomic.Int32), b) }
	both := up("api-1", "api-2")
	for _, test := range []struct {
		name     string
		lb1, lb2 http.Handler
		want     bool
		err      string
	}{
		{"the only one", says(up("api-2")), says(up("api-2")), true, ""},
		{"the only one by the account of one", says(both), says(up("api-2")), true, ""},
		{"the only one by the account of the one that is heard", nil, says(up("api-2")), true, ""},
		{"one of two", says(both), says(both), false, ""},
		{"another is the only one", says(up("api-1")), says(up("api-1")), false, ""},
		{"nobody is well, and clients go to any", says(cluster.Balancer{Up: []string{}, Degraded: true}), says(cluster.Balancer{Up: []string{}, Degraded: true}), false, ""},
		{"one of two, by the account of one", says(both), nil, false, "lb-2 does not answer"},
		{"nobody says", nil, nil, false, "lb-1 does not answer: no route to host; lb-2 does not answer: no route to host, so whether"},
		{"one knows nothing of its haproxy", says(both), saying(cluster.Status{}), false, "lb-2 says nothing of its haproxy"},
	} {
		t.Run(test.name, func(t *testing.T) {
			handlers := map[string]http.Handler{}
			for name, handler := range map[string]http.Handler{"lb-1": test.lb1, "lb-2": test.lb2} {
				if handler != nil {
					handlers[name] = handler
				}
			}
			got, err := agentsOf(t, testTiers(), handlers).Alone(t.Context(), "api-2")
			if got != test.want || (err == nil) != (test.err == "") || err != nil && (exit.CodeOf(err) != exit.Unsafe || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("got %v, %v", got, err)
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
	c := agentsOf(t, testTiers(), map[string]http.Handler{"lb-1": telling(&one, with(2), with(0)), "lb-2": telling(&two, with(1), with(1), with(0))})
	if left, err := c.AwaitClientsGone(t.Context(), "api-2", time.Minute); left != 0 || err != nil || one.Load() != 3 {
		t.Errorf("%d left after %d rounds: %v", left, one.Load(), err)
	}
	one.Store(0)
	two.Store(0)
	c = agentsOf(t, testTiers(), map[string]http.Handler{"lb-1": telling(&one, with(2)), "lb-2": telling(&two, with(0))})
	began := time.Now()
	if left, err := c.AwaitClientsGone(t.Context(), "api-2", 50*time.Millisecond); left != 2 || err != nil {
		t.Errorf("%d left: %v", left, err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("waited %v instead of 50 ms and an answer", took)
	}
	c = agentsOf(t, testTiers(), map[string]http.Handler{"lb-1": telling(&one, with(0))})
	if _, err := c.AwaitClientsGone(t.Context(), "api-2", 50*time.Millisecond); exit.CodeOf(err) != exit.TimedOut || !strings.Contains(err.Error(), "lb-2 does not answer") {
		t.Errorf("a silent balancer has no clients: %v", err)
	}
}
