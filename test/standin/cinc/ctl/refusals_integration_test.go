//go:build integration

package main

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What the preflight refuses by the files, the database server and the search; and that nothing has changed then.
func TestRefusals(t *testing.T) {
	s := postgres(t)
	_, seedSecrets := secretsOf(t)
	closed := freePort(t)
	for _, row := range []struct {
		name    string
		later   bool              // there was a run that succeeded
		without string            // a key that is not in the file
		with    []string          // further lines
		change  func(*invocation) // the machine
		says    string
	}{
		{name: "external was true", later: true, without: "postgresql['external']", says: "CSPG001"},
		{name: "no superuser", later: true, without: "postgresql['db_superuser']", says: "CSPG011"}, // the login comes first
		{name: "no vip", without: "postgresql['vip']", says: "CSPG004"},
		{name: "no password of the superuser", later: true, with: []string{"postgresql['db_superuser'] = 'nobody'"}, says: "CSPG013"},
		{name: "nobody listens, first run", with: []string{"postgresql['port'] = " + strconv.Itoa(closed)}, says: "PG::ConnectionBad"},
		{name: "nobody listens, later run", later: true, with: []string{"postgresql['port'] = " + strconv.Itoa(closed)}, says: "CSPG010"},
		{name: "wrong password, first run", with: []string{"postgresql['db_superuser_password'] = 'wrong'"}, says: "PG::ConnectionBad"},
		{name: "wrong password, later run", later: true, with: []string{"postgresql['db_superuser_password'] = 'wrong'"}, says: "CSPG011"},
		{name: "the server speaks no TLS", later: true, with: []string{"postgresql['sslmode'] = 'require'"}, says: "CSPG999"},
		{name: "a user without rights", with: []string{"postgresql['db_superuser'] = 'nobody'"}, says: "CSPG013"},
		{name: "a newer PostgreSQL", change: func(i *invocation) { i.newest = newest }, says: "CSPG014"},
		{name: "half a pair", with: []string{"nginx['ssl_certificate'] = '/etc/hostname'"}, says: pairIncomplete},
		{name: "a pair that is not there", with: []string{"nginx['ssl_certificate'] = '/nowhere'", "nginx['ssl_certificate_key'] = '/nowhere'"}, says: pairIncomplete},
		{name: "cookbooks move", later: true, with: []string{"bookshelf['storage_type'] = 'filesystem'"}, says: storageChanged},
		{name: "little memory, and no provider", without: "opscode_erchef['search_provider']", change: func(i *invocation) { i.memory = 1 << 30 }, says: "INDEX003"},
		{name: "sleeps", with: []string{"opscode_erchef['reindex_sleep_min_ms'] = 3000"}, says: "OPENSEARCH001"},
		{name: "no login of the search", without: "opscode_erchef['search_auth_", says: "OPENSEARCH006"},
		{name: "no URL of the search", without: "opensearch['external_url']", says: "OPENSEARCH007"},
		{name: "no mode of the queue", without: "opscode_erchef['search_queue_mode']", says: "OPENSEARCH008"},
		{name: "another mode of the queue", with: []string{"opscode_erchef['search_queue_mode'] = 'rabbitmq'"}, says: "OPENSEARCH008"},
		{name: "no Ruby", with: []string{"puts 1 + 1"}, says: "undefined local variable or method 'puts'"},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := newMachine(t)
			var lines []string
			for _, line := range m.lines(s, fakeSearch(t, "1.3.20")) {
				if row.without == "" || !strings.HasPrefix(line, row.without) {
					lines = append(lines, line)
				}
			}
			m.configure(t, append(lines, row.with...))
			m.put(t, seedSecrets)
			if row.later {
				if err := write(m.running(), []byte(`{"private_chef":{"postgresql":{"external":true},"bookshelf":{"storage_type":"sql"}}}`), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if row.change != nil {
				row.change(&m.invocation)
			}
			before, err := os.ReadFile(m.store())
			if err != nil {
				t.Fatal(err)
			}
			if exit := m.reconfigure(t); exit != 1 || !strings.Contains(m.printed.String(), row.says) {
				t.Errorf("exit %d, want 1 and %q in:\n%s", exit, row.says, m.printed)
			}
			after, err := os.ReadFile(m.store())
			if err != nil || !bytes.Equal(before, after) {
				t.Errorf("the preflight refused, and the store has changed: %v", err)
			}
			if diff := cmp.Diff(leaves{Running: row.later}, m.left(t, s)); diff != "" {
				t.Errorf("left behind (-want +got):\n%s", diff)
			}
		})
	}
}

