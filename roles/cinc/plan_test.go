package cinc

import (
	"bytes"
	"context"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

func decode(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// written is the file that a node's plan writes at path, applied to a host in memory.
func written(t *testing.T, in role.Inputs, path string) step.File {
	t.Helper()
	for _, s := range both(t, in) {
		if file, ok := s.Action.(step.File); ok && file.Path == path {
			return file
		}
	}
	t.Fatalf("no step writes %s", path)
	return step.File{}
}

// both is Files and Configure.
func both(t *testing.T, in role.Inputs) step.Plan {
	t.Helper()
	files, err := Files(in)
	if err != nil {
		t.Fatal(err)
	}
	configure, err := Configure(in)
	if err != nil {
		t.Fatal(err)
	}
	return append(files, configure...)
}

// server is a machine with the package, and what reconfigure does there.
type server struct {
	*step.Recorder
	reconfigures int
	found        []byte // the store as the last reconfigure found it
	fail         string // what reconfigure prints when it fails; empty: it succeeds
}

func newServer() *server {
	s := &server{Recorder: step.NewRecorder()}
	s.Entries[trustFile] = step.Entry{Kind: step.KindFile, Mode: 0o644, Owner: "root", Group: "root", Content: []byte("public authorities\n")}
	s.Answer = func(command step.Command) (step.Output, error) {
		switch line := strings.Join(command.Argv, " "); {
		case strings.Contains(line, "pg_is_in_recovery"):
			return step.Output{Stdout: []byte("f\n")}, nil
		case !strings.HasSuffix(line, Ctl+" reconfigure"):
			return step.Output{}, nil
		}
		s.reconfigures++
		s.found = s.Entries[StoreFile].Content
		rewritten := s.Entries[StoreFile]
		rewritten.Content = []byte("in Cinc Server's own form, with a key of its own")
		s.Entries[StoreFile] = rewritten
		if s.fail != "" {
			return step.Output{Stdout: []byte(s.fail)}, &step.ExitError{Argv: command.Argv, Status: 1}
		}
		s.Entries[runningFile] = step.Entry{Kind: step.KindFile, Mode: 0o600}
		return step.Output{}, nil
	}
	return s
}

func (s *server) boot(t *testing.T, in role.Inputs) error {
	t.Helper()
	_, err := both(t, in).Apply(t.Context(), s, nil)
	return err
}

func TestReconfigureOnlyForSomethingNew(t *testing.T) {
	in, s := inputsOf(selfHosted), newServer()
	expect := func(why string, want int) {
		t.Helper()
		if err := s.boot(t, in); err != nil {
			t.Fatal(err)
		}
		if s.reconfigures != want {
			t.Errorf("%s: %d reconfigures so far, want %d", why, s.reconfigures, want)
		}
	}
	expect("the first boot", 1)
	expect("nothing new, although Cinc Server rewrote its store", 1)
	in.Secrets.Front.Certificate = "renewed\n"
	expect("nginx is told of a renewed certificate", 1)
	if last := s.Ran[len(s.Ran)-1]; strings.Join(last.Argv, " ") != Ctl+" hup nginx" {
		t.Errorf("nginx was not told: %v", last.Argv)
	}
	in.Cluster.Cinc.Settings = map[string]map[string]any{"nginx": {"keepalive_timeout": 30}}
	expect("a new setting", 2)
	in.Secrets.Cinc.Search = in.Secrets.Cinc.RedisPassword
	expect("a new secret", 3)
	delete(s.Entries, runningFile)
	expect("the record of the last success is gone", 4)
}

// A failed bootstrap leaves a superuser's key in the store; the next attempt must find the store without it, or Cinc Server
// takes the machine for one that joins.
func TestFailedBootstrapIsTriedAgainFromTheSeed(t *testing.T) {
	in, s := inputsOf(selfHosted), newServer()
	in.Joined.API.Bootstrap = true
	seed := written(t, in, SecretsFile).Content
	s.fail = "PG::ConnectionBad: connection refused"
	var notYet *role.NotYet
	if err := s.boot(t, in); err == nil || errors.As(err, &notYet) || !strings.Contains(err.Error(), "begins anew") {
		t.Fatalf("got %v, want a failure: the databases must be looked at before another try", err)
	}
	s.fail = ""
	if err := s.boot(t, in); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.found, seed) || bytes.Contains(seed, []byte("superuser_key")) {
		t.Errorf("the second attempt found the store\n%s", s.found)
	}
	// Made: from now on the machine is like every other, and nothing is new to it.
	in.Joined.API.Bootstrap = false
	if err := s.boot(t, in); err != nil {
		t.Fatal(err)
	}
	if store := s.Entries[StoreFile].Content; !bytes.Contains(store, []byte("planted-superuser-key")) || s.reconfigures != 2 {
		t.Errorf("after %d reconfigures the store is\n%s", s.reconfigures, store)
	}
}

// What an earlier attempt left is forgotten once for each attempt, and a reconfigure that came to its end is not repeated
// within one.
func TestAttempts(t *testing.T) {
	in, s := inputsOf(selfHosted), newServer()
	in.Joined.API.Bootstrap = true
	for i, attempt := range []string{"one", "two"} {
		in.Joined.API.Attempt = attempt
		s.Entries[SentinelFile] = step.Entry{Kind: step.KindFile}
		s.Entries[stampFile] = step.Entry{Kind: step.KindFile, Content: []byte("of another time\n")}
		if err := s.boot(t, in); err != nil {
			t.Fatal(err)
		}
		if _, there := s.Entries[SentinelFile]; there || s.reconfigures != i+1 {
			t.Errorf("attempt %s: the sentinel is there: %v; %d reconfigures", attempt, there, s.reconfigures)
		}
	}
}

func TestWhoWritesTheSentinels(t *testing.T) {
	for _, test := range []struct {
		name      string
		topology  string
		bootstrap bool
		want      bool
	}{
		{"a machine that joins", selfHosted, false, true},
		{"the machine that makes the databases", selfHosted, true, false},
		{"a standalone server, whose disk has them", standalone, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			in, s := inputsOf(test.topology), newServer()
			in.Joined.API.Bootstrap = test.bootstrap
			if err := s.boot(t, in); err != nil {
				t.Fatal(err)
			}
			sentinel, there := s.Entries[SentinelFile]
			level := s.Entries[LevelFile]
			if there != test.want || test.want && (string(level.Content) != `{"major":1,"minor":37}` || sentinel.Mode != 0o644) {
				t.Errorf("sentinel %v, migration level %q", there, level.Content)
			}
		})
	}
}

