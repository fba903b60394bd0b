package etcd

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/formation"
	"github.com/cincbake/cincbake/step"
)

// gateway answers as etcd 3.5.16's JSON gateway does (recorded from a real cluster), and keeps what it was asked.
type gateway struct {
	asked map[string]map[string]any
	fail  map[string]string // path → message
	reply map[string]string
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	g.asked[r.URL.Path] = body
	if message, ok := g.fail[r.URL.Path]; ok {
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": message, "code": 14, "message": message})
		return
	}
	_, _ = w.Write([]byte(g.reply[r.URL.Path]))
}

func fakeGateway(t *testing.T) (*gateway, Client) {
	t.Helper()
	g := &gateway{asked: map[string]map[string]any{}, fail: map[string]string{}, reply: map[string]string{
		"/v3/cluster/member/list": `{"header":{"cluster_id":"17762128860356697819","member_id":"4519321798598557806"},"members":[` +
			`{"ID":"4519321798598557806","name":"postgres-1","peerURLs":["https://10.0.0.1:2380"],"clientURLs":["https://10.0.0.1:2379"]},` +
			`{"ID":"17","peerURLs":["https://10.0.0.2:2380"]}]}`,
		"/v3/maintenance/status": `{"header":{"cluster_id":"17762128860356697819","member_id":"4519321798598557806"},"version":"3.5.16","leader":"17"}`,
		"/v3/kv/range":           `{"header":{},"kvs":[{"key":"a2V5","create_revision":"40","value":"NzcxMg=="}],"count":"1"}`,
		"/version":               `{"etcdserver":"3.5.16","etcdcluster":"3.5.0"}`,
	}}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	return g, Client{http: server.Client(), url: server.URL}
}

