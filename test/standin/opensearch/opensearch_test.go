//go:build integration

// Package opensearch holds the tests of the stand-in package: baked and booted with the product's own steps.
package opensearch

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles"
)

// Two builds are the same bytes, and Debian's own program reads them.
func TestSameBytes(t *testing.T) {
	baked(t)
	var said []string
	for range 2 {
		text, err := output(exec.CommandContext(t.Context(), "go", "run", "./build", "--out", t.TempDir()))
		if err != nil {
			t.Fatal(err)
		}
		file, digest, _ := strings.Cut(strings.TrimSpace(text), " ")
		said = append(said, digest)
		fields, err := output(exec.CommandContext(t.Context(), "dpkg-deb", "--field", file, "Package", "Version", "Description"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(fields, "Version: 1.3.20\n") || !strings.Contains(fields, "TEST FIXTURE") {
			t.Errorf("%s", fields)
		}
	}
	if said[0] != said[1] {
		t.Errorf("two builds differ: %v", said)
	}
}

// The role's plan copes with all that the official package brings: none of the role's own checks fails after it.
func TestBakedImagePassesTheRolesChecks(t *testing.T) {
	b := baked(t)
	built, err := roles.Of(cluster.RoleOpenSearch)
	if err != nil {
		t.Fatal(err)
	}
	base, err := roles.Of(cluster.RoleHeartbeat)
	if err != nil {
		t.Fatal(err)
	}
	everyRoles := map[string]bool{}
	for _, check := range base.Verify(b.recipe) {
		everyRoles[check.Name] = true
	}
	text, err := output(inside(b.tree, "/usr/bin/cincbake-node", "verify", "--recipe", recipeFile))
	if err == nil {
		t.Fatalf("the tree is not sealed, and verify says so of any tree: %s", text)
	}
	own := 0
	for _, check := range built.Verify(b.recipe) {
		if everyRoles[check.Name] {
			continue
		}
		own++
		if strings.Contains("\n"+text, "\n"+check.Name+":") {
			t.Errorf("%s fails:\n%s", check.Name, text)
		}
	}
	if own < 10 {
		t.Errorf("the role has %d checks of its own", own)
	}
}

// search asks one node as somebody.
type search struct {
	client         *http.Client
	url            string
	user, password string
}

func (m *booted) search(t *testing.T, user, password string) search {
	t.Helper()
	config, err := m.in.Secrets.ClientTLS()
	if err != nil {
		t.Fatal(err)
	}
	config.Certificates = nil
	return m.searchWith(t, config, user, password)
}

func (m *booted) searchWith(t *testing.T, config *tls.Config, user, password string) search {
	t.Helper()
	return search{
		url: "https://" + net.JoinHostPort(m.in.Self.Address.String(), "9200"), user: user, password: password,
		client: &http.Client{Timeout: 70 * time.Second, Transport: &http.Transport{
			TLSClientConfig: config, DisableKeepAlives: true, DialContext: m.Network.Dial,
		}},
	}
}

func (m *booted) cinc(t *testing.T) search {
	t.Helper()
	return m.search(t, "cinc", m.in.Secrets.OpenSearch.Cinc.Reveal())
}

// ask returns the status and the answer.
func (s search) ask(ctx context.Context, method, path, body string) (int, map[string]any, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if s.user != "" {
		request.SetBasicAuth(s.user, s.password)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, err
	}
	var answer map[string]any
	if bytes.HasPrefix(text, []byte("{")) {
		err = json.Unmarshal(text, &answer)
	}
	return response.StatusCode, answer, err
}

// must asks for what has to succeed.
func (s search) must(t *testing.T, method, path, body string) map[string]any {
	t.Helper()
	status, answer, err := s.ask(t.Context(), method, path, body)
	if err != nil || status/100 != 2 {
		t.Fatalf("%s %s: %d %v %v", method, path, status, answer, err)
	}
	return answer
}

// until waits for something that takes seconds, and returns how long it took.
func until(t *testing.T, limit time.Duration, what string, done func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	for !done() {
		if time.Since(begun) > limit {
			t.Fatalf("%s: not within %s", what, limit)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
	return time.Since(begun).Round(100 * time.Millisecond)
}

// ready waits until the product would call the node ready.
func (m *booted) ready(t *testing.T) time.Duration {
	t.Helper()
	return until(t, 3*time.Minute, m.in.Self.Name+" is ready", func() bool { return m.health(t)["discovered_master"] == true })
}

func (m *booted) health(t *testing.T) map[string]any {
	t.Helper()
	status, answer, err := m.cinc(t).ask(t.Context(), http.MethodGet, "/_cluster/health?local=true", "")
	if err != nil || status != http.StatusOK {
		return nil
	}
	return answer
}

func TestOneNode(t *testing.T) {
	machines, bundle := bootAll(t, "one", 64<<30) // as the agent sees a large host from inside a container
	node := machines[0]
	t.Logf("ready %s after its machine started", node.ready(t))

	if root := node.cinc(t).must(t, http.MethodGet, "/", ""); root["version"].(map[string]any)["number"] != "1.3.20" {
		t.Errorf("it says of itself: %v", root)
	}
	for name, s := range map[string]search{
		"nobody":         node.search(t, "", ""),
		"wrong password": node.search(t, "cinc", "wrong"),
		"wrong user":     node.search(t, "nobody", node.in.Secrets.OpenSearch.Cinc.Reveal()),
		"demo user":      node.search(t, "kibanaserver", "kibanaserver"),
	} {
		if status, _, err := s.ask(t.Context(), http.MethodGet, "/", ""); status != http.StatusUnauthorized {
			t.Errorf("%s: %d %v", name, status, err)
		}
	}
	operator, err := bundle.OperatorTLS()
	if err != nil {
		t.Fatal(err)
	}
	if operator.Certificates == nil {
		t.Fatal("the operator has no certificate")
	}
	node.searchWith(t, operator, "", "").must(t, http.MethodGet, "/_cluster/settings", "")
	own, err := node.in.Secrets.ClientTLS()
	if err != nil {
		t.Fatal(err)
	}
	if status, _, err := node.searchWith(t, own, "", "").ask(t.Context(), http.MethodGet, "/", ""); status != http.StatusUnauthorized {
		t.Errorf("a node's certificate: %d %v", status, err)
	}
	logged := node.journal()
	for _, want := range []string{"a test fixture", "no TLS between nodes", "the heap is 256 MiB instead of 31744"} {
		if !strings.Contains(logged, want) {
			t.Errorf("the journal does not say %q:\n%s", want, logged)
		}
	}
	t.Log(logged)
	if text, err := node.run(t.Context(), "ls", "-l", "/etc/opensearch/opensearch.keystore", "/var/log/opensearch"); err != nil || !strings.Contains(text, "one.log") {
		t.Errorf("keystore and logs: %s %v", text, err)
	}
	rss(t, node)

	t.Run("stops and starts", func(t *testing.T) {
		begun := time.Now()
		if _, err := node.run(t.Context(), "systemctl", "stop", "opensearch"); err != nil {
			t.Fatal(err)
		}
		t.Logf("stopped in %s", time.Since(begun).Round(100*time.Millisecond))
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("it took %s to stop", took)
		}
		if n := node.count(t, "java"); n != 0 {
			t.Errorf("%d servers still run", n)
		}
		if state, _ := node.run(t.Context(), "systemctl", "show", "--property=Result,ActiveState", "opensearch"); !strings.Contains(state, "Result=success") || !strings.Contains(state, "=inactive") {
			t.Errorf("after a stop in good order: %s", state)
		}
		// Its own last words: it closed its files, and was not killed.
		if text, err := node.run(t.Context(), "tail", "--lines=3", "/var/log/opensearch/one.log"); err != nil || !strings.Contains(text, "closed") {
			t.Errorf("the server's log ends: %s %v", text, err)
		}
		if _, err := node.run(t.Context(), "systemctl", "start", "opensearch"); err != nil {
			t.Fatal(err)
		}
		node.ready(t)
	})
	t.Run("front killed", func(t *testing.T) {
		node.kill(t, "opensearch", syscall.SIGKILL)
		until(t, 20*time.Second, "a server without its front ends", func() bool { return node.count(t, "java") == 0 })
		t.Logf("back %s after the front was killed", node.ready(t))
		if n := node.count(t, "java"); n != 1 {
			t.Errorf("%d servers run", n)
		}
	})
	t.Run("rescue", func(t *testing.T) {
		if _, err := node.run(t.Context(), "systemctl", "stop", "opensearch"); err != nil {
			t.Fatal(err)
		}
		text, err := node.run(t.Context(), "sh", "-c", "echo y | runuser -u opensearch -- /usr/share/opensearch/bin/opensearch-node unsafe-bootstrap")
		if err != nil || !strings.Contains(text, "Master node was successfully bootstrapped") {
			t.Errorf("unsafe-bootstrap: %v\n%s", err, text)
		}
		if text, err := node.run(t.Context(), "runuser", "-u", "opensearch", "--", "/usr/share/opensearch/bin/opensearch-keystore", "list"); err != nil || !strings.Contains(text, "keystore.seed") {
			t.Errorf("keystore list: %v\n%s", err, text)
		}
		if _, err := node.run(t.Context(), "systemctl", "start", "opensearch"); err != nil {
			t.Fatal(err)
		}
		node.ready(t)
	})
}

// rss logs what a node takes.
func rss(t *testing.T, m *booted) {
	t.Helper()
	processes, err := m.Processes(m.host)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		if p.Name != "java" && p.Name != "opensearch" {
			continue
		}
		status, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(p.PID), "status"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(status)) {
			if strings.HasPrefix(line, "VmRSS") {
				t.Logf("%s of %s: %s", p.Name, m.in.Self.Name, strings.Join(strings.Fields(line)[1:], " "))
			}
		}
	}
}

// index is what Cinc Server makes; see its index's file of settings.
const index = `{"settings": {"analysis": {"analyzer": {"default": {"type": "whitespace"}}}, "number_of_shards": 1, "number_of_replicas": 2},
	"mappings": {"_source": {"enabled": false}, "properties": {
		"X_CHEF_database_CHEF_X": {"type": "keyword"}, "X_CHEF_type_CHEF_X": {"type": "keyword"}, "X_CHEF_id_CHEF_X": {"type": "keyword"},
		"data_bag": {"type": "keyword"}, "content": {"type": "text"}}}}`

func TestThreeNodes(t *testing.T) {
	machines, _ := bootAll(t, "three", 384<<20)
	begun := time.Now()
	uuids := map[string]bool{}
	for _, m := range machines {
		m.ready(t)
		uuids[fmt.Sprint(m.cinc(t).must(t, http.MethodGet, "/", "")["cluster_uuid"])] = true
	}
	t.Logf("formed %s after the last machine started", time.Since(begun).Round(100*time.Millisecond))
	if len(uuids) != 1 || uuids["_na_"] {
		t.Fatalf("clusters: %v", slices.Collect(maps.Keys(uuids)))
	}
	cinc := machines[0].cinc(t)
	until(t, time.Minute, "three nodes", func() bool { return machines[0].health(t)["number_of_nodes"] == 3.0 })
	cinc.must(t, http.MethodPut, "/chef", index)
	if status, _, _ := cinc.ask(t.Context(), http.MethodPut, "/other/_doc/1", `{}`); status/100 == 2 {
		t.Error("a first write made an index: the product's settings did not reach the server")
	}
	var bulk strings.Builder
	for i := range 40 {
		fmt.Fprintf(&bulk, `{"index":{"_index":"chef","_id":"%d"}}`+"\n"+`{"X_CHEF_database_CHEF_X":"db%d","X_CHEF_type_CHEF_X":"node","content":"name__=__web%d role__=__web"}`+"\n", i, i%2, i)
	}
	if answer := cinc.must(t, http.MethodPost, "/_bulk", bulk.String()); answer["errors"] != false {
		t.Fatalf("bulk: %v", answer)
	}
	cinc.must(t, http.MethodPost, "/_refresh", "")
	found := func(m *booted, query string) any {
		answer := m.cinc(t).must(t, http.MethodPost, "/chef/_search", `{"track_total_hits":true,"query":{"query_string":{"query":"`+query+`","default_field":"content"}}}`)
		return answer["hits"].(map[string]any)["total"].(map[string]any)["value"]
	}
	if n := found(machines[1], "role__=__web"); n != 40.0 {
		t.Errorf("found %v of 40", n)
	}
	if answer := cinc.must(t, http.MethodPost, "/chef/_delete_by_query?refresh=true", `{"query":{"term":{"X_CHEF_database_CHEF_X":"db1"}}}`); answer["deleted"] != 20.0 {
		t.Errorf("delete by query: %v", answer)
	}
	green := func() bool {
		h := machines[0].health(t)
		return h["status"] == "green" && h["number_of_nodes"] == 3.0
	}
	until(t, time.Minute, "green", green)
	for _, m := range machines {
		rss(t, m)
	}

	machines[2].kill(t, "java", syscall.SIGKILL)
	until(t, 20*time.Second, "the others notice", func() bool { return machines[0].health(t)["number_of_nodes"] != 3.0 })
	took := until(t, 3*time.Minute, "the killed one returns", green)
	t.Logf("green again %s after a server was killed", took)
	if text, err := machines[2].run(t.Context(), "journalctl", "--unit=opensearch", "--no-pager"); err != nil || !strings.Contains(text, "the server ended by itself, with status 137") || !strings.Contains(text, "status=137") {
		t.Errorf("its end was not told: %v\n%s", err, text)
	}
	if n := machines[2].count(t, "java"); n != 1 {
		t.Errorf("%d servers run", n)
	}
	if n := found(machines[2], "role__=__web"); n != 20.0 {
		t.Errorf("found %v of 20", n)
	}
}
