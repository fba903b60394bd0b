package secrets

import (
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func testCluster() *cluster.Resolved {
	return &cluster.Resolved{
		Name: "prod",
		Nodes: []cluster.Node{
			{Name: "postgres-1", Role: cluster.RolePostgres, Slot: 1, Address: netip.MustParseAddr("10.20.0.31")},
			{Name: "postgres-2", Role: cluster.RolePostgres, Slot: 2, Address: netip.MustParseAddr("10.20.0.32")},
			{Name: "heartbeat-1", Role: cluster.RoleHeartbeat, Slot: 1, Address: netip.MustParseAddr("10.20.0.33")},
		},
	}
}

func testBundle(t *testing.T) *Bundle {
	t.Helper()
	b, err := Generate(testCluster(), now)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t *testing.T, pair KeyPair) *x509.Certificate {
	t.Helper()
	certificate, err := pair.X509()
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestGeneratedCertificates(t *testing.T) {
	b := testBundle(t)
	pool := x509.NewCertPool()
	pool.AddCert(parse(t, b.CA))

	leaf := parse(t, b.Nodes["postgres-2"])
	if leaf.Subject.CommonName != "postgres-2" {
		t.Errorf("common name is %q", leaf.Subject.CommonName)
	}
	for _, name := range []string{"postgres-2", "localhost", "10.20.0.32", "127.0.0.1"} {
		for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			options := x509.VerifyOptions{Roots: pool, CurrentTime: now, DNSName: name, KeyUsages: []x509.ExtKeyUsage{usage}}
			if _, err := leaf.Verify(options); err != nil {
				t.Errorf("node as %s, usage %v: %v", name, usage, err)
			}
		}
	}
	if leaf.VerifyHostname("10.20.0.31") == nil {
		t.Error("the leaf of one node also names another's address")
	}

	operator := parse(t, b.Operator)
	serve := x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if _, err := operator.Verify(serve); err == nil {
		t.Error("the operator's certificate can serve")
	}

	for name, got := range map[string]*x509.Certificate{"CA": parse(t, b.CA), "node": leaf} {
		lifetime := map[string]time.Duration{"CA": CALifetime, "node": LeafLifetime}[name]
		if !got.NotBefore.Equal(now.Add(-time.Hour)) || !got.NotAfter.Equal(now.Add(lifetime)) {
			t.Errorf("%s is valid from %s to %s", name, got.NotBefore, got.NotAfter)
		}
	}
}

func TestGenerateIsNeverTheSameTwice(t *testing.T) {
	one, two := testBundle(t), testBundle(t)
	if one.CA.Key.Equal(two.CA.Key) || one.Nodes["postgres-1"].Key.Equal(two.Nodes["postgres-1"].Key) {
		t.Error("two bundles share a key")
	}
	p := one.Postgres
	all := []Secret{p.Superuser, p.Replication, p.Rewind, p.Owner, p.RestAPI, two.Postgres.Superuser}
	for i, password := range all {
		if slices.ContainsFunc(all[:i], password.Equal) {
			t.Errorf("password %d is used twice", i)
		}
	}
}

func TestAddMissing(t *testing.T) {
	grown := func(r *cluster.Resolved) {
		r.Nodes = append(r.Nodes, cluster.Node{Name: "postgres-3", Role: cluster.RolePostgres, Slot: 3, Address: netip.MustParseAddr("10.20.0.34")})
	}
	for _, test := range []struct {
		name   string
		change func(*cluster.Resolved)
		later  time.Duration
		added  []string
	}{
		{"nothing to add", func(*cluster.Resolved) {}, 0, nil},
		{"a new node", grown, 0, []string{"a certificate for postgres-3"}},
		{"a new address", func(r *cluster.Resolved) { r.Nodes[1].Address = netip.MustParseAddr("10.20.0.99") }, 0, []string{"a certificate for postgres-2"}},
		{"a node that left", func(r *cluster.Resolved) { r.Nodes = r.Nodes[:2] }, 0, nil},
		{"not yet ending", func(*cluster.Resolved) {}, LeafLifetime - RenewBefore, nil},
		{"soon ending", func(*cluster.Resolved) {}, LeafLifetime - RenewBefore + time.Second, []string{"a certificate for postgres-1", "a certificate for postgres-2", "a certificate for heartbeat-1", "a certificate for the operator"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, r := testBundle(t), testCluster()
			before := *b
			before.Nodes = map[string]KeyPair{}
			for name, pair := range b.Nodes {
				before.Nodes[name] = pair
			}
			test.change(r)
			added, err := b.AddMissing(r, now.Add(test.later))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.added, added); diff != "" {
				t.Errorf("added (-want +got):\n%s", diff)
			}
			if err := b.Check(r, now.Add(test.later)); err != nil {
				t.Errorf("not whole afterwards: %v", err)
			}
			for _, name := range test.added {
				delete(before.Nodes, strings.TrimPrefix(name, "a certificate for "))
			}
			for name, pair := range before.Nodes {
				if !pair.Key.Equal(b.Nodes[name].Key) {
					t.Errorf("%s has another key now", name)
				}
			}
			if !before.CA.Key.Equal(b.CA.Key) || !cmp.Equal(before.Postgres, b.Postgres) {
				t.Error("the CA or a password has changed")
			}
			again, err := b.AddMissing(r, now.Add(test.later))
			if err != nil || len(again) != 0 {
				t.Errorf("a second run adds %v, %v", again, err)
			}
		})
	}
}

