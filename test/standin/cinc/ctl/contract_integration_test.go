//go:build integration

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// missing ends a test that the machine can't run.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CINCBAKE_REQUIRE") == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}

const ownerPassword = "owner-password"

// postgres starts a throw-away server as user postgres, with the owner of the databases that cincbake makes: no superuser.
func postgres(t *testing.T) server {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		missing(t, "no PostgreSQL: apt-get install postgresql")
	}
	owner, err := user.Lookup("postgres")
	if err != nil || os.Getuid() != 0 {
		missing(t, "only root can start PostgreSQL as user postgres: apt-get install postgresql")
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	dir, err := os.MkdirTemp("", "cinc-standin-pg-") //nolint:usetesting // t.TempDir is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("super\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, password} {
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	port := freePort(t)
	bin, data := found[len(found)-1], filepath.Join(dir, "data")
	command := func(name string, arguments ...string) *exec.Cmd {
		c := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(bin, name), arguments...)
		c.Dir = dir
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		return c
	}
	if out, err := command("initdb", "-D", data, "-A", "md5", "-U", "super", "--pwfile", password, "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	var log bytes.Buffer
	running := command("postgres", "-D", data, "-k", dir, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "password_encryption=md5")
	running.Stdout, running.Stderr = &log, &log
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = running.Process.Signal(syscall.SIGQUIT)
		_ = running.Wait()
	})
	super := server{host: "127.0.0.1", port: port, user: "super", password: "super", sslmode: "disable"}
	var conn *pgx.Conn
	if err := retry(t.Context(), 100*time.Millisecond, 8, func() (err error) {
		conn, err = super.connect(t.Context(), "postgres")
		return err
	}); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	for _, statement := range []string{
		"CREATE USER cinc_owner CREATEDB CREATEROLE PASSWORD '" + ownerPassword + "'",
		"CREATE USER nobody PASSWORD '" + ownerPassword + "'",
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return super
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // only asked for its number
	return l.Addr().(*net.TCPAddr).Port
}