func TestClientReadsWhatEtcdAnswers(t *testing.T) {
	g, client := fakeGateway(t)
	ctx := context.Background()
	got, err := client.Members(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := Quorum{ClusterID: "f67fc21738465edb", Members: []Member{
		{ID: "3eb7db3b3f25806e", Name: "postgres-1", PeerURLs: []string{"https://10.0.0.1:2380"}, ClientURLs: []string{"https://10.0.0.1:2379"}},
		{ID: "11", PeerURLs: []string{"https://10.0.0.2:2380"}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	if g.asked["/v3/cluster/member/list"]["linearizable"] != true {
		t.Error("only a linearizable read proves a quorum")
	}
	status, err := client.Status(ctx)
	if diff := cmp.Diff(Status{ClusterID: "f67fc21738465edb", MemberID: "3eb7db3b3f25806e", Leader: "11"}, status); err != nil || diff != "" {
		t.Errorf("status %v (-want +got):\n%s", err, diff)
	}
	key, found, err := client.Get(ctx, "/service/prod/initialize")
	if err != nil || !found || key != (Key{Value: "7712", Created: "40"}) {
		t.Errorf("get: %+v, %v, %v", key, found, err)
	}
	if got := g.asked["/v3/kv/range"]["key"]; got != "L3NlcnZpY2UvcHJvZC9pbml0aWFsaXpl" {
		t.Errorf("asked for key %v, want it in base64", got)
	}
	g.reply["/v3/kv/range"] = `{"header":{}}`
	if _, found, err := client.Get(ctx, "other"); err != nil || found {
		t.Errorf("a missing key: %v, %v", found, err)
	}
}

func TestClientChangesMembers(t *testing.T) {
	g, client := fakeGateway(t)
	ctx := context.Background()
	self := cluster.Node{Name: "postgres-1"}
	if err := carry(ctx, client, Change{Remove: "3eb7db3b3f25806e", Add: true}, self); err != nil {
		t.Fatal(err)
	}
	if got := g.asked["/v3/cluster/member/remove"]["ID"]; got != "4519321798598557806" {
		t.Errorf("removed %v", got)
	}
	if g.asked["/v3/cluster/member/add"] == nil {
		t.Error("nothing was added")
	}
	g.fail["/v3/cluster/member/remove"] = "etcdserver: re-configuration failed due to not enough started members"
	delete(g.asked, "/v3/cluster/member/add")
	if err := carry(ctx, client, Change{Remove: "11", Add: true}, self); err == nil {
		t.Error("a refused removal passed")
	}
	if g.asked["/v3/cluster/member/add"] != nil {
		t.Error("added although the removal was refused")
	}
}

func TestAgreed(t *testing.T) {
	for answer, want := range map[string]bool{
		`{"etcdserver":"3.5.16","etcdcluster":"3.5.0"}`:       true,
		`{"etcdserver":"3.5.16","etcdcluster":"3.0.0"}`:       false,
		`{"etcdserver":"3.5.16","etcdcluster":"not_decided"}`: false,
		`{}`: false,
	} {
		g, client := fakeGateway(t)
		g.reply["/version"] = answer
		if got, err := client.Agreed(context.Background()); err != nil || got != want {
			t.Errorf("%s: %v, %v", answer, got, err)
		}
	}
}

// Leadership is handed on only by the leader, and only to a member that is seen to follow it: each attempt costs writes.
func TestYield(t *testing.T) {
	const (
		lead    = `{"header":{"member_id":"4519321798598557806"},"leader":"4519321798598557806"}`
		follows = `{"header":{"member_id":"17"},"leader":"4519321798598557806"}`
	)
	for name, test := range map[string]struct {
		status string // of the local member
		to     string
		heir   string // what the other one says; empty: nothing
		want   bool
	}{
		"a follower":            {`{"header":{"member_id":"4519321798598557806"},"leader":"17"}`, "heartbeat-1", follows, false},
		"the leader":            {lead, "heartbeat-1", follows, true},
		"nobody of the name":    {lead, "postgres-9", follows, false},
		"the heir stands still": {lead, "heartbeat-1", "", false},
		"it has no leader":      {lead, "heartbeat-1", `{"header":{"member_id":"17"}}`, false},
		"it is another member":  {lead, "heartbeat-1", `{"header":{"member_id":"18"},"leader":"4519321798598557806"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			g, client := fakeGateway(t)
			g.reply["/v3/maintenance/status"] = test.status
			g.reply["/v3/cluster/member/list"] = `{"header":{},"members":[{"ID":"4519321798598557806","name":"postgres-1"},{"ID":"17","name":"heartbeat-1"}]}`
			other, heir := fakeGateway(t)
			other.reply["/v3/maintenance/status"] = test.heir
			if test.heir == "" {
				heir = hanging(t)
			}
			began := time.Now()
			err := Yield(t.Context(), client, test.to, func(m Member) (Client, error) {
				if m.ID != "11" {
					t.Errorf("it asks member %s", m.ID)
				}
				return heir, nil
			})
			asked := test.status == lead && test.to == "heartbeat-1"
			if (err == nil) != (test.want || !asked) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(began); took >= callTimeout {
				t.Errorf("it took %v", took)
			}
			if _, handed := g.asked["/v3/maintenance/transfer-leadership"]; handed != test.want {
				t.Errorf("handed over: %v, want %v", handed, test.want)
			}
		})
	}
}

// hanging is a member that takes every question and answers none.
func hanging(t *testing.T) Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does a server notice that its client has gone
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	return Client{http: server.Client(), url: server.URL}
}

// A member counts as formed once a linearizable read through it succeeded.
func TestMarkFormed(t *testing.T) {
	g, client := fakeGateway(t)
	host := step.NewRecorder()
	record, err := Home.Prepare(host)
	if err != nil {
		t.Fatal(err)
	}
	g.fail["/v3/cluster/member/list"] = "etcdserver: no leader"
	if err := MarkFormed(context.Background(), host, client); err == nil {
		t.Fatal("formed without a quorum")
	}
	if again, err := Home.Prepare(host); err != nil || again != record {
		t.Errorf("the record changed without a quorum: %+v, %v", again, err)
	}
	delete(g.fail, "/v3/cluster/member/list")
	if err := MarkFormed(context.Background(), host, client); err != nil {
		t.Fatal(err)
	}
	got, err := Home.Read(host)
	if err != nil {
		t.Fatal(err)
	}
	want := formation.Record{Incarnation: record.Incarnation, Formation: cluster.FormationFormed, ClusterID: "f67fc21738465edb", MemberID: "3eb7db3b3f25806e"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

// One peer with a quorum is enough, whoever else hangs.
func TestAsk(t *testing.T) {
	silent := hanging(t)
	lost, without := fakeGateway(t)
	lost.fail["/v3/cluster/member/list"] = "etcdserver: no leader"
	_, healthy := fakeGateway(t)

	began := time.Now()
	if quorum, through := ask(t.Context(), []Client{silent, without, healthy}); quorum == nil || through.url != healthy.url {
		t.Errorf("%+v through %s, want it through %s", quorum, through.url, healthy.url)
	}
	if took := time.Since(began); took >= callTimeout {
		t.Errorf("it took %v: somebody waited for the peer that hangs", took)
	}
	if quorum, _ := ask(t.Context(), []Client{without}); quorum != nil {
		t.Errorf("%+v without a quorum", quorum)
	}
	if quorum, _ := ask(t.Context(), nil); quorum != nil {
		t.Errorf("%+v without peers", quorum)
	}
}

// A machine whose question to be added had no answer may be the one that the quorum waits for. It takes a member's own list
// for that only if it did ask: a list that nobody proves may be old.
func TestExpected(t *testing.T) {
	g, peer := fakeGateway(t)
	host := step.NewRecorder()
	j := Joiner{Host: host}
	for _, row := range []struct {
		name    string
		address string
		asked   bool
		want    bool
	}{
		{"it never asked", "10.0.0.2", false, false},
		{"it asked, and is there", "10.0.0.2", true, true},
		{"it asked, and is not there", "10.0.0.3", true, false},
		{"it asked, and has run since", "10.0.0.1", true, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.asked {
				if err := j.recordAsked(); err != nil {
					t.Fatal(err)
				}
			}
			self := cluster.Node{Name: "postgres-2", Address: netip.MustParseAddr(row.address)}
			got, err := j.expected(t.Context(), self, []Client{peer})
			if err != nil || (got != nil) != row.want {
				t.Errorf("expected by %+v, %v", got, err)
			}
		})
	}
	if g.asked["/v3/cluster/member/list"]["linearizable"] != false {
		t.Error("a read that needs a quorum can't say who waits for one")
	}
	// What it asked is forgotten once it is a member.
	if err := MarkFormed(t.Context(), host, peer); err != nil {
		t.Fatal(err)
	}
	if record, err := Home.Read(host); err != nil || record.Asked {
		t.Errorf("%+v, %v", record, err)
	}
}

func TestSpoiledRecordIsAnError(t *testing.T) {
	for _, text := range []string{"", "{", `{"incarnation":"a"}`, `{"formation":"formed"}`} {
		host := step.NewRecorder()
		host.Entries[RecordFile] = step.Entry{Kind: step.KindFile, Content: []byte(text)}
		if record, err := Home.Prepare(host); err == nil {
			t.Errorf("%q: read as %+v", text, record)
		}
	}
}
