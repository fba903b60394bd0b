package secrets

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func fakeScoped() Scoped {
	return Scoped{
		Cluster: "prod",
		Node:    "postgres-1",
		CA:      "FAKE-CA\n",
		Leaf:    KeyPair{Certificate: "FAKE-CERTIFICATE\n", Key: New("FAKE-KEY <&>\n")},
		Postgres: &Postgres{
			Superuser: New("FAKE-1"), Replication: New("FAKE-2"), Rewind: New("FAKE-3"), Owner: New("FAKE-4"), RestAPI: New("FAKE-5"),
		},
	}
}

func TestScopedRoundTrip(t *testing.T) {
	without := fakeScoped()
	without.Postgres = nil
	for name, scoped := range map[string]Scoped{"with passwords": fakeScoped(), "without": without} {
		t.Run(name, func(t *testing.T) {
			encoded, err := scoped.Encode()
			if err != nil {
				t.Fatal(err)
			}
			again, err := scoped.Encode()
			if err != nil || !bytes.Equal(encoded, again) {
				t.Errorf("encoding is not stable: %v", err)
			}
			decoded, err := DecodeScoped(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(scoped, decoded); diff != "" {
				t.Errorf("(-encoded +decoded):\n%s", diff)
			}
		})
	}
}

func TestDigest(t *testing.T) {
	if got, want := Digest([]byte("abc")), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDecodeScopedRefuses(t *testing.T) {
	encoded, err := fakeScoped().Encode()
	if err != nil {
		t.Fatal(err)
	}
	whole := string(encoded)
	for _, test := range []struct{ name, content, want string }{
		{"nothing", "", "not JSON"},
		{"an unknown field", strings.Replace(whole, `"node"`, `"rootPassword": "FAKE-X", "node"`, 1), `unknown field "rootPassword"`},
		{"a future format", strings.Replace(whole, `"format": 1`, `"format": 3`, 1), "format 3, but this cincbake reads format 1 and 2"},
		{"no key", strings.Replace(whole, `FAKE-KEY \u003c\u0026\u003e\n`, "", 1), "a value is missing"},
		{"no password", strings.Replace(whole, "FAKE-3", "", 1), "a value is missing"},
		{"a tier in the first format", strings.Replace(whole, `"postgres"`, `"openSearch": {"admin": "FAKE-A", "adminHash": "FAKE-B", "cinc": "FAKE-C", "cincHash": "FAKE-D"}, "postgres"`, 1), "format 1 has no such tiers"},
		{"a tier in part", strings.Replace(strings.Replace(whole, `"format": 1`, `"format": 2`, 1), `"postgres"`, `"openSearch": {"admin": "FAKE-A"}, "postgres"`, 1), "a value is missing"},
		{"a list", "[]", "wrong type"},
		{"something behind", whole + "x", "not JSON"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.content == whole {
				t.Fatal("nothing was changed")
			}
			_, err := DecodeScoped([]byte(test.content))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), "FAKE") {
				t.Errorf("the error holds a value: %v", err)
			}
		})
	}
}

func FuzzDecodeScoped(f *testing.F) {
	encoded, err := fakeScoped().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoded)
	f.Add([]byte(`{"format":1,"postgres":null,"NODE":"x"}`))
	tiers := fakeScoped()
	tiers.Cinc, tiers.OpenSearch, tiers.Backup, tiers.Front = &Cinc{}, &OpenSearch{}, &Backup{Cipher: New("FAKE-C")}, &KeyPair{"FAKE-F", New("FAKE-K")}
	for _, g := range []group{tiers.Cinc.fields(), tiers.OpenSearch.fields()} {
		for _, field := range g {
			field.set("FAKE-" + field.name)
		}
	}
	if encoded, err = tiers.Encode(); err != nil {
		f.Fatal(err)
	}
	f.Add(encoded)
	f.Fuzz(func(t *testing.T, data []byte) {
		decoded, err := DecodeScoped(data)
		if err != nil {
			return
		}
		encoded, err := decoded.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeScoped(encoded)
		if err != nil || !cmp.Equal(decoded, again) {
			t.Fatalf("what was accepted does not survive encoding: %v", err)
		}
	})
}

func FuzzDecodeBundle(f *testing.F) {
	b, err := Generate(testCluster(), now)
	if err != nil {
		f.Fatal(err)
	}
	encoded, err := b.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoded)
	f.Add([]byte(`{"format":1,"cluster":"prod","nodes":null}`))
	tiers, err := selfHostedOnce()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(tiers)
	f.Fuzz(func(t *testing.T, data []byte) {
		decoded, err := DecodeBundle(data)
		if err != nil {
			return
		}
		encoded, err := decoded.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := DecodeBundle(encoded); err != nil || !cmp.Equal(decoded, again) {
			t.Fatalf("what was accepted does not survive encoding: %v", err)
		}
	})
}
