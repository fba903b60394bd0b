package operate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/secrets"
)

func testCluster() *cluster.Resolved {
	return &cluster.Resolved{
		Name: "prod", Platform: cluster.OnPrem,
		Nodes: []cluster.Node{
			{Name: "postgres-1", Role: cluster.RolePostgres, Slot: 1, Address: netip.MustParseAddr("10.20.0.31")},
			{Name: "postgres-2", Role: cluster.RolePostgres, Slot: 2, Address: netip.MustParseAddr("10.20.0.32")},
			{Name: "heartbeat-1", Role: cluster.RoleHeartbeat, Slot: 1, Address: netip.MustParseAddr("10.20.0.33")},
		},
	}
}

// agents serves each node's endpoint on loopback with the node's own certificate, and returns a client that reaches them
// under their real addresses. A node without a handler is off.
func agents(t *testing.T, handlers map[string]http.Handler) Client {
	t.Helper()
	return agentsOf(t, testCluster(), handlers)
}

// agentsOf serves the endpoints of another cluster, and of its pool.
func agentsOf(t *testing.T, c *cluster.Resolved, handlers map[string]http.Handler) Client {
	t.Helper()
	bundle, err := secrets.Generate(c, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	listeners := map[string]string{}
	for _, node := range append(slices.Clone(c.Nodes), Client{Cluster: c}.spares()...) {
		handler, on := handlers[node.Name]
		if !on {
			continue
		}
		scoped, err := bundle.Scope(node)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(handler)
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		if server.TLS, err = scoped.ServerTLS(); err != nil {
			t.Fatal(err)
		}
		server.StartTLS()
		t.Cleanup(server.Close)
		listeners[fmt.Sprintf("%s:%d", node.Address, cluster.PortAgent)] = server.Listener.Addr().String()
	}
	operator, err := bundle.OperatorTLS()
	if err != nil {
		t.Fatal(err)
	}
	return Client{Cluster: c, TLS: operator, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		at, on := listeners[address]
		if !on {
			return nil, &net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}
		}
		return new(net.Dialer).DialContext(ctx, network, at)
	}}
}

// saying answers GET /v1/status.
func saying(status cluster.Status) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/v1/status" {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(status)
	})
}

func ready(database *cluster.Database) cluster.Status {
	return cluster.Status{
		Phase: "ready", Result: cluster.ResultReady, Database: database,
		Quorum: &cluster.Quorum{Healthy: true, Leader: "heartbeat-1", Members: 3, ClusterID: "c1"},
	}
}

func primary() *cluster.Database {
	return &cluster.Database{Role: "primary", State: "running", Timeline: 2}
}

func standby() *cluster.Database {
	return &cluster.Database{Role: "sync_standby", State: "streaming", Timeline: 2}
}