// fakeSearch is an OpenSearch of a version that has the index once it was made.
func fakeSearch(t *testing.T, version string) string {
	t.Helper()
	var mu sync.Mutex
	made := false
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		name, password, _ := r.BasicAuth()
		switch {
		case name != "cinc" || password != "search-password":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/":
			fmt.Fprintf(w, `{"version":{"number":%q}}`, version)
		case r.URL.Path == "/chef" && r.Method == http.MethodPut && !made:
			made = true
		case r.URL.Path == "/chef" && r.Method == http.MethodPut:
			w.WriteHeader(http.StatusBadRequest)
		case r.URL.Path == "/chef" && !made:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// machine is one node: its root, and what its last reconfigure printed.
type machine struct {
	invocation
	printed *bytes.Buffer
}

// goiardiSchema is where Debian's package has it; where that is not installed, a minimal one stands in for it.
const goiardiSchema = "/usr/share/goiardi/sql-files/sql-files/goiardi-schema-postgres.sql"

func newMachine(t *testing.T) machine {
	t.Helper()
	root := t.TempDir()
	printed := &bytes.Buffer{}
	m := machine{printed: printed, invocation: invocation{
		layout: layout{root}, out: printed, wait: time.Millisecond, newest: 99, memory: 8 << 30,
		system: func(_ context.Context, argv ...string) error {
			if argv[1] == "is-active" {
				return errors.New("there is no systemd in a test")
			}
			return nil
		},
		owner: func() (int, int, error) { return os.Getuid(), os.Getgid(), nil },
	}}
	schema, err := os.ReadFile(goiardiSchema)
	if err != nil {
		schema = []byte("CREATE SCHEMA goiardi;\nCREATE TABLE goiardi.users (id bigserial, name text, displayname text, admin boolean, public_key text, passwd text, salt bytea, created_at timestamptz, updated_at timestamptz);\n" +
			"COMMENT ON EXTENSION plpgsql IS 'not the owner''s';\nCREATE TABLE goiardi.organizations (id bigint, name text);\nCOPY goiardi.organizations (id, name) FROM stdin;\n1\tdefault\n\\.\n\n")
	}
	for path, content := range map[string]string{
		m.trust(): "", m.schema(): string(schema), m.in("/etc/cron.hourly/.placeholder"): "", m.in("/password"): "search-password\n",
	} {
		if err := write(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// lines is cinc-server.rb as cincbake writes it.
func (m machine) lines(s server, search string) []string {
	return []string{
		"# Written by cincbake", "topology 'standalone'", "api_fqdn 'chef.example.com'", "insecure_addon_compat false",
		"postgresql['external'] = true", "postgresql['vip'] = '127.0.0.1'", "postgresql['port'] = " + strconv.Itoa(s.port), "postgresql['db_superuser'] = 'cinc_owner'",
		"opensearch['external'] = true", "opensearch['external_url'] = '" + search + "'",
		"opscode_erchef['search_provider'] = 'opensearch'", "opscode_erchef['search_queue_mode'] = 'batch'",
		"opscode_erchef['search_auth_username'] = 'cinc'", "opscode_erchef['search_auth_password'] = File.read('" + m.in("/password") + "').strip",
		"bookshelf['storage_type'] = :sql",
	}
}

func (m machine) configure(t *testing.T, lines []string) {
	t.Helper()
	if err := write(m.configuration(), []byte(strings.Join(lines, "\n")+"\n"), 0o640); err != nil {
		t.Fatal(err)
	}
}

func (m machine) reconfigure(t *testing.T) int {
	t.Helper()
	m.printed.Reset()
	return run(t.Context(), []string{"reconfigure"}, m.invocation, m.printed)
}

// put writes a store in the plain form.
func (m machine) put(t *testing.T, secrets map[string]map[string]string) {
	t.Helper()
	content, err := json.Marshal(secrets)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(m.store(), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// secretsOf returns all secrets: once all of them, and once without the superuser's key.
func secretsOf(t *testing.T) (full, seed map[string]map[string]string) {
	t.Helper()
	made := store{}
	made.set("postgresql", "db_superuser_password", ownerPassword, false)
	made.set("opscode_erchef", "search_auth_password", "search-password", false)
	if err := made.fill(layout{t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	if err := made.addKeys(); err != nil {
		t.Fatal(err)
	}
	full, seed = map[string]map[string]string{}, map[string]map[string]string{}
	for group, names := range made {
		full[group], seed[group] = map[string]string{}, map[string]string{}
		for name, c := range names {
			full[group][name] = c.Value
			if name != "superuser_key" {
				seed[group][name] = c.Value
			}
		}
	}
	return full, seed
}

// wipe drops everything that a reconfigure makes.
func wipe(t *testing.T, s server) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // it is a test's last act
	conn, err := s.connect(ctx, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // every statement was answered
	for _, d := range databases() {
		for _, statement := range []string{"DROP DATABASE IF EXISTS " + d.name + " WITH (FORCE)", "DROP ROLE IF EXISTS " + d.user, "DROP ROLE IF EXISTS " + d.user + "_ro"} {
			if _, err := conn.Exec(ctx, statement); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func execute(t *testing.T, s server, database, statement string) {
	t.Helper()
	conn, err := s.connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // every statement was answered
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// What the database holds before a row.
const (
	nothing   = "no databases"
	usersOnly = "users, no databases"
	half      = "opscode_chef without tables"
	noPivotal = "databases without pivotal"
	pivotal   = "databases with pivotal"
	orgs      = "databases with pivotal and an organization"
)

// What the store holds.
const (
	empty = "no store"
	seed  = "all but superuser_key"
	full  = "all"
)

// leaves is what there is afterwards.
type leaves struct {
	Running, Sentinel, Level, Key, Pem, Pivotal bool
}

// The contract, by hand from what is known of Cinc Server.
func TestContract(t *testing.T) {
	s := postgres(t)
	fullSecrets, seedSecrets := secretsOf(t)
	if _, err := os.Stat(goiardiSchema); err != nil {
		t.Log("goiardi is not installed here: a minimal schema takes its place")
	}
	for _, row := range []struct {
		store                  string
		pem, running, sentinel bool
		database               string
		version                string // of the search; 1.3.20 when empty
		exit                   int
		says                   string
		want                   leaves
	}{
		{store: empty, database: nothing, exit: 1, says: "PG::ConnectionBad"}, // the owner's password is a secret, too
		{store: seed, database: nothing, want: leaves{Running: true, Sentinel: true, Level: true, Key: true, Pivotal: true}},
		{store: seed, database: usersOnly, want: leaves{Running: true, Sentinel: true, Level: true, Key: true, Pivotal: true}},
		{store: seed, database: noPivotal, want: leaves{Running: true, Sentinel: true, Level: true, Key: true, Pivotal: true}},
		{store: seed, database: pivotal, exit: 1, says: "BOOT010", want: leaves{Pivotal: true}},
		{store: seed, sentinel: true, database: pivotal, exit: 1, says: "BOOT010", want: leaves{Sentinel: true, Pivotal: true}},
		{store: seed, sentinel: true, database: nothing, want: leaves{Running: true, Sentinel: true, Key: true}},
		{store: seed, database: half, exit: 1, says: "PG::UndefinedTable", want: leaves{Key: true}},
		{store: seed, database: nothing, version: "2.11.0", exit: 1, says: "Unsupported Opensearch version of 2", want: leaves{Key: true}},

		{store: full, database: pivotal, want: leaves{Running: true, Key: true, Pivotal: true}},
		{store: full, sentinel: true, database: pivotal, want: leaves{Running: true, Sentinel: true, Key: true, Pivotal: true}},
		{store: full, sentinel: true, database: orgs, want: leaves{Running: true, Sentinel: true, Key: true, Pivotal: true}},
		{store: full, database: nothing, exit: 1, says: "BOOT011", want: leaves{Key: true}},
		{store: full, sentinel: true, database: nothing, exit: 1, says: "BOOT011", want: leaves{Sentinel: true, Key: true}},
		{store: full, database: noPivotal, exit: 1, says: "BOOT011", want: leaves{Key: true}},
		{store: full, database: half, exit: 1, says: "BOOT011", want: leaves{Key: true}},

		// A key on disk is taken into the store; without insecure_addon_compat its file is then removed.
		{store: seed, pem: true, database: pivotal, want: leaves{Running: true, Key: true, Pivotal: true}},
		{store: seed, pem: true, database: nothing, exit: 1, says: "BOOT011", want: leaves{Pem: true}},

		{store: full, running: true, sentinel: true, database: pivotal, want: leaves{Running: true, Sentinel: true, Key: true, Pivotal: true}},
		{store: full, running: true, sentinel: true, database: nothing, want: leaves{Running: true, Sentinel: true, Key: true}},
		{store: full, running: true, database: pivotal, exit: 1, says: "is running externally and cannot be managed", want: leaves{Running: true, Key: true, Pivotal: true}},
		{store: full, running: true, database: noPivotal, exit: 1, says: "is running externally and cannot be managed", want: leaves{Running: true, Key: true}},

		// Without a store, the owner's password comes from cinc-server.rb.
		{store: "rb", database: nothing, want: leaves{Running: true, Sentinel: true, Level: true, Key: true, Pivotal: true}},
		{store: "rb", database: noPivotal, exit: 1, says: "CSPG016"},
		{store: "rb", database: half, exit: 1, says: "CSPG016"},
		{store: "rb", database: usersOnly, exit: 1, says: "CSPG017"},
		{store: "rb", database: pivotal, exit: 1, says: "BOOT010", want: leaves{Pivotal: true}},
		{store: "rb", pem: true, database: pivotal, exit: 1, says: "BOOT010", want: leaves{Pem: true, Pivotal: true}},
		{store: "rb", pem: true, database: nothing, want: leaves{Running: true, Key: true}}, // the bootstrap is skipped, silently
	} {
		name := fmt.Sprintf("store %s, pem %v, running %v, sentinel %v, %s %s", row.store, row.pem, row.running, row.sentinel, row.database, row.version)
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { wipe(t, s) })
			prepare(t, s, row.database, seedSecrets)
			m := newMachine(t)
			version := "1.3.20"
			if row.version != "" {
				version = row.version
			}
			lines := m.lines(s, fakeSearch(t, version))
			switch row.store {
			case seed:
				m.put(t, seedSecrets)
			case full:
				m.put(t, fullSecrets)
			case "rb":
				lines = append(lines, "postgresql['db_superuser_password'] = '"+ownerPassword+"'")
			}
			m.configure(t, lines)
			files := map[string]string{}
			if row.pem {
				files[m.pivotal()] = fullSecrets["chef-server"]["superuser_key"]
			}
			if row.running {
				files[m.running()] = `{"private_chef":{"postgresql":{"external":true},"bookshelf":{"storage_type":"sql"}}}`
			}
			if row.sentinel {
				files[m.sentinel()] = ""
			}
			for path, content := range files {
				if err := write(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			before, _ := os.ReadFile(m.store())

			exit := m.reconfigure(t)
			if exit != row.exit || !strings.Contains(m.printed.String(), row.says) {
				t.Errorf("exit %d, want %d and %q in:\n%s", exit, row.exit, row.says, m.printed)
			}
			for line := range strings.Lines(m.printed.String()) {
				if !strings.HasPrefix(line, label) {
					t.Errorf("not labelled: %s", line)
				}
			}
			if diff := cmp.Diff(row.want, m.left(t, s)); diff != "" {
				t.Errorf("left behind (-want +got):\n%s%s", diff, m.printed)
			}
			after, _ := os.ReadFile(m.store())
			refused := strings.HasPrefix(row.says, "BOOT") || strings.HasPrefix(row.says, "CSPG")
			if refused && !bytes.Equal(before, after) {
				t.Error("the preflight refused, and the store has changed")
			}
			if row.exit == 0 {
				m.checkStore(t, before)
			}
			if row.database == orgs {
				execute(t, s, "opscode_chef", "DO $$ BEGIN IF NOT EXISTS (SELECT FROM orgs WHERE name = 'acme') THEN RAISE 'gone'; END IF; END $$")
			}
		})
	}
}

// prepare brings the database into a state.
func prepare(t *testing.T, s server, state string, secrets map[string]map[string]string) {
	t.Helper()
	switch state {
	case nothing:
		return
	case usersOnly:
		execute(t, s.as("cinc_owner", ownerPassword), "template1", "CREATE USER bifrost; GRANT bifrost TO cinc_owner")
		return
	case half:
		execute(t, s.as("cinc_owner", ownerPassword), "template1", "CREATE DATABASE opscode_chef")
		return
	}
	first := newMachine(t)
	first.put(t, secrets)
	first.configure(t, first.lines(s, fakeSearch(t, "1.3.20")))
	if exit := first.reconfigure(t); exit != 0 {
		t.Fatalf("the first node: exit %d\n%s", exit, first.printed)
	}
	switch state {
	case noPivotal:
		execute(t, s, "opscode_chef", "DELETE FROM users")
	case orgs:
		execute(t, s, "opscode_chef", "INSERT INTO orgs VALUES ('1', '1', 'acme', 'Acme')")
	}
}

func (m machine) left(t *testing.T, s server) leaves {
	t.Helper()
	got := leaves{
		Running: exists(m.running()), Sentinel: exists(m.sentinel()), Level: exists(m.level()), Pem: exists(m.pivotal()),
	}
	secrets, err := loadStore(m.store())
	if err != nil {
		t.Fatal(err)
	}
	got.Key = secrets.get("chef-server", "superuser_key") != ""
	conn, err := s.connect(t.Context(), "template1")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // every statement was answered
	var o observed
	if err := s.look(t.Context(), conn, &o); err != nil {
		t.Fatal(err)
	}
	got.Pivotal = o.pivotal
	return got
}

// checkStore looks at the store after a run that succeeded: what was there is still there, and files are root's alone.
func (m machine) checkStore(t *testing.T, before []byte) {
	t.Helper()
	after, err := loadStore(m.store())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range required() {
		if got := after.get(r.group, r.name); len(got) != r.length {
			t.Errorf("%s.%s has %d digits, want %d", r.group, r.name, len(got), r.length)
		}
	}
	var plain map[string]map[string]string
	if len(before) > 0 {
		if err := json.Unmarshal(before, &plain); err != nil {
			t.Fatal(err)
		}
	}
	for group, names := range plain {
		for name, value := range names {
			if after.get(group, name) != value {
				t.Errorf("%s.%s has changed", group, name)
			}
		}
	}
	for _, path := range []string{m.store(), m.running()} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %o", path, info.Mode().Perm())
		}
	}
	content, err := os.ReadFile(m.running())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), after.get("oc_id", "sql_password")) {
		t.Error("running.json holds a secret in spite of insecure_addon_compat false")
	}
}