// A bootstrap that fails leaves a key behind: the next run takes the machine for one that joins, and refuses. With the
// secrets as they were, it goes through.
func TestRetryAfterAFailedBootstrap(t *testing.T) {
	s := postgres(t)
	_, seedSecrets := secretsOf(t)
	m := newMachine(t)
	m.put(t, seedSecrets)
	m.configure(t, m.lines(s, fakeSearch(t, "2.11.0")))
	if exit := m.reconfigure(t); exit != 1 {
		t.Fatalf("exit %d with a search that is too new:\n%s", exit, m.printed)
	}
	m.configure(t, m.lines(s, fakeSearch(t, "1.3.20")))
	if exit := m.reconfigure(t); exit != 1 || !strings.Contains(m.printed.String(), "BOOT011") {
		t.Fatalf("exit %d, want BOOT011:\n%s", exit, m.printed)
	}
	m.put(t, seedSecrets)
	if exit := m.reconfigure(t); exit != 0 {
		t.Fatalf("exit %d with the secrets as they were:\n%s", exit, m.printed)
	}
}

// A second node joins with the first one's secrets. One with other passwords would take the first one's rights away.
func TestTwoNodes(t *testing.T) {
	s := postgres(t)
	_, seedSecrets := secretsOf(t)
	search := fakeSearch(t, "1.3.20")
	first, second := newMachine(t), newMachine(t)
	first.put(t, seedSecrets)
	first.configure(t, first.lines(s, search))
	if exit := first.reconfigure(t); exit != 0 {
		t.Fatalf("the first: exit %d\n%s", exit, first.printed)
	}
	published, err := os.ReadFile(first.store()) // in the store's own form
	if err != nil {
		t.Fatal(err)
	}
	if err := write(second.store(), published, 0o600); err != nil {
		t.Fatal(err)
	}
	second.configure(t, second.lines(s, search))
	for range 2 { // again without the sentinel: as with the real one, the second time fails
		exit := second.reconfigure(t)
		if again := strings.Contains(second.printed.String(), "cannot be managed"); again != (exit != 0) {
			t.Fatalf("the second: exit %d\n%s", exit, second.printed)
		}
	}
	secrets, err := loadStore(first.store())
	if err != nil {
		t.Fatal(err)
	}
	login := func() error {
		conn, err := s.chef(t.Context(), secrets)
		if err == nil {
			err = conn.Close(t.Context())
		}
		return err
	}
	if err := login(); err != nil {
		t.Errorf("the first node can't log in: %v", err)
	}
	other, err := loadStore(second.store())
	if err != nil {
		t.Fatal(err)
	}
	other.set("opscode_erchef", "sql_password", "other", false)
	if err := other.save(second.store()); err != nil {
		t.Fatal(err)
	}
	if err := write(second.sentinel(), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if exit := second.reconfigure(t); exit != 0 {
		t.Fatalf("the second, with another password: exit %d\n%s", exit, second.printed)
	}
	if err := login(); err == nil {
		t.Error("the first node's password still counts")
	}
}

// The superuser's keys are changed as with the real one: add, list, delete.
func TestUserKeys(t *testing.T) {
	s := postgres(t)
	fullSecrets, seedSecrets := secretsOf(t)
	m := newMachine(t)
	m.put(t, seedSecrets)
	m.configure(t, m.lines(s, fakeSearch(t, "1.3.20")))
	if exit := m.reconfigure(t); exit != 0 {
		t.Fatalf("exit %d\n%s", exit, m.printed)
	}
	public, err := publicOf(fullSecrets["chef-server"]["superuser_key"])
	if err != nil {
		t.Fatal(err)
	}
	file := m.in("/key.pem")
	if err := write(file, []byte(public), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		arguments []string
		exit      int
		says      string
	}{
		{[]string{"list-user-keys", "pivotal"}, 0, "key_name: default"},
		{[]string{"add-user-key", "pivotal", "--key-name", "ours", "--public-key-path", file}, 0, ""},
		{[]string{"add-user-key", "pivotal", "--key-name", "ours", "--public-key-path", file}, 1, "duplicate key"},
		{[]string{"list-user-keys", "pivotal"}, 0, "key_name: ours"},
		{[]string{"delete-user-key", "pivotal", "default"}, 0, ""},
		{[]string{"delete-user-key", "pivotal", "default"}, 1, "has no key"},
		{[]string{"list-user-keys", "nobody"}, 1, "no user"},
		{[]string{"add-user-key", "pivotal", "--key-name", "made"}, 0, "PRIVATE KEY"},
		{[]string{"reindex", "-a"}, 0, "reindexed"},
		{[]string{"show-secret", "oc_bifrost", "superuser_id"}, 0, seedSecrets["oc_bifrost"]["superuser_id"]},
	} {
		m.printed.Reset()
		if exit := run(t.Context(), step.arguments, m.invocation, m.printed); exit != step.exit || !strings.Contains(m.printed.String(), step.says) {
			t.Errorf("%v: exit %d, want %d and %q in:\n%s", step.arguments, exit, step.exit, step.says, m.printed)
		}
	}
	// goiardi accepts the newest one.
	execute(t, s, "opscode_chef", "DO $$ BEGIN IF (SELECT public_key FROM goiardi.users WHERE name = 'pivotal') <> (SELECT public_key FROM keys WHERE key_name = 'made') THEN RAISE 'another key'; END IF; END $$")
}
