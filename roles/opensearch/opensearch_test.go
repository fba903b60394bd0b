package opensearch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

func TestHeap(t *testing.T) {
	const gib = 1 << 30
	for memory, want := range map[uint64]uint64{
		512 << 20: 256 << 20,
		1 * gib:   512 << 20,
		2 * gib:   1 * gib,
		8 * gib:   4 * gib,
		61 * gib:  61 * gib / 2,
		62 * gib:  31 * gib,
		256 * gib: 31 * gib,
	} {
		if got := heap(memory); got != want {
			t.Errorf("heap of %d MiB is %d MiB, want %d", memory>>20, got>>20, want>>20)
		}
	}
	if got := string(jvmOptions(8 * gib)); got != "-Xms4096m\n-Xmx4096m\n" {
		t.Errorf("%q", got)
	}
}

// Only a node with a cluster, a manager and all its data counts as ready.
func TestReadiness(t *testing.T) {
	for name, test := range map[string]struct {
		root, health string
		status       int
		want         string // part of the error; empty: ready
	}{
		"green":           {`{"cluster_uuid":"x"}`, `{"status":"green","discovered_master":true}`, 200, ""},
		"yellow":          {`{"cluster_uuid":"x"}`, `{"status":"yellow","discovered_master":true}`, 200, ""},
		"red":             {`{"cluster_uuid":"x"}`, `{"status":"red","discovered_master":true}`, 200, ""},
		"never formed":    {`{"cluster_uuid":"_na_"}`, ``, 200, "belongs to no cluster"},
		"something else":  {`{"hello":1}`, ``, 200, "belongs to no cluster"},
		"isolated":        {`{"cluster_uuid":"x"}`, `{"status":"green","discovered_master":false}`, 200, "no manager"},
		"not initialised": {``, ``, 503, "503"},
		"not JSON":        {`<html>`, ``, 200, "invalid character"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				user, password, _ := r.BasicAuth()
				if user != role.SearchUser || password != "right" {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				w.WriteHeader(test.status)
				text := test.root
				if r.URL.Path == "/_cluster/health" {
					text = test.health
				}
				fmt.Fprint(w, text) //nolint:errcheck // the client sees
			}))
			defer server.Close()
			c := client{url: server.URL, password: secrets.New("right"), http: server.Client()}
			host := step.NewRecorder()
			if _, err := Home.Prepare(host); err != nil {
				t.Fatal(err)
			}
			err := c.ready(context.Background(), host, role.Inputs{})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
			// In a cluster means formed, however the index is: from then on nothing may be formed anew.
			record, failed := Home.Read(host)
			if inCluster := test.want == "" || strings.HasPrefix(test.want, "health"); failed != nil || (record.ClusterID == "x") != inCluster {
				t.Errorf("record %+v, %v", record, failed)
			}
			c.password = secrets.New("wrong")
			if err := c.ready(context.Background(), host, role.Inputs{}); err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "wrong") {
				t.Errorf("with a wrong password: %v", err)
			}
		})
	}
}

// The client verifies the node, and shows no certificate of its own.
func TestClientOfNode(t *testing.T) {
	node := cluster.Node{Name: "opensearch-1", Role: cluster.RoleOpenSearch, Slot: 1}
	in := role.Inputs{Cluster: &cluster.Resolved{Name: "prod"}, Self: node}
	if _, err := newClient(in, in.Self.Name, loopback); err == nil || !strings.Contains(err.Error(), "no passwords") {
		t.Errorf("without secrets: %v", err)
	}
	in.Secrets.OpenSearch = &secrets.OpenSearch{Cinc: secrets.New("x")}
	if err := readiness(t.Context(), step.NewRecorder(), in); err == nil || !strings.Contains(err.Error(), "no address") {
		t.Errorf("without an address: %v", err)
	}
}

var loopback = netip.MustParseAddr("127.0.0.77") // nobody listens there