func TestAddMissingNeverOutlivesTheCA(t *testing.T) {
	b := testBundle(t)
	if _, err := b.AddMissing(testCluster(), now.Add(CALifetime-RenewBefore-LeafLifetime/2)); err != nil {
		t.Fatal(err)
	}
	if leaf, ca := parse(t, b.Nodes["postgres-1"]), parse(t, b.CA); leaf.NotAfter.After(ca.NotAfter) {
		t.Errorf("the leaf ends on %s, the CA on %s", leaf.NotAfter, ca.NotAfter)
	}
	_, err := b.AddMissing(testCluster(), now.Add(CALifetime+time.Second))
	if want := "the CA of cluster prod ended on 2035-12-31: move its secrets away and make new ones"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Bundle, *cluster.Resolved)
		later  time.Duration
		want   []string
	}{
		{name: "whole", change: func(*Bundle, *cluster.Resolved) {}},
		{
			name:   "another cluster",
			change: func(_ *Bundle, r *cluster.Resolved) { r.Name = "test" },
			want:   []string{"these are the secrets of cluster prod, not of test: name the right file under secrets.file"},
		},
		{
			name: "several problems",
			change: func(b *Bundle, r *cluster.Resolved) {
				delete(b.Nodes, "postgres-1")
				r.Nodes[2].Address = netip.MustParseAddr("10.20.0.99")
				b.Operator = KeyPair{}
			},
			want: []string{
				"postgres-1 has no certificate: " + remedy,
				"heartbeat-1 has a certificate for another address than 10.20.0.99: " + remedy,
				"operator has no certificate: " + remedy,
			},
		},
		{
			name:   "ended",
			change: func(_ *Bundle, r *cluster.Resolved) { r.Nodes = r.Nodes[:1] },
			later:  LeafLifetime + time.Second,
			want: []string{
				"postgres-1 has a certificate that ended on 2028-01-02: " + remedy,
				"operator has a certificate that ended on 2028-01-02: " + remedy,
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, r := testBundle(t), testCluster()
			test.change(b, r)
			var got []string
			if err := b.Check(r, now.Add(test.later)); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A machine's scope holds what is its own, and nothing of the CA, the operator or another machine.
func TestScope(t *testing.T) {
	b, r := testBundle(t), testCluster()
	for _, node := range r.Nodes {
		scoped, err := b.Scope(node)
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := scoped.Encode()
		if err != nil {
			t.Fatal(err)
		}
		mine := map[string]bool{node.Name: true, "password": node.Role == cluster.RolePostgres}
		for owner, values := range planted(b) {
			for _, value := range values {
				if found := strings.Contains(string(encoded), value); found != mine[owner] {
					t.Errorf("scope of %s holds a secret of %s: %v, want %v", node.Name, owner, found, mine[owner])
				}
			}
		}
	}
	if _, err := b.Scope(cluster.Node{Name: "postgres-9"}); err == nil {
		t.Error("a node without a certificate has a scope")
	}
}

// planted returns every secret of the bundle in a form that survives encoding: a line of each key, and the passwords.
func planted(b *Bundle) map[string][]string {
	body := func(p KeyPair) []string { return []string{strings.Split(p.Key.Reveal(), "\n")[1]} }
	found := map[string][]string{"CA": body(b.CA), "operator": body(b.Operator)}
	for name, pair := range b.Nodes {
		found[name] = body(pair)
	}
	p := b.Postgres
	for _, password := range []Secret{p.Superuser, p.Replication, p.Rewind, p.Owner, p.RestAPI} {
		found["password"] = append(found["password"], password.Reveal())
	}
	return found
}
