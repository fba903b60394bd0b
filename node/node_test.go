package node

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/etcd"
	"github.com/cincbake/cincbake/roles/postgres"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

const spec = `
apiVersion: cincbake/v1
kind: Cluster
name: test
platform: onprem
network: {prefix: 10.20.0.0/24, gateway: 10.20.0.1}
postgres: {nodes: [10.20.0.31, 10.20.0.32], disk: /dev/vdb}
heartbeat: 10.20.0.33
`

// seeded returns a host in memory as cloud-init leaves it for a node, and the bundle behind it.
func seeded(t *testing.T, name string) (*step.Recorder, *cluster.Resolved, *secrets.Bundle) {
	t.Helper()
	s, err := cluster.Parse("cluster.yaml", []byte(spec))
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := secrets.Generate(r, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	self, err := r.Node(name)
	if err != nil {
		t.Fatal(err)
	}
	encoded := encodedFor(t, bundle, r, name)
	document := cloudinit.Document{
		Format: cloudinit.DocumentFormat, Node: name, Recipe: r.Recipe(self.Role).Digest(), Secrets: secrets.Digest(encoded), Cluster: *r,
	}
	host := step.NewRecorder()
	put(t, host, cloudinit.DocumentPath, document)
	host.Entries[cloudinit.SecretsPath] = step.Entry{Kind: step.KindFile, Content: encoded}
	put(t, host, role.RecipeFile, r.Recipe(self.Role))
	return host, r, bundle
}

func put(t *testing.T, host *step.Recorder, path string, value any) {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	host.Entries[path] = step.Entry{Kind: step.KindFile, Content: text}
}

// What does not belong together is refused, with the way out; nothing is guessed.
func TestLoadRefuses(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*testing.T, *step.Recorder)
		says  string
		hint  bool // it is a refusal
	}{
		{"an image of another recipe", func(t *testing.T, h *step.Recorder) {
			put(t, h, role.RecipeFile, cluster.Recipe{Format: 1, Role: cluster.RolePostgres, Platform: cluster.OnPrem, OS: "debian-13", Arch: "amd64", PostgresVersion: 17})
		}, "postgres 17", true},
		{"secrets of another rendering", func(t *testing.T, h *step.Recorder) {
			other, _, _ := seeded(t, "postgres-1")
			h.Entries[cloudinit.SecretsPath] = other.Entries[cloudinit.SecretsPath]
		}, "not the ones", true},
		{"no document", func(_ *testing.T, h *step.Recorder) { delete(h.Entries, cloudinit.DocumentPath) }, cloudinit.DocumentPath, false},
		{"an unknown field", func(_ *testing.T, h *step.Recorder) {
			e := h.Entries[cloudinit.DocumentPath]
			e.Content = []byte(strings.Replace(string(e.Content), `{"format"`, `{"surprise":1,"format"`, 1))
			h.Entries[cloudinit.DocumentPath] = e
		}, "surprise", true},
		{"a document of another format", func(_ *testing.T, h *step.Recorder) {
			e := h.Entries[cloudinit.DocumentPath]
			e.Content = []byte(strings.Replace(string(e.Content), `{"format":1`, `{"format":2`, 1))
			h.Entries[cloudinit.DocumentPath] = e
		}, "format", true},
		{"another node's secrets, rendered with its document", func(t *testing.T, h *step.Recorder) {
			t.Helper()
			_, r, bundle := seeded(t, "postgres-1")
			takeSecrets(t, h, encodedFor(t, bundle, r, "postgres-2"))
		}, "postgres-2's of cluster test", true},
		{"secrets of another release", func(t *testing.T, h *step.Recorder) {
			t.Helper()
			content := h.Entries[cloudinit.SecretsPath].Content
			takeSecrets(t, h, []byte(strings.Replace(string(content), "{", `{"surprise":1,`, 1)))
		}, "surprise", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			host, _, _ := seeded(t, "postgres-1")
			if _, err := Load(host); err != nil {
				t.Fatalf("before: %v", err)
			}
			test.spoil(t, host)
			_, err := Load(host)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got %v, want an error about %q", err, test.says)
			}
			var refusal *role.Refusal
			if errors.As(err, &refusal) != test.hint {
				t.Errorf("refusal: %v, want %v", !test.hint, test.hint)
			}
			if refusal != nil && refusal.Hint == "" {
				t.Error("the refusal names no way out")
			}
		})
	}
}