// searchSecrets are a search node's.
func searchSecrets(t *testing.T) secrets.Scoped {
	t.Helper()
	r := &cluster.Resolved{Name: "prod", OpenSearch: &cluster.OpenSearch{}, Nodes: nodes()}
	for i := range r.Nodes {
		r.Nodes[i].Slot, r.Nodes[i].Address = i+1, loopback
	}
	bundle, err := secrets.Generate(r, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	scoped, err := bundle.Scope(r.Nodes[0])
	if err != nil {
		t.Fatal(err)
	}
	return scoped
}

// The node's view of its cluster, for the status.
func TestSearchOfStatus(t *testing.T) {
	for name, test := range map[string]struct {
		root, health, state string
		status              int
		want                *cluster.Search
	}{
		"whole": {
			`{"cluster_uuid":"x"}`, `{"status":"green","number_of_nodes":3,"discovered_master":true}`, `{"master_node":"i2","nodes":{"i1":{"name":"opensearch-1"},"i2":{"name":"opensearch-2"}}}`, 200,
			&cluster.Search{Health: "green", Manager: "opensearch-2", Nodes: 3, ClusterUUID: "x"},
		},
		"isolated":        {`{"cluster_uuid":"x"}`, `{"status":"green","number_of_nodes":3,"discovered_master":false}`, `{}`, 200, &cluster.Search{}},
		"never formed":    {`{"cluster_uuid":"_na_"}`, `{}`, `{}`, 200, &cluster.Search{}},
		"not initialised": {``, ``, ``, 503, &cluster.Search{}},
		"older users": {
			`{"cluster_uuid":"x"}`, `{"status":"yellow","number_of_nodes":2,"discovered_master":true}`, `not allowed`, 200,
			&cluster.Search{Health: "yellow", Nodes: 2, ClusterUUID: "x"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(test.status)
				text := map[string]string{"/": test.root, "/_cluster/health": test.health, "/_cluster/state/master_node,nodes": test.state}[r.URL.Path]
				fmt.Fprint(w, text) //nolint:errcheck // the client sees
			}))
			c := client{url: server.URL, password: secrets.New("right"), http: server.Client()}
			if diff := cmp.Diff(test.want, c.search(t.Context())); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			server.Close()
			if got := c.search(t.Context()); got != nil {
				t.Errorf("it does not run: %+v", got)
			}
		})
	}
}

// A node that finds no cluster says why: what OpenSearch says, what the peers hold, and the rescue where only that helps.
func TestWhyThereIsNoCluster(t *testing.T) {
	empty, formed := cluster.Observation{Formation: cluster.FormationEmpty}, cluster.Observation{Formation: cluster.FormationFormed}
	for name, test := range map[string]struct {
		peers cluster.Peers
		says  []string
		hint  string
	}{
		"both replaced":           {peersSay(empty, empty), []string{"opensearch-2 is an empty replacement, opensearch-3 is an empty"}, "cincbake rescue opensearch --node opensearch-1"},
		"one replaced, one down":  {peersSay(empty, cluster.Observation{}), []string{"opensearch-2 is an empty", "opensearch-3 does not answer"}, "start the machines that are down"},
		"one down, one with data": {peersSay(formed, cluster.Observation{}), []string{"opensearch-2 is formed"}, "start the machines that are down"},
	} {
		in := role.Inputs{Self: nodes()[0], Own: formed, Peers: test.peers, Secrets: searchSecrets(t)}
		in.Self.Address = loopback
		var notYet *role.NotYet
		if err := readiness(t.Context(), step.NewRecorder(), in); !errors.As(err, &notYet) {
			t.Fatalf("%s: %v", name, err)
		}
		for _, part := range append(test.says, "OpenSearch has found no cluster (it does not answer yet)") {
			if !strings.Contains(notYet.Reason, part) {
				t.Errorf("%s: %q does not say %q", name, notYet.Reason, part)
			}
		}
		if !strings.Contains(notYet.Hint, test.hint) {
			t.Errorf("%s: hint %q", name, notYet.Hint)
		}
	}
}

