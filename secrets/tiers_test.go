package secrets

import (
	"bytes"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/cincbake/cincbake/cluster"
)

func sectionsOf(b *Bundle) []string {
	var sections []string
	for _, item := range b.Items() {
		section, _, _ := strings.Cut(item.Name, ".")
		if len(sections) == 0 || sections[len(sections)-1] != section {
			sections = append(sections, section)
		}
	}
	return sections
}

// Only what the cluster's tiers need is made.
func TestGenerateMakesWhatTheTiersNeed(t *testing.T) {
	for name, test := range map[string]struct {
		bundle *Bundle
		want   []string
		format string
	}{
		"database":    {testBundle(t), []string{"ca", "operator", "nodes", "postgres"}, `"format": 1`},
		"self-hosted": {generate(t, selfHosted), []string{"ca", "operator", "nodes", "postgres", "cinc", "openSearch", "front", "backup"}, `"format": 2`},
		"managed":     {generate(t, managed), []string{"ca", "operator", "nodes", "cinc", "front"}, `"format": 2`},
		"standalone":  {generate(t, standalone), []string{"ca", "operator", "nodes", "cinc", "front", "backup"}, `"format": 2`},
	} {
		if diff := cmp.Diff(test.want, sectionsOf(test.bundle)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		encoded, err := test.bundle.Encode()
		if err != nil || !bytes.Contains(encoded, []byte(test.format)) {
			t.Errorf("%s: not written with %s: %v", name, test.format, err)
		}
	}
}

// A cluster that grows a tier gets that tier's secrets and keeps all others.
func TestAddMissingAddsATier(t *testing.T) {
	b := testBundle(t)
	before := map[string]string{}
	for _, item := range b.Items() {
		before[item.Name] = item.Value.Reveal()
	}
	added, err := b.AddMissing(selfHosted(), now)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"the search cluster's passwords", "Cinc Server's secrets", "the backup's passphrase",
		"a certificate for lb-1", "a certificate for api-1", "a certificate for opensearch-1", "a certificate for api-2", "a certificate for chef.example.com",
	}
	if diff := cmp.Diff(want, added); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, item := range b.Items() {
		if value, ok := before[item.Name]; ok && value != item.Value.Reveal() {
			t.Errorf("%s has changed", item.Name)
		}
	}
	if err := b.Check(selfHosted(), now); err != nil {
		t.Error(err)
	}
	if again, err := b.AddMissing(selfHosted(), now); err != nil || len(again) > 0 {
		t.Errorf("a second run adds %v, %v", again, err)
	}
}

func TestCheckNamesWhatATierLacks(t *testing.T) {
	b := testBundle(t)
	err := b.Check(selfHosted(), now)
	if err == nil {
		t.Fatal("a database's bundle is enough for every tier")
	}
	for _, want := range []string{
		"lb-1 has no certificate", "api-2 has no certificate", "chef.example.com has no certificate",
		"the search cluster's passwords missing", "Cinc Server's secrets missing", "the backup's passphrase missing",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not said: %s\n%v", want, err)
		}
	}
	whole := generate(t, selfHosted)
	whole.Cinc.Search = New("FAKE-other")
	if err := whole.Check(selfHosted(), now); err == nil || !strings.Contains(err.Error(), "Cinc Server's secrets missing") {
		t.Errorf("a login that differs from its tier's: got %v", err)
	}
	if _, err := whole.AddMissing(selfHosted(), now); err != nil || whole.Check(selfHosted(), now) != nil {
		t.Errorf("init does not mend it: %v", err)
	}
}

// A group without slots has one leaf, which names no address.
func TestGroupLeaf(t *testing.T) {
	leaf := parse(t, generate(t, managed).Nodes["api"])
	if got, err := IdentityOf(leaf); err != nil || got != (Identity{Cluster: "prod", Node: "api"}) {
		t.Errorf("speaks for %v, %v", got, err)
	}
	if diff := cmp.Diff([]string{"api", "localhost"}, leaf.DNSNames); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(leaf.IPAddresses) != 1 || leaf.IPAddresses[0].String() != "127.0.0.1" {
		t.Errorf("names the addresses %v", leaf.IPAddresses)
	}
}

// What clients see can serve the domain, and speaks for nobody inside the cluster.
func TestFrontLeaf(t *testing.T) {
	b := generate(t, selfHosted)
	leaf := parse(t, *b.Front)
	pool := x509.NewCertPool()
	pool.AddCert(parse(t, b.CA))
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, DNSName: "chef.example.com"}); err != nil {
		t.Error(err)
	}
	dial := x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := leaf.Verify(dial); err == nil {
		t.Error("can dial")
	}
	if identity, err := IdentityOf(leaf); err == nil {
		t.Errorf("speaks for %s", identity)
	}
	if _, err := b.AddMissing(selfHosted(), now.Add(LeafLifetime-RenewBefore+time.Second)); err != nil {
		t.Fatal(err)
	}
	if !parse(t, *b.Front).NotAfter.After(leaf.NotAfter) {
		t.Error("is not renewed before its end")
	}
}

