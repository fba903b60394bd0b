package cinc

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

func TestLogin(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer string
		err    error
		says   string // of the reason to wait; empty: it is the primary
	}{
		{"primary", "f", nil, ""},
		{"standby", "t", nil, "is a standby"},
		{"refused", "", &databaseError{"57P03", "the database system is starting up"}, "the database system is starting up (57P03)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			database := startServer(t, func(string) (string, error) { return test.answer, test.err })
			err := database.Reachable(t.Context())
			var notYet *role.NotYet
			if test.says == "" && err != nil || test.says != "" && (!errors.As(err, &notYet) || !strings.Contains(notYet.Reason, test.says)) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("nobody", func(t *testing.T) {
		err := Database{address: "127.0.0.1:1"}.Reachable(t.Context())
		var notYet *role.NotYet
		if !errors.As(err, &notYet) || !strings.Contains(notYet.Reason, "connection refused") || strings.Contains(notYet.Reason, "\n") {
			t.Errorf("got %v", err)
		}
	})
}

// The owner's role is changed once, and only on a database that is not the cluster's own.
func TestMD5Roles(t *testing.T) {
	encryption := "scram-sha-256"
	database := startServer(t, func(statement string) (string, error) {
		if strings.HasPrefix(statement, "alter role current_user") {
			encryption = "md5"
		}
		return encryption, nil
	})
	plan := step.Plan{{Action: md5Roles{database}}}
	for _, want := range []int{1, 0} {
		if changed, err := plan.Apply(t.Context(), step.NewRecorder(), nil); err != nil || changed != want {
			t.Errorf("changed %d, want %d, %v", changed, want, err)
		}
	}
	for topology, want := range map[string]int{managed: 3, externalDatabase: 3, selfHosted: 2, externalSearch: 2} {
		if got := len(Reach(inputsOf(topology))); got != want {
			t.Errorf("%s: %d steps to reach the other tiers, want %d", topology, got, want)
		}
	}
}

func TestSearchAnswers(t *testing.T) {
	for _, test := range []struct {
		name     string
		topology string
		version  string
		health   string
		password string
		kind     any // *role.NotYet, *role.Refusal, or nil
	}{
		{"green", selfHosted, "1.3.20", "green", "planted-search", nil},
		{"yellow", selfHosted, "1.3.20", "yellow", "planted-search", nil},
		{"red, which a reindex mends", selfHosted, "1.3.20", "red", "planted-search", nil},
		{"another password", selfHosted, "1.3.20", "green", "other", new(*role.NotYet)},
		{"another major", selfHosted, "2.11.0", "green", "planted-search", new(*role.Refusal)},
		{"external, whose health is not asked", managed, "1.3.20", "", "planted-search", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := inputsOf(test.topology)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				user, password, _ := r.BasicAuth()
				switch {
				case user != SearchUser(in) || password != test.password:
					w.WriteHeader(http.StatusUnauthorized)
				case r.URL.Path == "/":
					fmt.Fprintf(w, `{"version":{"number":%q}}`, test.version) //nolint:errcheck // a test's answer
				case r.URL.Path == "/_cluster/health" && test.health != "":
					fmt.Fprintf(w, `{"status":%q}`, test.health) //nolint:errcheck // a test's answer
				default:
					w.WriteHeader(http.StatusForbidden)
				}
			}))
			defer server.Close()
			err := searchAnswers{in, server.URL}.try(t.Context())
			if test.kind == nil && err != nil || test.kind != nil && !errors.As(err, test.kind) {
				t.Errorf("got %T %v", err, err)
			}
			if err != nil && strings.Contains(err.Error(), "planted") {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

// nginx is a server that answers as Cinc Server does.
func nginx(t *testing.T, status int, body string) front {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Host != "chef.example.com" || r.TLS.ServerName != "chef.example.com":
			w.WriteHeader(http.StatusNotFound)
		case r.URL.Path == "/_status":
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		case r.URL.Path == "/organizations/x/nodes" && r.Header.Get("X-Chef-Version") != "":
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(server.Close)
	return front{
		address: server.Listener.Addr().String(), domain: "chef.example.com",
		certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
	}
}

func TestStatus(t *testing.T) {
	for _, test := range []struct {
		status int
		body   string
		says   string
	}{
		{200, `{"status":"pong","upstreams":{"chef_sql":"pong"}}`, ""},
		{500, `{"status":"fail","upstreams":{"oc_chef_authz":"pong","chef_sql":"fail","chef_opensearch":"fail"}}`, "failing: chef_opensearch, chef_sql"},
		{500, `{"status":"pong"}`, "500"},
		{200, `<html>`, "without a document"},
	} {
		err := nginx(t, test.status, test.body).status(t.Context())
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%d %s: got %v", test.status, test.body, err)
		}
	}
}

func TestRouting(t *testing.T) {
	if err := nginx(t, 200, "").routing(t.Context()); err != nil {
		t.Error(err)
	}
	other := nginx(t, 200, "")
	other.domain = "other.example.com"
	if err := other.routing(t.Context()); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("got %v", err)
	}
}

