//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cincbake/cincbake/lab"
	"github.com/cincbake/cincbake/lab/drill"
)

// tiersName names the cluster that hosts every tier itself, and with that its lab.
const tiersName = "tiers"

// tiersVIP is where its clients connect, and tiersDomain whom they ask for.
const (
	tiersVIP    = "10.20.0.10"
	tiersDomain = "chef.example.com"
)

// TestTiers boots a whole cluster, every tier its own: two balancers, three API nodes, two database nodes with a heartbeat,
// three search nodes. Cinc Server's and OpenSearch's packages are stand-ins.
func TestTiers(t *testing.T) {
	b := newBench(t)
	t.Cleanup(func() { t.Logf("figures:\n  %s", strings.Join(b.figures, "\n  ")) })
	for _, part := range []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		{"a spec with every tier", testTiersSpec},
		{"eleven machines become a cluster", testTiersUp},
		{"clients are served at one address", testTiersServe},
		{"one of three makes the databases, whoever is killed", testTiersBootstrap},
		{"machines of every tier are replaced", testTiersReplace},
		{"two empty search nodes form nothing, and a rescue helps", testTiersSearchRescue},
		{"a lost index is filled anew", testTiersReindex},
		{"a fourth API node serves, and nobody is told", testTiersAdd},
		{"one strike after the other", testTiersDrill},
		{"down leaves nothing behind", testTiersDown},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, b) }) {
			t.Fatalf("the story ends here")
		}
	}
}

func testTiersSpec(t *testing.T, b *bench) {
	testRolesSpec(t, b)
	b.edit(t, "cluster.yaml", func(text string) string {
		text = strings.Replace(text, "name: prod ", "name: "+tiersName+" ", 1)
		text = strings.Replace(text, "# backup:", "backup: {path: /mnt/backup}\n# backup:", 1)
		return strings.Replace(text, "  nodes: 2  ", "  nodes: 3  ", 1)
	})
	t.Cleanup(func() {
		if err := os.RemoveAll("/var/lib/cincbake/backups/" + tiersName); err != nil { // it outlives the lab
			t.Error(err)
		}
	})
	b.must(t, time.Minute, "secrets", "init")
}

func testTiersUp(t *testing.T, b *bench) {
	b.baked = b.bake(t, b.images)
	o := b.must(t, 8*time.Minute, "lab", "up", "--images", b.images)
	b.figure(t, "whole %.1f s after lab up", o.took.Seconds())
	s := b.status(t)
	if !s.Whole {
		t.Fatalf("not whole: %v", s.Lacks)
	}
	for _, n := range s.Nodes {
		b.shares(t, s, n.Node.Name)
	}
}

// shares tells what a machine's boot took, and what of it was the agent's own.
func (b *bench) shares(t *testing.T, s status, machine string) {
	t.Helper()
	var own float64
	var rows []string
	for _, phase := range s.of(t, machine).Status.Phases {
		own += phase.Seconds - phase.Waited
		rows = append(rows, fmt.Sprintf("%s %.1f/%.1f", phase.Name, phase.Seconds, phase.Waited))
	}
	b.figure(t, "%s: %.1f s the agent's own; seconds/waited: %s", machine, own, strings.Join(rows, ", "))
}

// tiers is the suite's lab, for what no command does.
func tiers(t *testing.T) *lab.Lab {
	t.Helper()
	l, err := lab.Open(lab.DefaultFolders(), tiersName)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// pong asks the clients' address how the service is.
func pong(ctx context.Context, l *lab.Lab) error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{ServerName: tiersDomain, InsecureSkipVerify: true}, //nolint:gosec // the drill verifies
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return l.Dial(ctx, network, net.JoinHostPort(tiersVIP, "443"))
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+tiersDomain+"/_status", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var said struct{ Status string }
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK || said.Status != "pong" {
		return fmt.Errorf("%s, %q", answer.Status, said.Status)
	}
	return nil
}

func testTiersServe(t *testing.T, _ *bench) {
	if err := pong(t.Context(), tiers(t)); err != nil {
		t.Errorf("https://%s/_status: %v", tiersVIP, err)
	}
}

// untilWhole waits until nothing is missing.
func (b *bench) untilWhole(t *testing.T, within time.Duration) time.Duration {
	t.Helper()
	return b.must(t, within+time.Minute, "status", "--lab", "--until-whole", within.String()).took
}

var servers = []string{"api-1", "api-2", "api-3"}

