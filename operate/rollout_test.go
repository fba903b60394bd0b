package operate

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// The tiers that others rest on come first, and a tier's leader last.
func TestRolloutOrder(t *testing.T) {
	c := testCluster()
	all := append(wholeTiers(),
		NodeStatus{Node: c.Nodes[0], Status: ready(primary())},
		NodeStatus{Node: c.Nodes[1], Status: ready(standby())},
		NodeStatus{Node: c.Nodes[2], Status: ready(nil)})
	for i := range all {
		if all[i].Node.Role == cluster.RoleOpenSearch {
			all[i].Status.Search = &cluster.Search{Manager: "opensearch-1"}
		}
	}
	var got []string
	done := map[string]bool{}
	for {
		turn, ok := NextTurn(all, done)
		if !ok {
			break
		}
		done[turn.Node.Name] = true
		got = append(got, strings.TrimSpace(turn.Node.Name+" "+string(turn.Prepare)))
	}
	want := []string{
		"heartbeat-1", "postgres-2", "postgres-1 switchover", "opensearch-2", "opensearch-1", "api-1 drain", "api-2 drain", "lb-2", "lb-1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// pair is the agents of a database pair that can be switched over, and of its heartbeat.
type pair struct {
	mu       sync.Mutex
	primary  string
	refuses  bool // a switchover
	replaced []string
}

func (p *pair) handler(name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		status := ready(standby())
		switch name {
		case p.primary:
			status = ready(primary())
		case "heartbeat-1":
			status = ready(nil)
		}
		_ = json.NewEncoder(w).Encode(status)
	})
	mux.HandleFunc("POST /v1/switchover", func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.refuses {
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "no synchronous standby can take over"})
			return
		}
		p.primary = "postgres-2"
		_ = json.NewEncoder(w).Encode(Handover{From: "postgres-1", To: "postgres-2"})
	})
	return mux
}

func (p *pair) rollout(t *testing.T) (Rollout, *[]string) {
	var heard []string
	handlers := map[string]http.Handler{}
	for _, n := range testCluster().Nodes {
		handlers[n.Name] = p.handler(n.Name)
	}
	return Rollout{
		Client: agents(t, handlers), Within: time.Minute,
		Replace: func(_ context.Context, node cluster.Node) error {
			if node.Name == p.primary {
				t.Errorf("%s is replaced while it is primary", node.Name)
			}
			p.replaced = append(p.replaced, node.Name)
			return nil
		},
		Heard: func(node, what string, _ time.Duration) { heard = append(heard, node+" "+what) },
	}, &heard
}

func TestRolloutMovesThePrimaryFirst(t *testing.T) {
	p := pair{primary: "postgres-1"}
	// The primary comes last, and is a standby by then.
	r, heard := p.rollout(t)
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"heartbeat-1 replaced", "heartbeat-1 ready, and nothing is missing",
		"postgres-2 replaced", "postgres-2 ready, and nothing is missing",
		"postgres-1 primary no more",
		"postgres-1 replaced", "postgres-1 ready, and nothing is missing",
	}
	if diff := cmp.Diff(want, *heard); diff != "" {
		t.Error(diff)
	}
}

func TestRolloutStopsAtTheFirstFailure(t *testing.T) {
	p := pair{primary: "postgres-1", refuses: true}
	r, _ := p.rollout(t)
	err := r.Run(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "postgres-1 is as it was: ") || exit.CodeOf(err) != exit.Unsafe {
		t.Errorf("a refused switchover: %v", err)
	}
	if !slices.Equal(p.replaced, []string{"heartbeat-1", "postgres-2"}) {
		t.Errorf("replaced %v", p.replaced)
	}

	p = pair{primary: "postgres-1"}
	r, _ = p.rollout(t)
	r.Replace = func(_ context.Context, node cluster.Node) error { return errors.New("no space for " + node.Name) }
	if err := r.Run(t.Context()); err == nil || err.Error() != "replacing heartbeat-1: no space for heartbeat-1" {
		t.Errorf("a replacement that failed: %v", err)
	}
}

// A tier of one machine has nobody who serves meanwhile.
func TestRolloutRefusesALonelyMachine(t *testing.T) {
	c := testTiers()
	c.Nodes = slices.DeleteFunc(c.Nodes, func(n cluster.Node) bool { return n.Name == "lb-2" })
	r := Rollout{Client: agentsOf(t, c, nil)}
	_, err := r.Plan(t.Context())
	if exit.CodeOf(err) != exit.Unsafe || !strings.Contains(err.Error(), "lb-1 is the only lb machine") {
		t.Errorf("got %v", err)
	}
	r.Roles = []cluster.Role{cluster.RoleAPI}
	turns, err := r.Plan(t.Context())
	if err != nil || len(turns) != 2 {
		t.Errorf("api alone: %v, %v", turns, err)
	}
}