// takeSecrets puts other secrets onto a machine, and has its document vouch for them.
func takeSecrets(t *testing.T, h *step.Recorder, content []byte) {
	t.Helper()
	document, err := cloudinit.DecodeDocument(h.Entries[cloudinit.DocumentPath].Content)
	if err != nil {
		t.Fatal(err)
	}
	document.Secrets = secrets.Digest(content)
	put(t, h, cloudinit.DocumentPath, document)
	h.Entries[cloudinit.SecretsPath] = step.Entry{Kind: step.KindFile, Content: content}
}

// disk answers for a machine's programs as a data disk in some state would make them answer.
type disk struct {
	mounted bool
	missing bool
	blkid   string // what it prints
	status  int    // how it ends
	zero    bool   // its first mebibyte is zero
	stays   bool   // it does not grow
	ran     []string
}

func (d *disk) answer(c step.Command) (step.Output, error) {
	d.ran = append(d.ran, c.Argv[0])
	fails := func(yes bool, status int) (step.Output, error) {
		if yes {
			return step.Output{Stdout: []byte(d.blkid)}, &step.ExitError{Argv: c.Argv, Status: status}
		}
		return step.Output{Stdout: []byte(d.blkid)}, nil
	}
	switch c.Argv[0] {
	case "mountpoint":
		return fails(!d.mounted, 32)
	case "findmnt":
		if !d.mounted {
			return step.Output{}, &step.ExitError{Argv: c.Argv, Status: 1}
		}
		return step.Output{Stdout: []byte("/dev/vdb\n")}, nil
	case "resize2fs":
		return fails(d.stays, 1)
	case "blkid":
		return fails(d.status != 0, d.status)
	case "test":
		return fails(d.missing, 1)
	case "cmp":
		return fails(!d.zero, 1)
	}
	return step.Output{}, nil
}

// A data disk is formatted only when it is provably blank, mounted when it is ours, and refused in every other state.
func TestDataDisk(t *testing.T) {
	tests := []struct {
		name    string
		disk    disk
		refused string
		formats bool
		mounts  bool
	}{
		{"mounted already", disk{mounted: true}, "", false, false},
		{"blank", disk{status: 2, zero: true}, "", true, true},
		{"no such disk", disk{status: 2, missing: true}, "no data disk", false, false},
		{"raw data without a signature", disk{status: 2}, "without a file system", false, false},
		{"ours", disk{blkid: "TYPE=ext4\nLABEL=cincbake-data\n"}, "", false, true},
		{"somebody's ext4", disk{blkid: "TYPE=ext4\nLABEL=photos\n"}, "photos", false, false},
		{"ext4 without a label", disk{blkid: "TYPE=ext4\n"}, "ext4", false, false},
		{"our label on another file system", disk{blkid: "TYPE=xfs\nLABEL=cincbake-data\n"}, "xfs", false, false},
		{"a partition table", disk{blkid: "PTTYPE=gpt\n"}, "gpt", false, false},
		{"signatures of several", disk{status: 8}, "several", false, false},
		{"a signature without a name", disk{blkid: "USAGE=raid\n"}, "can't name", false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			host := step.NewRecorder()
			host.Answer = test.disk.answer
			err := mountDisk(context.Background(), host, "/dev/vdb")
			var refusal *role.Refusal
			switch {
			case test.refused == "" && err != nil:
				t.Fatal(err)
			case test.refused != "" && (!errors.As(err, &refusal) || !strings.Contains(refusal.Reason, test.refused) || refusal.Hint == ""):
				t.Fatalf("got %v, want a refusal about %q with a hint", err, test.refused)
			}
			ran := strings.Join(test.disk.ran, " ")
			if strings.Contains(ran, "mkfs.ext4") != test.formats || strings.Contains(ran, "mount ") != test.mounts && strings.HasSuffix(ran, "mount") != test.mounts {
				t.Errorf("ran %s; want formatting %v, mounting %v", ran, test.formats, test.mounts)
			}
		})
	}
}