func TestStatusAsksEveryNode(t *testing.T) {
	c := agents(t, map[string]http.Handler{
		"postgres-1":  saying(ready(primary())),
		"heartbeat-1": saying(ready(nil)),
	})
	got := c.Status(t.Context())
	want := []NodeStatus{
		{Node: c.Cluster.Nodes[0], Status: ready(primary())},
		{Node: c.Cluster.Nodes[1], Error: "postgres-2 does not answer: no route to host", Silence: SilenceGone},
		{Node: c.Cluster.Nodes[2], Status: ready(nil)},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if name, err := c.Primary(t.Context()); name != "postgres-1" || err != nil {
		t.Errorf("primary is %q: %v", name, err)
	}
}

func TestStatusFindsWhatWasAddedFromThePool(t *testing.T) {
	r := testCluster()
	pool := []netip.Addr{netip.MustParseAddr("10.20.0.21"), netip.MustParseAddr("10.20.0.22"), netip.MustParseAddr("10.20.0.23"), netip.MustParseAddr("10.20.0.24")}
	r.API = &cluster.API{Pool: pool}
	r.Nodes = append([]cluster.Node{{Name: "api-1", Role: cluster.RoleAPI, Slot: 1, Address: pool[0]}}, r.Nodes...)
	pong := cluster.Status{Result: cluster.ResultReady, Service: &cluster.Service{Status: "pong"}}
	c := agentsOf(t, r, map[string]http.Handler{
		"api-1": saying(pong), "api-3": saying(pong), "postgres-1": saying(ready(primary())), "postgres-2": saying(ready(standby())), "heartbeat-1": saying(ready(nil)),
	})
	dial := c.Dial
	c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "10.20.0.22:9440" || address == "10.20.0.24:9440" { // no machine: packets get lost
			if end, ok := ctx.Deadline(); !ok || time.Until(end) > connectDeadline {
				t.Errorf("an address without a machine may hold it up until %v", end)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return dial(ctx, network, address)
	}
	names := func() (names []string) {
		for _, s := range c.Status(t.Context()) {
			if !s.Answered() {
				t.Error(s.Error)
			}
			names = append(names, s.Node.Name)
		}
		return names
	}
	if diff := cmp.Diff([]string{"api-1", "api-3", "postgres-1", "postgres-2", "heartbeat-1"}, names()); diff != "" {
		t.Error(diff)
	}

	// A standalone server's only address is its own, and on AWS addresses are found otherwise.
	r.API.Pool, r.Nodes[0].Name, r.Nodes[0].Role = pool[:1], "standalone-1", cluster.RoleStandalone
	if spare := c.spares(); len(spare) > 0 {
		t.Errorf("a standalone server has spares: %v", spare)
	}
	r.API.Pool, r.Platform = pool, cluster.AWS
	if spare := c.spares(); len(spare) > 0 {
		t.Errorf("on AWS: %v", spare)
	}
}

// pooled is testCluster with two API nodes, of which the cluster counts on one.
func pooled() *cluster.Resolved {
	r := testCluster()
	pool := []netip.Addr{netip.MustParseAddr("10.20.0.21"), netip.MustParseAddr("10.20.0.22")}
	r.API = &cluster.API{Pool: pool}
	r.Nodes = append([]cluster.Node{{Name: "api-1", Role: cluster.RoleAPI, Slot: 1, Address: pool[0]}}, r.Nodes...)
	return r
}

// A machine of the pool that is on and does not know us is missed: its part of new secrets would never get there.
func TestStatusMissesWhatIsThereAndDoesNotAnswer(t *testing.T) {
	pong := cluster.Status{Result: cluster.ResultReady, Service: &cluster.Service{Status: "pong"}}
	handlers := map[string]http.Handler{
		"api-1": saying(pong), "postgres-1": saying(ready(primary())), "postgres-2": saying(ready(standby())), "heartbeat-1": saying(ready(nil)),
	}
	c := agentsOf(t, pooled(), handlers)
	if err := Whole(c.Status(t.Context())); err != nil {
		t.Fatal(err)
	}
	dial := c.Dial
	c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "10.20.0.22:9440" {
			address = "10.20.0.21:9440" // who is there has another certificate than api-2
		}
		return dial(ctx, network, address)
	}
	if err := Whole(c.Status(t.Context())); err == nil || !strings.HasPrefix(err.Error(), "api-2 does not answer: ") || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
}

// What is concluded of a machine that does not answer follows from how far the question got.
func TestSilence(t *testing.T) {
	failing := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: err}
		}
	}
	refusing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"error":"no"}`, http.StatusForbidden) })
	for _, row := range []struct {
		name string
		dial error
		want Silence
	}{
		{"the port is closed", os.NewSyscallError("connect", syscall.ECONNREFUSED), SilenceGone},
		{"nobody has the address", os.NewSyscallError("connect", syscall.EHOSTUNREACH), SilenceGone},
		{"nobody says anything", os.NewSyscallError("connect", syscall.ETIMEDOUT), SilenceGone},
		{"nobody says anything for as long as we wait", context.DeadlineExceeded, SilenceGone},
		{"its network is gone", os.NewSyscallError("connect", syscall.ENETUNREACH), SilenceGone},
		{"we may not", os.NewSyscallError("connect", syscall.EPERM), SilenceUnasked},
		{"we were stopped", context.Canceled, SilenceUnasked},
		{"it speaks HTTP", nil, SilenceThere},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := agents(t, map[string]http.Handler{"postgres-1": refusing})
			if row.dial != nil {
				c.Dial = failing(row.dial)
			}
			if s := c.Status(t.Context())[0]; s.Answered() || s.Silence != row.want {
				t.Errorf("%q is taken for %q", s.Error, s.Silence)
			}
		})
	}
	nowhere := Client{Cluster: &cluster.Resolved{Nodes: []cluster.Node{{Name: "api-1"}}}}
	if s := nowhere.Status(t.Context())[0]; s.Silence != SilenceGone || s.Error != "no machine called api-1 is found" {
		t.Errorf("%q is taken for %q", s.Error, s.Silence)
	}
}

func TestDatabaseRole(t *testing.T) {
	c := agents(t, map[string]http.Handler{"postgres-1": saying(ready(standby())), "postgres-2": saying(ready(nil))})
	for _, row := range []struct{ node, role, err string }{
		{"postgres-1", "sync_standby", ""},
		{"postgres-2", "", "postgres-2 runs no database now"},
		{"heartbeat-1", "", ""},
		{"api-1", "", `cluster prod has no node "api-1"`},
	} {
		role, err := c.DatabaseRole(t.Context(), row.node)
		if role != row.role || (err == nil) != (row.err == "") || (err != nil && err.Error() != row.err) {
			t.Errorf("%s is %q: %v", row.node, role, err)
		}
	}
}

func TestStatusDoesNotWaitForASilentNode(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	c := agents(t, map[string]http.Handler{
		"postgres-1": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }),
		"postgres-2": saying(ready(primary())),
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	all := c.Status(ctx)
	if all[0].Error != "postgres-1 does not answer: context deadline exceeded" || all[0].Silence != SilenceThere || !all[1].Answered() {
		t.Errorf("got %+v", all)
	}
}

func TestAMachineWithAnothersCertificateIsNotBelieved(t *testing.T) {
	c := agents(t, map[string]http.Handler{"postgres-1": saying(ready(primary()))})
	dial := c.Dial
	c.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dial(ctx, network, "10.20.0.31:9440")
	}
	all := c.Status(t.Context())
	if !all[0].Answered() {
		t.Errorf("postgres-1: %s", all[0].Error)
	}
	for _, s := range all[1:] {
		if s.Answered() || !strings.Contains(s.Error, "certificate") || s.Silence != SilenceThere {
			t.Errorf("%s was answered for by postgres-1: %q", s.Node.Name, s.Error)
		}
	}
}

// ordered answers one order and records its body.
func ordered(path string, got *string, status int, answer string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /v1/status", saying(ready(primary())))
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*got = string(body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	})
	return mux
}

func TestSwitchover(t *testing.T) {
	for _, row := range []struct {
		name, to, body string
		status         int
		answer         string
		want           Handover
		err            string
		code           exit.Code
	}{
		{"the cluster's choice", "", `{}`, 200, `{"from":"postgres-1","to":"postgres-2","seconds":1.5}`, Handover{"postgres-1", "postgres-2", 1.5}, "", exit.Done},
		{"a named node", "postgres-2", `{"to":"postgres-2"}`, 200, `{"from":"postgres-1","to":"postgres-2","seconds":1}`, Handover{"postgres-1", "postgres-2", 1}, "", exit.Done},
		{"refused as unsafe", "", `{}`, 409, `{"error":"no standby is in step","hint":"wait"}`, Handover{}, "postgres-1: no standby is in step: wait", exit.Unsafe},
		{"failed", "", `{}`, 500, `{"error":"patroni does not answer"}`, Handover{}, "postgres-1: patroni does not answer", exit.Failed},
		{"not the agent's answer", "", `{}`, 502, `<html>`, Handover{}, "postgres-1: its agent answered 502 Bad Gateway", exit.Failed},
		{"not to be read", "", `{}`, 200, `{`, Handover{}, "postgres-1 answered what this release can't read: unexpected end of JSON input", exit.Failed},
		{"no such node", "postgres-9", "", 200, "", Handover{}, `cluster prod has no node "postgres-9"`, exit.Invalid},
		{"no database node", "heartbeat-1", "", 200, "", Handover{}, "heartbeat-1 is no database node", exit.Invalid},
	} {
		t.Run(row.name, func(t *testing.T) {
			var body string
			c := agents(t, map[string]http.Handler{
				"postgres-1": ordered("/v1/switchover", &body, row.status, row.answer),
				"postgres-2": saying(ready(standby())),
			})
			got, err := c.Switchover(t.Context(), row.to)
			if body != row.body || exit.CodeOf(err) != row.code || (err != nil && err.Error() != row.err) || (err == nil && got != row.want) {
				t.Errorf("ordered %q, got %+v, %v (exit code %d)", body, got, err, exit.CodeOf(err))
			}
		})
	}
}

func TestSwitchoverNeedsAPrimary(t *testing.T) {
	c := agents(t, map[string]http.Handler{"postgres-2": saying(ready(standby()))})
	_, err := c.Switchover(t.Context(), "")
	want := "no database node is primary; postgres-1 does not answer: no route to host; heartbeat-1 does not answer: no route to host"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestRescueEtcd(t *testing.T) {
	var body string
	c := agents(t, map[string]http.Handler{
		"postgres-1": ordered("/v1/rescue/etcd", &body, 200, `{"node":"postgres-1","ordered":"etcd starts alone"}`),
		"postgres-2": ordered("/v1/rescue/etcd", &body, 409, `{"error":"postgres-1 is not empty"}`),
	})
	if ordered, err := c.RescueEtcd(t.Context(), "postgres-1"); err != nil || ordered != "etcd starts alone" {
		t.Errorf("got %q, %v", ordered, err)
	}
	if _, err := c.RescueEtcd(t.Context(), "postgres-2"); exit.CodeOf(err) != exit.Unsafe {
		t.Errorf("got %v", err)
	}
}

func TestRescueOpenSearch(t *testing.T) {
	var body string
	c := agents(t, map[string]http.Handler{
		"postgres-1": ordered("/v1/rescue/opensearch", &body, 409, `{"error":"postgres-1 keeps none of OpenSearch's data"}`),
		"postgres-2": ordered("/v1/rescue/opensearch", &body, 200, `{"node":"postgres-2","ordered":"it continues alone"}`),
	})
	if _, err := c.RescueOpenSearch(t.Context(), "postgres-1"); exit.CodeOf(err) != exit.Unsafe || !strings.Contains(err.Error(), "keeps none") {
		t.Errorf("got %v", err)
	}
	if ordered, err := c.RescueOpenSearch(t.Context(), "postgres-2"); err != nil || ordered != "it continues alone" {
		t.Errorf("got %q, %v", ordered, err)
	}
}

func TestObservation(t *testing.T) {
	want := cluster.Observation{Node: "postgres-1", Role: cluster.RolePostgres, Incarnation: "a1", Formation: cluster.FormationEmpty}
	c := agents(t, map[string]http.Handler{"postgres-1": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/observation" {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(want)
	})})
	got, err := c.Observation(t.Context(), "postgres-1")
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestWaitWhole(t *testing.T) {
	var asked atomic.Int32
	healing := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := ready(standby())
		if asked.Add(1) < 3 {
			status.Result, status.Phase, status.Reason = cluster.ResultWaiting, "join", "heartbeat-1 does not answer"
		}
		saying(status).ServeHTTP(w, r)
	})
	c := agents(t, map[string]http.Handler{
		"postgres-1": saying(ready(primary())), "postgres-2": healing, "heartbeat-1": saying(ready(nil)),
	})
	rounds := 0
	if err := c.Watch(t.Context(), 10*time.Second, func([]NodeStatus) { rounds++ }); err != nil || rounds != 3 {
		t.Errorf("after %d rounds: %v", rounds, err)
	}

	asked.Store(-1000)
	err := c.WaitWhole(t.Context(), 3*time.Second)
	want := "the cluster is not whole after 3s:\npostgres-2 is waiting in phase join: heartbeat-1 does not answer"
	if err == nil || err.Error() != want || exit.CodeOf(err) != exit.TimedOut {
		t.Errorf("got %v", err)
	}

	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.WaitWhole(stopped, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped on request: %v", err)
	}
}

func TestTable(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	c := testCluster()
	c.Nodes[2].Address = netip.MustParseAddr("192.168.100.133")
	whole := wholeTiers()
	sync := ready(standby())
	sync.Database.LagBytes = 1_234_567
	sync.CertificateExpires = now.Add(29 * 24 * time.Hour)
	waiting := cluster.Status{
		Phase: "join", Result: cluster.ResultWaiting, CertificateExpires: now,
		Reason: "postgres-1 and postgres-2 do not answer, and a cluster is formed only when every voter says that it is empty",
		Hint:   "start them", Refresh: "not running: chrony\nnot running: etcd",
		Quorum: &cluster.Quorum{},
	}
	for _, row := range []struct {
		name string
		all  []NodeStatus
		want string
	}{
		{"whole", []NodeStatus{
			whole[lb1], whole[lb2], whole[api1], whole[api2],
			{Node: c.Nodes[0], Status: ready(primary())},
			{Node: c.Nodes[1], Status: sync},
			{Node: c.Nodes[2], Status: ready(nil)},
			whole[search1], whole[search2],
		}, `
NODE          ADDRESS          RESULT  PHASE  STATE                   ETCD      CERT
lb-1          10.20.0.11       ready   ready  holds 10.20.0.10, 2 up  -         -
lb-2          10.20.0.12       ready   ready  2 up                    -         -
api-1         10.20.0.21       ready   ready  pong                    -         -
api-2         10.20.0.22       ready   ready  pong, drained           -         -
postgres-1    10.20.0.31       ready   ready  primary                 voter/3   -
postgres-2    10.20.0.32       ready   ready  sync, lag 1 MB          voter/3   29 days
heartbeat-1   192.168.100.133  ready   ready  -                       leader/3  -
opensearch-1  10.20.0.41       ready   ready  green, manager          -         -
opensearch-2  10.20.0.42       ready   ready  green                   -         -

the cluster is whole
warning: certificates end soon: postgres-2 (29 days): cincbake secrets rotate leaves --apply
`},
		{"broken", []NodeStatus{
			{Node: c.Nodes[0], Error: "postgres-1 does not answer: no route to host"}, {Node: c.Nodes[2], Status: waiting},
		}, `
NODE         ADDRESS          RESULT   PHASE  STATE  ETCD       CERT
postgres-1   10.20.0.31       silent   -      -      -          -
heartbeat-1  192.168.100.133  waiting  join   -      no quorum  EXPIRED

heartbeat-1: postgres-1 and postgres-2 do not answer, and a cluster is formed only when every voter
    says that it is empty
  → start them
the cluster is not whole
  postgres-1 does not answer: no route to host
  heartbeat-1 is waiting in phase join: postgres-1 and postgres-2 do not answer, and a cluster is
      formed only when every voter says that it is empty
  no database node is primary
  heartbeat-1 sees no healthy quorum
urgent: certificates end within days: heartbeat-1 (EXPIRED): cincbake secrets rotate leaves --apply
warning: the refresh of heartbeat-1 fails, so it does not take up what changes: not running: chrony;
    not running: etcd: cincbake doctor heartbeat-1
`},
	} {
		t.Run(row.name, func(t *testing.T) {
			var drawn bytes.Buffer
			if err := Table(&drawn, testTiers(), row.all, now); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(row.want, "\n"), drawn.String()); diff != "" {
				t.Error(diff)
			}
			for line := range strings.Lines(drawn.String()) {
				if width := len([]rune(strings.TrimSuffix(line, "\n"))); width > columns {
					t.Errorf("%d columns: %s", width, line)
				}
			}
		})
	}
}