func TestAnotherCertificateIsNoticed(t *testing.T) {
	f := nginx(t, 200, `{"status":"pong"}`)
	f.certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("renewed")}))
	if err := f.status(t.Context()); err == nil || !strings.Contains(err.Error(), "another certificate") {
		t.Errorf("got %v", err)
	}
	if err := f.verify(tls.ConnectionState{}); err == nil {
		t.Error("no certificate at all must be refused")
	}
}

func TestHolds(t *testing.T) {
	host := step.NewRecorder()
	if err := holdsOnly(host, ConfigDir, "tls"); err != nil {
		t.Errorf("a directory that is not there holds nothing: %v", err)
	}
	host.Entries[ConfigDir+"/tls"] = step.Entry{Kind: step.KindDir}
	if err := holdsOnly(host, ConfigDir, "tls"); err != nil {
		t.Error(err)
	}
	host.Entries[runningFile] = step.Entry{Kind: step.KindFile}
	if err := holdsOnly(host, ConfigDir, "tls"); err == nil || !strings.Contains(err.Error(), runningFile) {
		t.Errorf("got %v", err)
	}
}

// A sealed image holds the recipe's package, and nothing that a reconfigure leaves behind.
func TestVerify(t *testing.T) {
	recipe := cluster.Recipe{Package: cluster.RecipePackage{Version: "15.10.91"}}
	sealed := func() *step.Recorder {
		host := step.NewRecorder()
		for _, file := range []string{ConfigFile, dhparamFile} {
			host.Entries[file] = step.Entry{Kind: step.KindFile}
		}
		host.Entries[tlsDir] = step.Entry{Kind: step.KindDir}
		host.Answer = func(command step.Command) (step.Output, error) {
			if command.Argv[0] == "dpkg-query" {
				return step.Output{Stdout: []byte("ii  15.10.91-1")}, nil
			}
			return step.Output{Stdout: []byte("not-found\n")}, nil
		}
		return host
	}
	failed := func(host step.Host, recipe cluster.Recipe) string {
		var names []string
		for _, check := range Verify(recipe) {
			if err := check.Run(t.Context(), host); err != nil {
				names = append(names, check.Name)
			}
		}
		return strings.Join(names, " ")
	}
	if got := failed(sealed(), recipe); got != "" {
		t.Errorf("a right image fails %s", got)
	}
	if got := failed(sealed(), cluster.Recipe{Package: cluster.RecipePackage{Version: "15.10.90"}}); got != "cinc-version" {
		t.Errorf("another version fails %q", got)
	}
	for path, want := range map[string]string{
		StoreFile: "cinc-unconfigured", runningFile: "cinc-unconfigured", ConfigDir + "/pivotal.pem": "cinc-unconfigured",
		keyFile: "cinc-unconfigured", SentinelFile: "cinc-empty",
	} {
		host := sealed()
		host.Entries[path] = step.Entry{Kind: step.KindFile}
		if got := failed(host, recipe); got != want {
			t.Errorf("%s in an image fails %q, want %q", path, got, want)
		}
	}
}
