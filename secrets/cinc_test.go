package secrets

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"regexp"
	"testing"
)

// Written by hand from required_secrets of the cookbook infra-server, as Chef's documentation and the store's form in the
// wild show it; not derived from the code. Nothing checks these there, and a wrong one breaks a service much later.
func TestCincSecretsAreAsCincDrawsThem(t *testing.T) {
	c := generate(t, selfHosted).Cinc
	for _, test := range []struct {
		name  string // in private-cinc-secrets.json
		value Secret
		form  string
	}{
		{"redis_lb.password", c.RedisPassword, `^[0-9a-f]{100}$`},
		{"opscode_erchef.sql_password", c.ErchefSQL, `^[0-9a-f]{60}$`},
		{"opscode_erchef.sql_ro_password", c.ErchefSQLRO, `^[0-9a-f]{60}$`},
		{"opscode_erchef.stats_password", c.ErchefStats, `^[0-9a-f]{100}$`},
		{"opscode_erchef.search_auth_password", c.Search, `^[A-Za-z0-9_-]{32}$`},
		{"oc_bifrost.superuser_id", c.BifrostSuperuser, `^[0-9a-f]{32}$`},
		{"oc_bifrost.sql_password", c.BifrostSQL, `^[0-9a-f]{100}$`},
		{"oc_bifrost.sql_ro_password", c.BifrostSQLRO, `^[0-9a-f]{100}$`},
		{"oc_id.secret_key_base", c.OCIDKeyBase, `^[0-9a-f]{100}$`},
		{"oc_id.sql_password", c.OCIDSQL, `^[0-9a-f]{100}$`},
		{"oc_id.sql_ro_password", c.OCIDSQLRO, `^[0-9a-f]{100}$`},
		{"bookshelf.access_key_id", c.BookshelfKeyID, `^[0-9a-f]{40}$`},
		{"bookshelf.secret_access_key", c.BookshelfSecret, `^[0-9a-f]{80}$`},
		{"bookshelf.sql_password", c.BookshelfSQL, `^[0-9a-f]{80}$`},
		{"bookshelf.sql_ro_password", c.BookshelfSQLRO, `^[0-9a-f]{80}$`},
		{"postgresql.db_superuser_password", c.DatabaseOwner, `^[A-Za-z0-9_-]{32}$`},
	} {
		if !regexp.MustCompile(test.form).MatchString(test.value.Reveal()) {
			t.Errorf("%s is not %s but %d characters long", test.name, test.form, len(test.value.Reveal()))
		}
	}
	for name, key := range map[string]KeyPEM{"chef-server.superuser_key": c.Superuser, "chef-server.webui_key": c.WebUI} {
		private, _ := pem.Decode([]byte(key.Private.Reveal()))
		public, _ := pem.Decode([]byte(key.Public))
		if private == nil || private.Type != "RSA PRIVATE KEY" || public == nil || public.Type != "PUBLIC KEY" {
			t.Fatalf("%s: not the PEM of an RSA key and its public half", name)
		}
		parsed, err := x509.ParsePKCS1PrivateKey(private.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		half, err := x509.ParsePKIXPublicKey(public.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if bits := parsed.N.BitLen(); bits != 2048 {
			t.Errorf("%s has %d bits, want 2048", name, bits)
		}
		if rsaHalf, ok := half.(*rsa.PublicKey); !ok || !rsaHalf.Equal(parsed.Public()) {
			t.Errorf("%s: the public half is another key's", name)
		}
	}
}

func TestCincSecretsAreDrawnApart(t *testing.T) {
	seen := map[string]string{}
	for _, item := range generate(t, standalone).Items() {
		if other, twice := seen[item.Value.Reveal()]; twice {
			t.Errorf("%s and %s are the same", item.Name, other)
		}
		seen[item.Value.Reveal()] = item.Name
	}
}
