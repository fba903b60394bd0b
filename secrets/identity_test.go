package secrets

import (
	"crypto/x509"
	"net/url"
	"testing"
)

func TestIdentityOf(t *testing.T) {
	b := testBundle(t)
	for _, test := range []struct {
		pair KeyPair
		want Identity
	}{
		{b.Nodes["postgres-1"], Identity{Cluster: "prod", Node: "postgres-1"}},
		{b.Operator, Identity{Cluster: "prod", Operator: true}},
	} {
		got, err := IdentityOf(parse(t, test.pair))
		if want := test.want; err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	if _, err := IdentityOf(parse(t, b.CA)); err == nil {
		t.Error("the CA has an identity")
	}
}

func TestIdentityOfRefuses(t *testing.T) {
	for _, uris := range [][]string{
		{},
		{"https://prod/node/postgres-1"},
		{"cincbake://prod"},
		{"cincbake:///operator"},
		{"cincbake://prod/node/"},
		{"cincbake://prod/operator/"},
		{"cincbake://prod/operator?x"},
		{"cincbake://user@prod/operator"},
		{"cincbake://prod/nodes/postgres-1"},
		{"cincbake://prod/postgres-1"},
		{"cincbake://prod/node/postgres-1", "cincbake://prod/operator"},
	} {
		certificate := &x509.Certificate{}
		for _, text := range uris {
			uri, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			certificate.URIs = append(certificate.URIs, uri)
		}
		if got, err := IdentityOf(certificate); err == nil {
			t.Errorf("%v: accepted as %+v", uris, got)
		}
	}
}
