package secrets

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What releases before the other tiers wrote: its own types, so that it stays as it was.
type firstFormat struct {
	Format   int                  `json:"format"`
	Cluster  string               `json:"cluster"`
	CA       firstPair            `json:"ca"`
	Operator firstPair            `json:"operator"`
	Nodes    map[string]firstPair `json:"nodes"`
	Postgres struct {
		Superuser   string `json:"superuser"`
		Replication string `json:"replication"`
		Rewind      string `json:"rewind"`
		Owner       string `json:"owner"`
		RestAPI     string `json:"restAPI"`
	} `json:"postgres"`
}

type firstPair struct {
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

// A database's bundle is byte for byte what it was, and what was written then is read.
func TestFirstFormatIsStillWrittenAndRead(t *testing.T) {
	b := testBundle(t)
	pair := func(p KeyPair) firstPair { return firstPair{p.Certificate, p.Key.Reveal()} }
	old := firstFormat{Format: 1, Cluster: "prod", CA: pair(b.CA), Operator: pair(b.Operator), Nodes: map[string]firstPair{}}
	for name, p := range b.Nodes {
		old.Nodes[name] = pair(p)
	}
	old.Postgres.Superuser, old.Postgres.Replication, old.Postgres.Rewind = b.Postgres.Superuser.Reveal(), b.Postgres.Replication.Reveal(), b.Postgres.Rewind.Reveal()
	old.Postgres.Owner, old.Postgres.RestAPI = b.Postgres.Owner.Reveal(), b.Postgres.RestAPI.Reveal()
	text, err := json.MarshalIndent(old, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	encoded, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, encoded) {
		t.Error("is written in another way now")
	}
	if decoded, err := DecodeBundle(text); err != nil || !cmp.Equal(b, decoded) {
		t.Errorf("is read as something else: %v", err)
	}
}

func TestBundleRoundTrip(t *testing.T) {
	for name, b := range map[string]*Bundle{"self-hosted": generate(t, selfHosted), "managed": generate(t, managed), "standalone": generate(t, standalone)} {
		b.Recipients = []string{"age1x", "age1y"}
		encoded, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := DecodeBundle(encoded)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(b, decoded); diff != "" {
			t.Errorf("%s (-encoded +decoded):\n%s", name, diff)
		}
		if again, err := decoded.Encode(); err != nil || !bytes.Equal(encoded, again) {
			t.Errorf("%s: not the same bytes: %v", name, err)
		}
	}
}

func TestDecodeBundleRefuses(t *testing.T) {
	b, tiers := testBundle(t), generate(t, selfHosted)
	text := func(b *Bundle) string {
		encoded, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return string(encoded)
	}
	with := func(of *Bundle, change func(*Bundle)) string {
		copied := *of
		copied.Cinc, copied.Backup, copied.Front = clone(of.Cinc), clone(of.Backup), clone(of.Front)
		change(&copied)
		return text(&copied)
	}
	replace := func(of *Bundle, old, changed string) string {
		whole := text(of)
		if !strings.Contains(whole, old) {
			t.Fatal("the file has no such text to replace")
		}
		return strings.Replace(whole, old, changed, 1)
	}
	line := func(s Secret) string { return strings.Split(s.Reveal(), "\n")[1] }
	for _, test := range []struct{ name, content, want string }{
		{"a future format", replace(b, `"format": 1`, `"format": 3`), "format 3, but this cincbake reads format 1 and 2: use the release that wrote it"},
		{"no format", replace(b, `"format": 1,`, ``), "format 0, but"},
		{"tiers in the first format", replace(tiers, `"format": 2`, `"format": 1`), "format 1 has the database's passwords and no other tier's"},
		{"an unknown field", replace(b, `"format": 1`, `"format": 1, "extra": "`+marker+`"`), `unknown field "extra"`},
		{"an unknown field in a group", replace(tiers, `"redisPassword"`, `"rootPassword": "`+marker+`", "redisPassword"`), `unknown field "rootPassword"`},
		{"a wrong type", replace(b, `"superuser": "`+b.Postgres.Superuser.Reveal()+`"`, `"superuser": 12345678`), `wrong type of value at "postgres.superuser"`},
		{"half a file", text(b)[:len(text(b))/2], "not JSON"},
		{"two objects", text(b) + "{}", "not JSON"},
		{"a lost password", replace(b, b.Postgres.Owner.Reveal(), ""), "a password is missing"},
		{"a lost secret of Cinc", replace(tiers, tiers.Cinc.OCIDSQL.Reveal(), ""), "a secret of Cinc Server"},
		{"half a bucket's key", with(tiers, func(b *Bundle) { b.Backup.S3KeyID = New(marker) }), "of the backup is missing"},
		{"another node's certificate", with(b, func(c *Bundle) { c.Nodes = map[string]KeyPair{"postgres-1": b.Nodes["postgres-2"]} }), "node postgres-1: certificate speaks for cincbake://prod/node/postgres-2, expected cincbake://prod/node/postgres-1"},
		{"another CA's certificate", with(b, func(c *Bundle) { c.Operator = testBundle(t).Operator }), "operator: certificate is not from this bundle's CA"},
		{"a leaf for a CA", with(b, func(c *Bundle) { c.CA = b.Operator }), "CA: the certificate is no CA's"},
		{"two other CAs", with(b, func(c *Bundle) { c.NextCA, c.PreviousCA = &b.CA, b.CA.Certificate }), "both a next and a previous CA"},
		{"a leaf for the next CA", with(b, func(c *Bundle) { c.NextCA = &b.Operator }), "next CA: the certificate is no CA's"},
		{"a broken previous CA", with(b, func(c *Bundle) { c.PreviousCA = "x" }), "previous CA: not a PEM certificate"},
		{"a damaged key", replace(b, line(b.Nodes["postgres-1"].Key), "AAAA"), "node postgres-1: tls: "},
		{"a damaged superuser key", replace(tiers, line(tiers.Cinc.Superuser.Private), "AAAA"), "cinc.superuserKey: broken RSA private key"},
		{"another public key", with(tiers, func(b *Bundle) { b.Cinc.WebUI.Public = b.Cinc.Superuser.Public }), "cinc.webuiKey: the public key is not that of the private one"},
		{"another front's key", with(tiers, func(b *Bundle) { b.Front.Key = b.Operator.Key }), "front: tls: private key does not match"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := DecodeBundle([]byte(test.content))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			said := err.Error()
			for _, of := range []*Bundle{b, tiers} {
				for _, item := range of.Items() {
					value := item.Value.Reveal()
					if strings.HasPrefix(value, "-----BEGIN ") {
						value = line(item.Value)
					}
					if strings.Contains(said, value) {
						t.Errorf("the error holds %s", item.Name)
					}
				}
			}
			if strings.Contains(said, "12345678") || strings.Contains(said, marker) {
				t.Errorf("the error holds a value: %v", err)
			}
		})
	}
}