// On a machine that joins, all four files are there before the first reconfigure.
func TestJoinWritesItsFilesFirst(t *testing.T) {
	position := map[string]int{}
	for i, s := range both(t, inputsOf(managed)) {
		switch action := s.Action.(type) {
		case step.File:
			position[action.Path] = i
		case fill:
			position[StoreFile] = i
		case reconfigure:
			position["reconfigure"] = i
		}
	}
	for _, path := range []string{ConfigFile, StoreFile, SentinelFile, LevelFile, keyFile, searchPassword, goFile} {
		if at, ok := position[path]; !ok || at >= position["reconfigure"] {
			t.Errorf("%s is not written before the first reconfigure", path)
		}
	}
}

func TestHooks(t *testing.T) {
	in, s := inputsOf(managed), newServer()
	in.Cluster.Cinc.PreConfigure = []string{"/usr/local/bin/pre", "a b"}
	in.Cluster.Cinc.PostReady = []string{"/usr/local/bin/post"}
	ready := Ready(in)
	post := ready[len(ready)-1]
	for range 2 {
		if err := s.boot(t, in); err != nil {
			t.Fatal(err)
		}
		if err := post.Run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	var order []string
	for _, command := range s.Ran {
		if name := command.Argv[0]; strings.HasPrefix(name, "/usr/local/bin/") {
			order = append(order, strings.Join(command.Argv, "|"))
		} else if name == "systemd-run" {
			order = append(order, "reconfigure")
		}
	}
	if got, want := strings.Join(order, ", "), "/usr/local/bin/pre|a b, reconfigure, /usr/local/bin/post"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// What Cinc Server prints decides, its status does not.
func TestExplain(t *testing.T) {
	for _, test := range []struct {
		printed string
		kind    any // *role.NotYet, *role.Refusal, or nil: unchanged
		says    string
	}{
		{"FATAL: PG::ConnectionBad: could not connect", new(*role.NotYet), "(PG::ConnectionBad)"},
		{"CSPG011: I could not authenticate", new(*role.NotYet), "(CSPG011)"},
		{"PG::InternalError: ERROR:  tuple concurrently updated", new(*role.NotYet), "another API node"},
		{"CSPG014: currently requires PostgreSQL version 9.6", new(*role.Refusal), "version (CSPG014)"},
		{"BOOT010: Unable to configure", new(*role.Refusal), "(BOOT010)"},
		{"BOOT011: Unable to configure", new(*role.Refusal), "(BOOT011)"},
		{"Unsupported Opensearch version of 2.", new(*role.Refusal), "search's version"},
		{"OPENSEARCH009: warning\nsomething else failed", nil, "exit status 1"},
	} {
		failed := &step.ExitError{Argv: []string{"x"}, Status: 1}
		err := explain(test.printed, failed)
		if test.kind != nil && !errors.As(err, test.kind) || test.kind == nil && !errors.Is(err, failed) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: got %T %v", test.printed, err, err)
		}
	}
	// Every way on is stated.
	for _, f := range failures() {
		if f.reason == "" || f.hint == "" {
			t.Errorf("%s lacks words", f.pattern)
		}
	}
}

// No secret is where others can read it: in a title, a reason, an argument, an environment, or a file that is not root's
// alone.
func TestPlantedSecrets(t *testing.T) {
	for _, topology := range topologies() {
		in := inputsOf(topology)
		plan := both(t, in)
		if in.Self.Role == cluster.RoleAPI {
			reach := append(plan, step.Step{Action: login{DatabaseOf(in)}}, step.Step{Action: md5Roles{DatabaseOf(in)}})
			if text := reach.Describe(); strings.Contains(text, "planted") {
				t.Errorf("%s: a description holds a secret:\n%s", topology, text)
			}
		}
		if text := plan.Describe(); strings.Contains(text, "planted") {
			t.Errorf("%s: a description holds a secret:\n%s", topology, text)
		}
		s := newServer()
		if _, err := plan.Apply(t.Context(), s, nil); err != nil {
			t.Fatal(err)
		}
		for _, command := range s.Ran {
			if strings.Contains(strings.Join(append(command.Argv, command.Env...), " "), "planted") {
				t.Errorf("%s: a secret among the arguments of %s", topology, command.Argv[0])
			}
		}
		for path, entry := range s.Entries {
			if bytes.Contains(entry.Content, []byte("planted")) && entry.Mode != 0o600 {
				t.Errorf("%s: %s holds a secret and has mode %04o", topology, path, entry.Mode)
			}
		}
	}
}

func TestMissingSecretsAreNamed(t *testing.T) {
	in := inputsOf(managed)
	in.Secrets.Cinc = nil
	if _, err := Files(in); err == nil || !strings.Contains(err.Error(), "secrets init") {
		t.Errorf("got %v", err)
	}
}

func TestTrustIsOurPartAlone(t *testing.T) {
	s := newServer()
	apply := func(certificates string) {
		t.Helper()
		plan := step.Plan{{Action: trust{[]byte(certificates)}}}
		for _, want := range []int{1, 0} { // and the second time nothing
			if changed, err := plan.Apply(t.Context(), s, nil); err != nil || changed != want {
				t.Fatalf("changed %d, want %d, %v", changed, want, err)
			}
		}
	}
	apply("old\n")
	apply("new\n")
	want := "public authorities\n" + trustBegin + "new\n" + trustEnd
	if got := string(s.Entries[trustFile].Content); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	delete(s.Entries, trustFile)
	if _, err := (step.Plan{{Action: trust{}}}).Apply(t.Context(), s, nil); err == nil {
		t.Error("a package without its bundle must be refused")
	}
}

func TestMemory(t *testing.T) {
	for bytes, enough := range map[uint64]bool{3<<30 - 1: false, 3 << 30: true} {
		_, err := (step.Plan{{Action: memory{bytes}}}).Apply(context.Background(), newServer(), nil)
		var refusal *role.Refusal
		if enough != (err == nil) || !enough && !errors.As(err, &refusal) {
			t.Errorf("%d bytes: %v", bytes, err)
		}
	}
}

// The baked group is the one that it claims to be: 2048 bits, a safe prime, generator 2, and the first and last 64 bits set.
func TestDHParam(t *testing.T) {
	block, rest := pem.Decode([]byte(dhparam))
	if block == nil || block.Type != "DH PARAMETERS" || len(rest) > 0 {
		t.Fatal("no PEM block of parameters, or more than one")
	}
	var group struct{ P, G *big.Int }
	if _, err := asn1.Unmarshal(block.Bytes, &group); err != nil {
		t.Fatal(err)
	}
	half := new(big.Int).Rsh(group.P, 1)
	ones := new(big.Int).SetUint64(1<<64 - 1)
	if group.P.BitLen() != 2048 || group.G.Int64() != 2 || !group.P.ProbablyPrime(8) || !half.ProbablyPrime(8) ||
		new(big.Int).Rsh(group.P, 2048-64).Cmp(ones) != 0 || new(big.Int).And(group.P, ones).Cmp(ones) != 0 {
		t.Error("not ffdhe2048 of RFC 7919")
	}
}