// The file system of a data disk has all of the disk, whose device is the one that is mounted; the root disk is left alone.
func TestGrowDisk(t *testing.T) {
	for _, test := range []struct {
		name  string
		disk  disk
		ran   string
		fails bool
	}{
		{"on a data disk", disk{mounted: true}, "findmnt resize2fs", false},
		{"on the root disk", disk{}, "findmnt", false},
		{"on a disk that keeps its size", disk{mounted: true, stays: true}, "findmnt resize2fs", true},
	} {
		host := step.NewRecorder()
		host.Answer = test.disk.answer
		err := growDisk(t.Context(), host)
		if ran := strings.Join(test.disk.ran, " "); ran != test.ran || (err != nil) != test.fails {
			t.Errorf("%s: ran %s: %v", test.name, ran, err)
		}
		if last := host.Ran[len(host.Ran)-1].Argv; test.disk.mounted && strings.Join(last, " ") != "resize2fs /dev/vdb" {
			t.Errorf("%s: ran %v", test.name, last)
		}
	}
}

// A disk that does not grow is no reason to keep the machine from its work. Somebody else's disk keeps its size.
func TestBootGrowsItsOwnDisk(t *testing.T) {
	for name, test := range map[string]struct {
		owner diskOwner
		stays bool
		grows bool
	}{
		"its own":        {diskOwner{Cluster: "test", Node: "postgres-1"}, false, true},
		"a stubborn one": {diskOwner{Cluster: "test", Node: "postgres-1"}, true, true},
		"another's":      {diskOwner{Cluster: "test", Node: "postgres-2"}, false, false},
	} {
		host, _, _ := seeded(t, "postgres-1")
		put(t, host, ownerFile, test.owner)
		machine, err := Load(host)
		if err != nil {
			t.Fatal(err)
		}
		answers := disk{mounted: true, stays: test.stays}
		host.Answer = answers.answer
		var said strings.Builder
		b := &boot{host: host, machine: machine, report: newReporter(host, &said)}
		if err := b.disk(t.Context()); (err == nil) != test.grows {
			t.Errorf("%s: %v", name, err)
		}
		if grew := slices.Contains(answers.ran, "resize2fs"); grew != test.grows || strings.Contains(said.String(), "resize2fs") != test.stays {
			t.Errorf("%s: ran %v, said %q", name, answers.ran, said.String())
		}
	}
}