// inside runs a program in a machine of the lab.
func inside(t *testing.T, machine string, argv ...string) string {
	t.Helper()
	var out strings.Builder
	if err := tiers(t).Exec(t.Context(), machine, argv, nil, &out); err != nil {
		t.Fatalf("%s: %v: %v\n%s", machine, argv, err, out.String())
	}
	return strings.TrimSpace(out.String())
}

func (b *bench) sql(t *testing.T, database, statement string) string {
	t.Helper()
	primary := ""
	for _, n := range b.status(t).Nodes {
		if db := n.Status.Database; db != nil && db.Role == "primary" {
			primary = n.Node.Name
		}
	}
	if primary == "" {
		t.Fatal("nobody is primary")
	}
	return inside(t, primary, "runuser", "--user", "postgres", "--",
		"psql", "--host=/run/postgresql", "--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--dbname="+database, "--command="+statement)
}

// forgetDatabases makes the database server one that never had anything of Cinc Server's, with no API node near it.
func forgetDatabases(t *testing.T, b *bench) {
	for _, server := range servers {
		b.must(t, time.Minute, "lab", "kill", server)
	}
	for _, name := range []string{"opscode_chef", "bifrost", "oc_id", "bookshelf"} {
		b.sql(t, "postgres", "drop database if exists "+name+" with (force)")
		b.sql(t, "postgres", "drop role if exists "+name)
		b.sql(t, "postgres", "drop role if exists "+name+"_ro")
	}
	b.sql(t, "postgres", "drop database if exists cincbake with (force)")
}

// testTiersBootstrap starts three fresh API nodes on an empty database server at the same time, again and again, and kills
// the one that makes the databases at a moment that is another one each time.
func testTiersBootstrap(t *testing.T, b *bench) {
	for round, killAfter := range []time.Duration{0, 1500 * time.Millisecond} { // make election has many more
		startTogether(t, b, func(string) {})
		killed := ""
		if killAfter > 0 {
			killed = b.bootstrapper(t)
			time.Sleep(killAfter)
			b.must(t, time.Minute, "lab", "kill", killed)
			b.must(t, time.Minute, "lab", "start", killed)
		}
		took := b.untilWhole(t, 4*time.Minute)
		b.figure(t, "round %d, %q killed after %v: whole after %.1f s", round, killed, killAfter, took.Seconds())
		if made := oneSetOfDatabases(t, b); killed == "" && made != 1 {
			t.Errorf("round %d: %d machines made the databases", round, made)
		}
	}
}

// bootstrapper waits for the API node that makes the databases.
func (b *bench) bootstrapper(t *testing.T) string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		for _, n := range b.status(t).Nodes {
			if who, ok := strings.CutSuffix(n.Status.Reason, " is about to make the databases"); ok {
				return who
			}
		}
	}
	t.Fatal("no API node was seen to make the databases, so none can be killed at it")
	return ""
}

func testTiersReplace(t *testing.T, b *bench) {
	for _, machine := range []string{"api-2", "opensearch-2", "lb-1", "postgres-1", "heartbeat-1"} {
		b.must(t, time.Minute, "lab", "replace", machine)
		b.figure(t, "%s replaced: whole after %.1f s", machine, b.untilWhole(t, 4*time.Minute).Seconds())
		b.shares(t, b.status(t), machine)
	}
}

func testTiersSearchRescue(t *testing.T, b *bench) {
	before := b.searchCluster(t)
	b.must(t, time.Minute, "lab", "kill", "opensearch-1")
	for _, machine := range []string{"opensearch-2", "opensearch-3"} {
		b.must(t, time.Minute, "lab", "replace", machine)
	}
	time.Sleep(20 * time.Second) // long enough to form, if anything would
	if formed := b.searchCluster(t); formed != "" {
		t.Fatalf("two empty machines formed search cluster %s", formed)
	}
	b.must(t, time.Minute, "lab", "start", "opensearch-1")
	reason := ""
	for deadline := time.Now().Add(time.Minute); !strings.Contains(reason, "cincbake rescue opensearch --node opensearch-1"); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			t.Fatalf("status does not name the rescue: %s", reason)
		}
		reason = b.status(t).of(t, "opensearch-2").Status.Hint
	}
	if o := b.try(t, time.Minute, "rescue", "opensearch", "--lab", "--node", "opensearch-1"); o.code != 5 {
		t.Errorf("a rescue without --yes ended with %d", o.code)
	}
	b.must(t, time.Minute, "rescue", "opensearch", "--lab", "--node", "opensearch-1", "--yes")
	b.figure(t, "rescued: whole after %.1f s", b.untilWhole(t, 4*time.Minute).Seconds())
	if after := b.searchCluster(t); after == before || after == "" {
		t.Errorf("the rescued cluster is %q, the one before was %q", after, before)
	}
}

