package postgres

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
)

// fakePatroni starts a Patroni that answers with these members, and returns the API of postgres-1 on it. asked collects
// what changes something.
func fakePatroni(t *testing.T, members string) (api API, asked *[]string) {
	t.Helper()
	r := &cluster.Resolved{Name: "test", Postgres: &cluster.Postgres{Version: 13}, Nodes: []cluster.Node{
		{Name: "postgres-1", Role: cluster.RolePostgres, Slot: 1, Address: netip.MustParseAddr("127.0.0.1")},
	}}
	bundle, err := secrets.Generate(r, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	scoped, err := bundle.Scope(r.Nodes[0])
	if err != nil {
		t.Fatal(err)
	}
	asked = &[]string{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /cluster", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(members)) })
	change := func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != userRestAPI || password != scoped.Postgres.RestAPI.Reveal() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var body map[string]any
		_ = json.NewDecoder(r.Body).Decode(&body)
		text, _ := json.Marshal(body)
		*asked = append(*asked, r.Method+" "+r.URL.Path+" "+string(text))
		_, _ = w.Write([]byte("{}"))
	}
	mux.HandleFunc("PATCH /config", change)
	mux.HandleFunc("GET /config", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"ttl":20,"postgresql":{"parameters":{"max_connections":"100","wal_keep_size":256}}}`))
	})
	mux.HandleFunc("POST /switchover", change)
	tls, err := scoped.ServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(mux)
	server.TLS = tls
	server.StartTLS()
	t.Cleanup(server.Close)
	return API{in: role.Inputs{Cluster: r, Self: r.Nodes[0], Secrets: scoped}, node: r.Nodes[0], url: server.URL}, asked
}

const (
	leads  = `{"name":"postgres-1","role":"leader","state":"running"}`
	stands = `{"name":"postgres-2","role":"sync_standby","state":"streaming"}`
	copies = `{"name":"postgres-2","role":"replica","state":"creating replica"}`
	stream = `{"name":"postgres-2","role":"replica","state":"streaming"}`
)

func list(members ...string) string {
	text := `{"members":[`
	for i, m := range members {
		if i > 0 {
			text += ","
		}
		text += m
	}
	return text + "]}"
}

// A primary is woken only when there is a standby to be had and none yet: a wake-up renews the lease early, which would
// lengthen the next failover.
func TestNudge(t *testing.T) {
	for name, test := range map[string]struct {
		members string
		want    bool
	}{
		"a standby is there":     {list(leads, stands), false},
		"the standby is stopped": {list(leads, `{"name":"postgres-2","role":"sync_standby","state":"stopped"}`), true},
		"a replica streams":      {list(leads, stream), true},
		"a replica is made":      {list(leads, copies), false},
		"alone":                  {list(leads), false},
		"another one is primary": {list(`{"name":"postgres-2","role":"leader","state":"running"}`, `{"name":"postgres-1","role":"replica","state":"streaming"}`), false},
	} {
		t.Run(name, func(t *testing.T) {
			api, asked := fakePatroni(t, test.members)
			if err := api.Nudge(context.Background()); err != nil {
				t.Fatal(err)
			}
			if (len(*asked) == 1) != test.want {
				t.Errorf("asked %v, want a nudge: %v", *asked, test.want)
			}
		})
	}
}

func TestSwitchover(t *testing.T) {
	for name, test := range map[string]struct {
		members string
		to      string
		want    string // what Patroni is asked; empty: nothing
		fails   bool
	}{
		"to the standby":       {list(leads, stands), "", `POST /switchover {"candidate":"postgres-2","leader":"postgres-1"}`, false},
		"to a named member":    {list(leads, stands), "postgres-2", `POST /switchover {"candidate":"postgres-2","leader":"postgres-1"}`, false},
		"to who is it already": {list(leads, stands), "postgres-1", "", false},
		"no standby":           {list(leads, copies), "", "", true},
		"no primary":           {list(stands), "", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			api, asked := fakePatroni(t, test.members)
			_, _, err := api.Switchover(context.Background(), test.to)
			if (err != nil) != test.fails {
				t.Fatalf("error %v, want one: %v", err, test.fails)
			}
			var got string
			if len(*asked) > 0 {
				got = (*asked)[0]
			}
			if got != test.want {
				t.Errorf("asked %q, want %q", got, test.want)
			}
		})
	}
}

// A standby that gives Patroni no answer at first is asked for again. What else Patroni refuses, it refuses for good.
func TestSwitchoverToALateStandby(t *testing.T) {
	for name, test := range map[string]struct {
		refusals []string
		asked    int
		fails    bool
	}{
		"late":  {[]string{"switchover is not possible: no good candidates have been found", "switchover is not possible: no good candidates have been found"}, 3, false},
		"other": {[]string{"leader name does not match"}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			api, _ := fakePatroni(t, list(leads, stands))
			asked := 0
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					_, _ = w.Write([]byte(list(leads, stands)))
					return
				}
				if asked++; asked <= len(test.refusals) {
					w.WriteHeader(http.StatusPreconditionFailed)
					_, _ = w.Write([]byte(test.refusals[asked-1]))
				}
			}))
			tls, err := api.in.Secrets.ServerTLS()
			if err != nil {
				t.Fatal(err)
			}
			server.TLS = tls
			server.StartTLS()
			t.Cleanup(server.Close)
			api.url, api.between = server.URL, time.Millisecond
			if _, _, err := api.Switchover(t.Context(), ""); (err != nil) != test.fails || asked != test.asked {
				t.Errorf("asked %d times, %v", asked, err)
			}
		})
	}
}

// A number that Patroni keeps as one, and parameters that are nobody's here, make no difference.
func TestParameters(t *testing.T) {
	for name, test := range map[string]struct {
		wanted map[string]string
		has    bool
	}{
		"as they are":  {map[string]string{"max_connections": "100", "wal_keep_size": "256"}, true},
		"one of them":  {map[string]string{"max_connections": "100"}, true},
		"another":      {map[string]string{"max_connections": "850", "wal_keep_size": "256"}, false},
		"one more":     {map[string]string{"max_connections": "100", "wal_log_hints": "on"}, false},
		"nothing asks": {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			api, asked := fakePatroni(t, list(leads))
			has, err := api.hasParameters(context.Background(), test.wanted)
			if err != nil || has != test.has {
				t.Errorf("has them: %v, want %v (%v)", has, test.has, err)
			}
			if len(*asked) != 0 {
				t.Errorf("a question changed something: %v", *asked)
			}
			if err := api.setParameters(context.Background(), map[string]string{"max_connections": "850"}); err != nil {
				t.Fatal(err)
			}
			const want = `PATCH /config {"postgresql":{"parameters":{"max_connections":"850"}}}`
			if len(*asked) != 1 || (*asked)[0] != want {
				t.Errorf("asked %v, want %s", *asked, want)
			}
		})
	}
}

// A machine that hears of no other member starts with what it has.
func TestParametersOfTheFirstMember(t *testing.T) {
	api, _ := fakePatroni(t, list(leads))
	self := api.node
	other := cluster.Node{Name: "postgres-2", Role: cluster.RolePostgres, Slot: 2, Address: netip.MustParseAddr("127.0.0.2")}
	in := api.in
	in.Cluster.Nodes = []cluster.Node{self, other}
	in.Peers = cluster.Peers{other.Name: {Node: other, Error: "no answer"}}
	if members := (sharedParameters{in}).members(); len(members) != 0 {
		t.Errorf("asks %d members that did not answer", len(members))
	}
	if done, err := (sharedParameters{in}).Check(context.Background(), nil); !done || err != nil {
		t.Errorf("done %v, %v", done, err)
	}
	in.Peers[other.Name] = cluster.Peer{Node: other}
	if members := (sharedParameters{in}).members(); len(members) != 1 || members[0].node.Name != other.Name {
		t.Errorf("members: %v", members)
	}
}