// unpacked is a machine right after the package was installed, in memory.
func unpacked(t *testing.T) *step.Recorder {
	t.Helper()
	host := step.NewRecorder()
	for _, file := range []string{
		configDir + "/esnode.pem", configDir + "/esnode-key.pem", configDir + "/kirk.pem", configDir + "/kirk-key.pem", configDir + "/root-ca.pem",
		keystore, pluginDir + "/opensearch-sql/x.jar", securityDir + "/internal_users.yml",
		pluginDir + "/" + securityPlugin + "/tools/install_demo_configuration.sh", pluginDir + "/" + securityPlugin + "/tools/securityadmin_demo.sh",
	} {
		host.Entries[file] = step.Entry{Kind: step.KindFile, Content: []byte("demo")}
	}
	for _, dir := range []string{pluginDir + "/opensearch-sql", pluginDir + "/" + securityPlugin} {
		host.Entries[dir] = step.Entry{Kind: step.KindDir}
	}
	host.Entries[configFile] = step.Entry{Kind: step.KindFile, Content: []byte("plugins.security.allow_unsafe_democertificates: true\n")}
	host.Answer = func(c step.Command) (step.Output, error) {
		switch {
		case c.Argv[0] == "dpkg-query" && c.Argv[len(c.Argv)-1] == "opensearch":
			return step.Output{Stdout: []byte("ii  1.3.20")}, nil
		case c.Argv[0] == "systemctl":
			return step.Output{Stdout: []byte("disabled\n")}, nil
		}
		return step.Output{}, nil
	}
	return host
}

func recipe() cluster.Recipe {
	return cluster.Recipe{
		Format: 1, Role: cluster.RoleOpenSearch, OS: "debian-13", Arch: "amd64",
		Package: cluster.RecipePackage{Version: "1.3.20", Digest: "sha512:ab", URL: "https://example.net/x.deb"},
	}
}

// failing returns the names of the checks that fail.
func failing(host step.Host) map[string]bool {
	failed := map[string]bool{}
	for _, check := range (Role{}).Verify(recipe()) {
		if err := check.Run(context.Background(), host); err != nil {
			failed[check.Name] = true
		}
	}
	return failed
}

// Each thing of the package's demonstration is found by name, and gone after the bake.
func TestDemonstrationIsFoundAndGone(t *testing.T) {
	host := unpacked(t)
	demonstration := []string{
		"opensearch-keystore", "security-plugin", "demo-users", "demo-settings",
		"demo-esnode.pem", "demo-esnode-key.pem", "demo-kirk.pem", "demo-kirk-key.pem", "demo-root-ca.pem",
		"demo-install_demo_configuration", "demo-securityadmin_demo",
	}
	before := failing(host)
	for _, name := range demonstration {
		if !before[name] {
			t.Errorf("%s was not found", name)
		}
	}
	plan, err := Role{}.Bake(recipe())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Apply(context.Background(), host, nil); err != nil {
		t.Fatal(err)
	}
	after := failing(host)
	for _, name := range append(demonstration, "opensearch-version", "opensearch-empty", "service-disabled") {
		if after[name] {
			t.Errorf("%s is still there after the bake", name)
		}
	}
	host.Entries["/var/lib/opensearch/nodes"] = step.Entry{Kind: step.KindDir}
	host.Answer = nil
	if last := failing(host); !last["opensearch-empty"] || !last["opensearch-version"] {
		t.Errorf("data in the image, and no package: %v", last)
	}
}

// A package without the security plugin would serve everybody.
func TestPackageWithoutSecurity(t *testing.T) {
	host := step.NewRecorder()
	host.Entries[pluginDir] = step.Entry{Kind: step.KindDir}
	_, err := step.Plan{{Action: onlyPlugin{securityPlugin}}}.Apply(context.Background(), host, nil)
	if err == nil || !strings.Contains(err.Error(), "full distribution") {
		t.Errorf("%v", err)
	}
}
