package secrets

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

func scopeOf(t *testing.T, b *Bundle, node cluster.Node) Scoped {
	t.Helper()
	scoped, err := b.Scope(node)
	if err != nil {
		t.Fatal(err)
	}
	return scoped
}

// A running machine goes from each step of replacing the CA to the next, and to no other: two steps at once would cut it off
// from machines that have not taken the first.
func TestSucceedFollowsTheCAsSteps(t *testing.T) {
	b, r := testBundle(t), testCluster()
	node := r.Nodes[0]
	steps := []Scoped{scopeOf(t, b, node)}
	for step := range 3 {
		if _, err := b.RotateCA(r, step > 0, now); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, scopeOf(t, b, node))
	}
	for i, from := range steps {
		for j, to := range steps {
			err := from.Succeed(to, node.Address, now)
			if neighbours := i-j >= -1 && i-j <= 1; neighbours != (err == nil) {
				t.Errorf("from step %d to step %d: %v", i, j, err)
			}
		}
	}
	for i, to := range steps[1:] {
		if changed := steps[i].Changed(to); !slices.Contains(changed, "nodes.postgres-1.certificate") {
			t.Errorf("step %d changes %v: a program that reads its CAs with a new certificate only would not see them", i+1, changed)
		}
	}
}

func TestSucceedRefuses(t *testing.T) {
	b, r := testBundle(t), testCluster()
	node := r.Nodes[0]
	present := scopeOf(t, b, node)
	if _, err := b.Rotate(r, []string{"leaves"}, false, now); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		spoil func(*Scoped)
		at    time.Time
		want  string // empty: it is taken
	}{
		{"the next certificate", func(*Scoped) {}, now, ""},
		{"another machine's", func(s *Scoped) { *s = scopeOf(t, b, r.Nodes[1]) }, now, "these are the secrets of postgres-2"},
		{"another cluster's", func(s *Scoped) { s.Cluster = "test" }, now, "of cluster test"},
		{"another machine's certificate", func(s *Scoped) { s.Leaf = b.Nodes["postgres-2"] }, now, "speaks for cincbake://prod/node/postgres-2"},
		{"another key", func(s *Scoped) { s.Leaf.Key = b.Nodes["postgres-2"].Key }, now, "certificate and key"},
		{"another CA's", func(s *Scoped) { *s = scopeOf(t, testBundle(t), node) }, now, "do not trust who signed"},
		{"a CA that did not sign it", func(s *Scoped) { s.CA = testBundle(t).CA.Certificate }, now, "is not who signed"},
		{"a certificate that has ended", func(*Scoped) {}, now.Add(LeafLifetime + time.Hour), "expired"},
		{"what clients see with another key", func(s *Scoped) { s.Front = &KeyPair{b.CA.Certificate, b.Operator.Key} }, now, "that clients see"},
	} {
		t.Run(test.name, func(t *testing.T) {
			next := scopeOf(t, b, node)
			test.spoil(&next)
			err := present.Succeed(next, node.Address, test.at)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if err := present.Succeed(scopeOf(t, b, node), netip.MustParseAddr("10.20.0.99"), now); err == nil {
		t.Error("a certificate for another address is taken")
	}
}

func TestRotateOnline(t *testing.T) {
	for _, test := range []struct {
		words    []string
		code     exit.Code
		want     string // part of the error
		replaced []string
	}{
		{[]string{"passwords"}, exit.Done, "", []string{"postgres.restAPI"}},
		{[]string{"nodes.lb-1", "operator"}, exit.Done, "", []string{"nodes.lb-1", "operator"}},
		{[]string{"leaves"}, exit.Done, "", []string{"nodes.lb-1", "nodes.api-1", "nodes.postgres-1", "nodes.postgres-2", "nodes.heartbeat-1", "nodes.opensearch-1", "nodes.api-2", "front"}},
		{[]string{"leaves", "postgres.superuser"}, exit.Unsafe, "a running machine does not take it over: rotate it without --apply, and then: the database keeps the old password", nil},
		{[]string{"cinc.redisPassword"}, exit.Unsafe, "each API node uses its own", nil},
		{[]string{"backup.cipher"}, exit.Unsafe, "cannot be rotated", nil},
		{[]string{"nonsense"}, exit.Invalid, "no such secret", nil},
	} {
		t.Run(strings.Join(test.words, " "), func(t *testing.T) {
			b := generate(t, selfHosted)
			done, err := b.RotateOnline(selfHosted(), test.words, now)
			if exit.CodeOf(err) != test.code || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v (code %d), want %q (code %d)", err, exit.CodeOf(err), test.want, test.code)
			}
			if diff := cmp.Diff(test.replaced, done.Replaced); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	b := generate(t, selfHosted)
	done, err := b.RotateOnline(selfHosted(), []string{"passwords"}, now)
	if err != nil || len(done.Left) == 0 {
		t.Errorf("what is left is not said: %v, %v", done.Left, err)
	}
}

// What a machine's data and its backups depend on, and nothing else, is in the digest.
func TestLastingDigest(t *testing.T) {
	digests := func(b *Bundle) (string, string) {
		whole, err := b.LastingDigest()
		if err != nil {
			t.Fatal(err)
		}
		one, err := scopeOf(t, b, cluster.Node{Name: "postgres-1", Role: cluster.RolePostgres}).LastingDigest()
		if err != nil {
			t.Fatal(err)
		}
		return whole, one
	}
	whole, one := digests(generate(t, selfHosted))
	for _, test := range []struct {
		name       string
		change     func(*Bundle)
		whole, one bool // whether they stay
	}{
		{"nothing", func(*Bundle) {}, true, true},
		{"leaves", func(b *Bundle) { _, _ = b.Rotate(selfHosted(), []string{"leaves", "operator"}, false, now) }, true, true},
		{"the CA", func(b *Bundle) { _, _ = b.RotateCA(selfHosted(), false, now) }, true, true},
		{"Patroni's password", func(b *Bundle) { b.Postgres.RestAPI = New("x") }, true, true},
		{"a login to the repository", func(b *Bundle) { b.Backup.SFTPKey = New("x") }, true, true},
		{"the repository's passphrase", func(b *Bundle) { b.Backup.Cipher = New("x") }, false, false},
		{"a database password", func(b *Bundle) { b.Postgres.Rewind = New("x") }, false, false},
		{"the superuser's key", func(b *Bundle) { b.Cinc.Superuser = b.Cinc.WebUI }, false, true},
	} {
		b := generate(t, selfHosted)
		test.change(b)
		gotWhole, gotOne := digests(b)
		if (gotWhole == whole) != test.whole || (gotOne == one) != test.one {
			t.Errorf("%s: the bundle's digest stays: %v, the machine's: %v", test.name, gotWhole == whole, gotOne == one)
		}
	}
}