// searchCluster is the one cluster that search nodes say they are in.
func (b *bench) searchCluster(t *testing.T) string {
	t.Helper()
	found := ""
	for _, n := range b.status(t).Nodes {
		if s := n.Status.Search; s != nil && s.ClusterUUID != "" {
			if found != "" && found != s.ClusterUUID {
				t.Fatalf("there are two search clusters: %s and %s", found, s.ClusterUUID)
			}
			found = s.ClusterUUID
		}
	}
	return found
}

func testTiersReindex(t *testing.T, b *bench) {
	// Through the router of an API node, as Cinc Server would.
	const index = "http://127.0.0.1:9200/chef"
	request := `read p < /etc/cinc-project/search-password; exec 3<>/dev/tcp/127.0.0.1/9200; printf '%s /chef HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic %s\r\n\r\n' "$0" "$(printf 'cinc:%s' "$p" | base64 -w0)" >&3; head -1 <&3`
	if said := inside(t, "api-1", "bash", "-c", request, "DELETE"); !strings.Contains(said, "200") {
		t.Fatalf("delete %s: %s", index, said)
	}
	o := b.must(t, 5*time.Minute, "reindex", "--lab", "--node", "api-2")
	b.figure(t, "reindexed after %.1f s", o.took.Seconds())
	if said := inside(t, "api-1", "bash", "-c", request, "GET"); !strings.Contains(said, "200") {
		t.Errorf("the index is not back: %s", said)
	}
	b.untilWhole(t, 2*time.Minute)
}

// testTiersAdd launches one more API node from its seed. The balancers know the pool.
func testTiersAdd(t *testing.T, b *bench) {
	began := time.Now()
	b.must(t, time.Minute, "lab", "add", "api-4")
	b.await(t, "both balancers lead clients to api-4", func(s status) bool {
		leads := 0
		for _, n := range s.Nodes {
			if n.Status.Balancer != nil && slices.Contains(n.Status.Balancer.Up, "api-4") {
				leads++
			}
		}
		return leads == 2
	})
	b.figure(t, "api-4 gets clients %.1f s after it was launched", time.Since(began).Seconds())
}

// testTiersDrill runs the reduced drill: nothing that was acknowledged may be lost, and no second search cluster formed. A
// client that hangs is told in the figures: beside everything else that this host does meanwhile, one of the patient ones
// may wait for TCP to ask again.
func testTiersDrill(t *testing.T, b *bench) {
	report := filepath.Join(t.TempDir(), "report")
	o := b.try(t, 15*time.Minute, "lab", "drill", "--suite", "reduced", "--report", report)
	b.figure(t, "%.0f s, exit code %d\n%s", o.took.Seconds(), o.code, o.stdout)
	unharmed(t, report, o)
}

// unharmed looks into a drill's report: all strikes were made, and nothing but a hanging client may be wrong.
func unharmed(t *testing.T, report string, o outcome) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(report, "drill.json"))
	if err != nil {
		t.Fatalf("%v\n%s", err, o.stderr)
	}
	out := decode[drill.Outcome](t, string(text))
	if out.Stopped != "" || len(out.Strikes) != out.Planned || out.Totals.Skipped > 0 {
		t.Errorf("%d of %d strikes, %d of them not made: %s", len(out.Strikes), out.Planned, out.Totals.Skipped, out.Stopped)
	}
	if lost := out.Totals.Lost + out.LostLater; lost > 0 || out.Totals.Acknowledged == 0 {
		t.Errorf("%d of %d acknowledged writes are lost", lost, out.Totals.Acknowledged)
	}
	for _, strike := range out.Strikes {
		for _, problem := range strike.Problems {
			if !strings.Contains(problem, "operations hung for more than") {
				t.Errorf("%s of %v: %s", strike.Name, strike.Nodes, problem)
			}
		}
	}
	for _, name := range []string{"drill.txt", "drill.html"} {
		if _, err := os.Stat(filepath.Join(report, name)); err != nil {
			t.Error(err)
		}
	}
}

func testTiersDown(t *testing.T, b *bench) { downLeavesNothing(t, b, tiersName) }