func TestOpenSearchHashes(t *testing.T) {
	o := generate(t, selfHosted).OpenSearch
	for name, login := range map[string][2]Secret{"admin": {o.Admin, o.AdminHash}, "cinc": {o.Cinc, o.CincHash}} {
		hash := login[1].Reveal()
		if !strings.HasPrefix(hash, "$2y$12$") || len(hash) != 60 {
			t.Errorf("%s: not as the plugin's hash.sh writes it", name)
		}
		if err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(login[0].Reveal())); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Which password Cinc Server logs in with, tier by tier.
func TestLogins(t *testing.T) {
	grown := func() *Bundle { // had its own tiers, and then uses somebody else's
		b := generate(t, selfHosted)
		if _, err := b.AddMissing(managed(), now); err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, test := range map[string]struct {
		b     *Bundle
		r     *cluster.Resolved
		unmet []string
		own   bool
	}{
		"self-hosted":           {generate(t, selfHosted), selfHosted(), nil, true},
		"managed":               {generate(t, managed), managed(), nil, false},
		"standalone":            {generate(t, standalone), standalone(), nil, false},
		"own, then external":    {grown(), managed(), []string{"cinc.databaseOwner", "cinc.search"}, true},
		"external, never given": {&Bundle{Cluster: "prod"}, managed(), []string{"cinc.databaseOwner", "cinc.search"}, false},
	} {
		var unmet []string
		for _, i := range test.b.Unmet(test.r) {
			unmet = append(unmet, i.Name)
		}
		if diff := cmp.Diff(test.unmet, unmet); diff != "" {
			t.Errorf("%s: unmet (-want +got):\n%s", name, diff)
		}
		own := test.b.Postgres != nil && test.b.Cinc.DatabaseOwner.Equal(test.b.Postgres.Owner) && test.b.Cinc.Search.Equal(test.b.OpenSearch.Cinc)
		if own != test.own {
			t.Errorf("%s: logs in with the tiers' own passwords: %v, want %v", name, own, test.own)
		}
	}
}

func TestWarnings(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Bundle)
		later  time.Duration
		want   []string
	}{
		"none":          {func(*Bundle) {}, 0, nil},
		"not yet":       {func(*Bundle) {}, LeafLifetime - RenewBefore, nil},
		"leaves end":    {func(b *Bundle) { b.Operator = generate(t, managed).Operator }, LeafLifetime - RenewBefore + time.Second, []string{"api has", "chef.example.com has", "operator has"}},
		"long ended":    {func(*Bundle) {}, LeafLifetime + time.Second, nil}, // Check's business
		"the CA ends":   {func(*Bundle) {}, CALifetime - CARenewBefore + time.Second, []string{"the CA has a certificate that ends on 2035-12-31: run cincbake secrets rotate ca"}},
		"a CA replaced": {func(b *Bundle) { b.PreviousCA = b.CA.Certificate }, 0, []string{"the CA is being replaced: have every machine take its part over"}},
		"one recipient": {func(b *Bundle) { b.Recipients = []string{"age1x"} }, 0, []string{"the file is encrypted to one recipient"}},
		"one, twice":    {func(b *Bundle) { b.Recipients = []string{"age1x", "age1x"} }, 0, []string{"the file is encrypted to one recipient"}},
		"two":           {func(b *Bundle) { b.Recipients = []string{"age1x", "age1y"} }, 0, nil},
	} {
		b := generate(t, managed)
		test.change(b)
		got := b.Warnings(managed(), now.Add(test.later))
		if len(got) != len(test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
			continue
		}
		for i, want := range test.want {
			if !strings.HasPrefix(got[i], want) {
				t.Errorf("%s: got %q, want %q", name, got[i], want)
			}
		}
	}
}

// A rotated password's hash is its own, and one that was not rotated stays byte for byte.
func TestOpenSearchHashFollowsItsPassword(t *testing.T) {
	b := generate(t, selfHosted)
	before := *b.OpenSearch
	if _, err := b.Rotate(selfHosted(), []string{"openSearch.cinc"}, true, now); err != nil {
		t.Fatal(err)
	}
	if err := bcrypt.CompareHashAndPassword([]byte(b.OpenSearch.CincHash.Reveal()), []byte(b.OpenSearch.Cinc.Reveal())); err != nil {
		t.Error(err)
	}
	if !b.OpenSearch.AdminHash.Equal(before.AdminHash) {
		t.Error("the other password's hash has changed")
	}
}