// A boot that ends at the data disk has its endpoint, which says so to the operator. Peers hear nothing of what the machine
// holds, which it does not know: an empty directory is no empty machine.
func TestARefusedDiskIsTold(t *testing.T) {
	host, _, _ := seeded(t, "postgres-1")
	put(t, host, ownerFile, diskOwner{Cluster: "test", Node: "postgres-2"})
	host.Answer = (&disk{mounted: true}).answer
	b := &boot{host: host, report: newReporter(host, io.Discard)}
	b.report.status.BootID = "b"
	var err error
	for _, p := range phases() {
		if p.name == "network" { // the address is another machine's than the test's
			continue
		}
		if err = b.report.begin(p.name); err == nil {
			err = p.run(b, t.Context())
		}
		if err != nil {
			break
		}
	}
	if err := b.report.finish(err); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(host.Ran, func(c step.Command) bool { return strings.Join(c.Argv, " ") == "systemctl start "+role.UnitAgent }) {
		t.Errorf("there is no endpoint: ran %v", host.Ran)
	}
	e := &endpoint{host: host, machine: b.machine, in: b.machine.inputs(cluster.Facts{BootID: "b"})}
	status, err := e.status(t.Context())
	if err != nil || status.Result != cluster.ResultRefused || status.Phase != "disk" || !strings.Contains(status.Reason, "postgres-2") || status.Hint == "" {
		t.Errorf("the operator hears %+v, %v", status, err)
	}
	var refusal *role.Refusal
	if o, err := e.observe(); !errors.As(err, &refusal) {
		t.Errorf("peers hear %+v, %v", o, err)
	}
	if _, err := e.rescueEtcd(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", http.NoBody)); !errors.As(err, &refusal) {
		t.Errorf("a rescue: %v", err)
	}
	if _, begun := host.Entries[string(etcd.Home)+"/formation.json"]; begun {
		t.Error("a record was begun on another's disk")
	}
	put(t, host, ownerFile, diskOwner{Cluster: "test", Node: "postgres-1"})
	if err := b.disk(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o, err := e.observe(); err != nil || o.Formation != cluster.FormationEmpty {
		t.Errorf("with its own disk peers hear %+v, %v", o, err)
	}
}

// What a peer says instead of an observation is the reason that a status names.
func TestObserveSaysWhyNot(t *testing.T) {
	for _, test := range []struct {
		body any
		want string
	}{
		{&failure{http.StatusConflict, "its data disk is not in its place", "its own status says why"}, "answered: its data disk is not in its place"},
		{"else", "answered: 409 Conflict"},
	} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusConflict, test.body) }))
		t.Cleanup(server.Close)
		client := server.Client()
		client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		}
		err := observe(t.Context(), client, cluster.Node{Name: "p", Address: netip.MustParseAddr("127.0.0.1")}, new(cluster.Observation))
		if err == nil || !strings.HasSuffix(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

// A disk is the machine's own by its name, its cluster's name, and the id that tells clusters of that name apart, which is taken up
// once by a disk from before there were ids, and not asked for by secrets from then.
func TestClaim(t *testing.T) {
	host, _, _ := seeded(t, "postgres-1")
	machine, err := Load(host)
	if err != nil {
		t.Fatal(err)
	}
	id, err := machine.Secrets.ClusterID()
	if err != nil || id == "" {
		t.Fatalf("the id is %q, %v", id, err)
	}
	without := machine
	without.Secrets.CA = ""
	own := diskOwner{Cluster: "test", ID: id, Node: "postgres-1"}
	for _, test := range []struct {
		name    string
		machine Machine
		have    diskOwner // zero: nobody's
		want    diskOwner // afterwards; zero: it is refused
	}{
		{"nobody's", machine, diskOwner{}, own},
		{"its own", machine, own, own},
		{"its own, from before there were ids", machine, diskOwner{Cluster: "test", Node: "postgres-1"}, own},
		{"its own, and its secrets have no id", without, own, own},
		{"nobody's, and its secrets have no id", without, diskOwner{}, diskOwner{Cluster: "test", Node: "postgres-1"}},
		{"another node's", machine, diskOwner{Cluster: "test", ID: id, Node: "postgres-2"}, diskOwner{}},
		{"another cluster's", machine, diskOwner{Cluster: "prod", Node: "postgres-1"}, diskOwner{}},
		{"another cluster's of the same name", machine, diskOwner{Cluster: "test", ID: "OTHER", Node: "postgres-1"}, diskOwner{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			host := step.NewRecorder()
			if test.have != (diskOwner{}) {
				put(t, host, ownerFile, test.have)
			}
			err := claim(host, test.machine)
			var refusal *role.Refusal
			if test.want == (diskOwner{}) {
				if !errors.As(err, &refusal) || refusal.Hint == "" {
					t.Errorf("%v, want a refusal", err)
				}
				test.want = test.have
			} else if err != nil {
				t.Error(err)
			}
			var got diskOwner
			if err := json.Unmarshal(host.Entries[ownerFile].Content, &got); err != nil || got != test.want {
				t.Errorf("afterwards it is %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

// A data directory that holds something and names no owner is nobody's to write to; what a failing power leaves is no data.
func TestClaimOfWhatNobodyClaims(t *testing.T) {
	for _, test := range []struct {
		holds   string
		content string
		refused bool
	}{
		{"/data/lost+found", "", false},
		{ownerFile + ".cincbake-77", "{", false},
		{"/data/photos/1.jpg", "", true},
		{"/data/postgres/17/PG_VERSION", "", true},
		{ownerFile, `{"cluster"`, true},
	} {
		host, _, _ := seeded(t, "postgres-1")
		machine, err := Load(host)
		if err != nil {
			t.Fatal(err)
		}
		host.Entries[test.holds] = step.Entry{Kind: step.KindFile, Content: []byte(test.content)}
		if dir := path.Dir(test.holds); dir != role.DataDir { // the recorder lists what it was given only
			host.Entries[dir] = step.Entry{Kind: step.KindDir}
			host.Entries[path.Join(role.DataDir, strings.Split(test.holds, "/")[2])] = step.Entry{Kind: step.KindDir}
		}
		err = claim(host, machine)
		var refusal *role.Refusal
		if errors.As(err, &refusal) != test.refused || err != nil && !test.refused || test.refused && refusal.Hint == "" {
			t.Errorf("%s: got %v, want a refusal: %v", test.holds, err, test.refused)
		}
		if entry := host.Entries[ownerFile]; test.refused && strings.Contains(string(entry.Content), "postgres-1") {
			t.Errorf("%s: refused, and claimed", test.holds)
		}
	}
}

// A disk that holds a database but no etcd record must not count as empty: forming over it would orphan the database.
func TestObservation(t *testing.T) {
	host, machine, record := member(t)
	want := cluster.Observation{Node: "postgres-1", Role: cluster.RolePostgres, Incarnation: record.Incarnation, Formation: cluster.FormationEmpty}
	got, err := machine.Observe(host)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("empty (-want +got):\n%s", diff)
	}
	host.Entries[postgres.Dir+"/13"] = step.Entry{Kind: step.KindDir}
	if got, err = machine.Observe(host); err != nil || got.Formation != cluster.FormationUnknown {
		t.Errorf("with a database: %v, %v", got.Formation, err)
	}
}

func TestStatusDocument(t *testing.T) {
	host := step.NewRecorder()
	r := newReporter(host, io.Discard)
	r.status.BootID = "boot-1"
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	look := func() cluster.Status {
		t.Helper()
		s, err := ReadStatus(host, "boot-1")
		must(err)
		return s
	}
	must(r.begin("join"))
	must(r.wait("no answer from heartbeat-1", "start it"))
	if s := look(); s.Result != cluster.ResultWaiting || s.Reason == "" || s.Hint == "" || s.Phase != "join" {
		t.Errorf("waiting: %+v", s)
	}
	must(r.resume())
	must(r.end())
	if s := look(); s.Result != cluster.ResultRunning || len(s.Phases) != 1 || s.Phases[0].Waited > s.Phases[0].Seconds {
		t.Errorf("after the phase: %+v", s)
	}
	must(r.finish(&role.Refusal{Reason: "unsafe", Hint: "do this"}))
	if s := look(); s.Result != cluster.ResultRefused || s.Hint != "do this" {
		t.Errorf("refused: %+v", s)
	}
	must(r.finish(nil))
	if s := look(); s.Result != cluster.ResultReady || s.Reason != "" {
		t.Errorf("ready: %+v", s)
	}
	// A document of an earlier boot says nothing about this one.
	if s, err := ReadStatus(host, "boot-2"); err != nil || s.Result == cluster.ResultReady {
		t.Errorf("a stale document counts: %+v, %v", s, err)
	}
}

// serve starts the endpoint of a machine on loopback, with the certificates that it has in production.
func serve(t *testing.T) (url string, r *cluster.Resolved, bundle *secrets.Bundle) {
	t.Helper()
	host, r, bundle := seeded(t, "postgres-1")
	machine, err := Load(host)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Home.Prepare(host); err != nil {
		t.Fatal(err)
	}
	if err := placeDisk(host); err != nil {
		t.Fatal(err)
	}
	e := &endpoint{host: host, machine: machine, in: machine.inputs(cluster.Facts{BootID: "b"})}
	config, err := machine.Secrets.ServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(e.routes())
	server.TLS = config
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, r, bundle
}

func TestEndpointAdmits(t *testing.T) {
	url, r, bundle := serve(t)
	peer, err := bundle.Scope(r.Nodes[1])
	if err != nil {
		t.Fatal(err)
	}
	asPeer, err := peer.ClientTLS()
	if err != nil {
		t.Fatal(err)
	}
	asOperator, err := bundle.OperatorTLS()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := secrets.Generate(r, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	asStranger, err := stranger.OperatorTLS()
	if err != nil {
		t.Fatal(err)
	}
	nobody := asPeer.Clone()
	nobody.Certificates = nil
	peerClient, operator := &http.Client{Transport: &http.Transport{TLSClientConfig: asPeer}}, &http.Client{Transport: &http.Transport{TLSClientConfig: asOperator}}
	strangerClient, nobodyClient := &http.Client{Transport: &http.Transport{TLSClientConfig: asStranger}}, &http.Client{Transport: &http.Transport{TLSClientConfig: nobody}}
	for _, test := range []struct {
		name   string
		client *http.Client
		method string
		path   string
		want   int // 0: no connection at all
	}{
		{"a peer observes", peerClient, "GET", "/v1/observation", 200},
		{"the operator observes", operator, "GET", "/v1/observation", 200},
		{"a peer asks for the status", peerClient, "GET", "/v1/status", 403},
		{"a peer asks the doctor", peerClient, "GET", "/v1/doctor", 403},
		{"a peer orders a switchover", peerClient, "POST", "/v1/switchover", 403},
		{"a peer orders a rescue", peerClient, "POST", "/v1/rescue/etcd", 403},
		{"a peer orders a rescue of the search", peerClient, "POST", "/v1/rescue/opensearch", 403},
		{"the operator rescues a search that is not here", operator, "POST", "/v1/rescue/opensearch", 409},
		{"the operator asks for the status", operator, "GET", "/v1/status", 200},
		{"the operator rescues a machine that needs none", operator, "POST", "/v1/rescue/etcd", 409},
		{"another cluster's operator", strangerClient, "GET", "/v1/observation", 0},
		{"nobody", nobodyClient, "GET", "/v1/observation", 0},
		{"an unknown route", operator, "GET", "/v1/nothing", 404},
	} {
		t.Run(test.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), test.method, url+test.path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			response, err := test.client.Do(request)
			if test.want == 0 {
				if err == nil {
					t.Fatalf("answered %s", response.Status)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode != test.want {
				body, _ := io.ReadAll(response.Body)
				t.Errorf("%s %s, want %d: %s", test.method, test.path, test.want, body)
			}
		})
	}
}

func TestScrubWaitsForTheMachinesOwnFiles(t *testing.T) {
	host, _, _ := seeded(t, "postgres-1")
	copied := "/var/lib/cloud/instances/i-1/user-data.txt"
	host.Entries["/var/lib/cloud/instances"] = step.Entry{Kind: step.KindDir}
	host.Entries[copied] = step.Entry{Kind: step.KindFile}
	secretsFile := host.Entries[cloudinit.SecretsPath]
	delete(host.Entries, cloudinit.SecretsPath)
	agent := Agent{Host: host, Out: io.Discard}
	if err := agent.Scrub(t.Context()); err == nil {
		t.Error("scrubbed without the machine's own secrets")
	}
	if _, ok := host.Entries[copied]; !ok {
		t.Fatal("the only copy is gone")
	}
	host.Entries[cloudinit.SecretsPath] = secretsFile
	if err := agent.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := host.Entries[copied]; ok {
		t.Error("cloud-init's copy is still there")
	}
	if _, ok := host.Entries["/etc/cloud/cloud-init.disabled"]; !ok {
		t.Error("cloud-init is still on")
	}
}
