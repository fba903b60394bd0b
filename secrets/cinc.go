package secrets

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// rsaBits is the size of the keys that Cinc Server makes for itself.
const rsaBits = 2048

// fields lists Cinc's secrets with the lengths and alphabets of required_secrets in its cookbook
// (infra-server/libraries/private_chef.rb). Cinc draws hexadecimal digits, and writes them unquoted into SQL, URIs and
// Erlang terms.
func (c *Cinc) fields() group {
	return group{
		{name: "databaseOwner", secret: &c.DatabaseOwner},
		{name: "search", secret: &c.Search},
		{name: "redisPassword", secret: &c.RedisPassword, draw: hexadecimal(100)},
		{name: "erchefSQL", secret: &c.ErchefSQL, draw: hexadecimal(60)},
		{name: "erchefSQLRO", secret: &c.ErchefSQLRO, draw: hexadecimal(60)},
		{name: "erchefStats", secret: &c.ErchefStats, draw: hexadecimal(100)},
		{name: "bifrostSuperuser", secret: &c.BifrostSuperuser, draw: hexadecimal(32)}, // a CHAR(32) of lower-case digits in bifrost's schema
		{name: "bifrostSQL", secret: &c.BifrostSQL, draw: hexadecimal(100)},
		{name: "bifrostSQLRO", secret: &c.BifrostSQLRO, draw: hexadecimal(100)},
		{name: "ocidKeyBase", secret: &c.OCIDKeyBase, draw: hexadecimal(100)},
		{name: "ocidSQL", secret: &c.OCIDSQL, draw: hexadecimal(100)},
		{name: "ocidSQLRO", secret: &c.OCIDSQLRO, draw: hexadecimal(100)},
		{name: "bookshelfKeyID", secret: &c.BookshelfKeyID, draw: hexadecimal(40)},
		{name: "bookshelfSecret", secret: &c.BookshelfSecret, draw: hexadecimal(80)},
		{name: "bookshelfSQL", secret: &c.BookshelfSQL, draw: hexadecimal(80)},
		{name: "bookshelfSQLRO", secret: &c.BookshelfSQLRO, draw: hexadecimal(80)},
		{name: "superuserKey", secret: &c.Superuser.Private},
		{name: "superuserPublicKey", public: &c.Superuser.Public},
		{name: "webuiKey", secret: &c.WebUI.Private},
		{name: "webuiPublicKey", public: &c.WebUI.Public},
	}
}

// addCinc makes what is missing of Cinc's own secrets. The two logins that Cinc shares with the tiers behind it are
// addLogins' business.
func (b *Bundle) addCinc() (added bool, err error) {
	if b.Cinc == nil {
		b.Cinc = &Cinc{}
	}
	added = b.Cinc.fields().fill()
	for _, key := range []*KeyPEM{&b.Cinc.Superuser, &b.Cinc.WebUI} {
		if !key.Private.IsZero() {
			continue
		}
		if *key, err = newRSA(); err != nil {
			return added, err
		}
		added = true
	}
	return added, nil
}

// newRSA makes a key pair in the forms that Ruby's OpenSSL writes: PKCS #1 for the private key, SubjectPublicKeyInfo for
// the public one.
func newRSA() (KeyPEM, error) {
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return KeyPEM{}, fmt.Errorf("make a key: %w", err)
	}
	public, err := publicPEM(key)
	if err != nil {
		return KeyPEM{}, err
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return KeyPEM{Private: New(string(private)), Public: public}, nil
}

func publicPEM(key *rsa.PrivateKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", fmt.Errorf("encode a public key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

// check proves that the halves belong together. Its errors hold no part of the key.
func (k KeyPEM) check() error {
	block, _ := pem.Decode([]byte(k.Private.Reveal()))
	if block == nil || block.Type != "RSA PRIVATE KEY" {
		return errors.New("not a PEM RSA private key")
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		return errors.New("broken RSA private key")
	}
	public, err := publicPEM(key)
	if err != nil {
		return err
	}
	if public != k.Public {
		return errors.New("the public key is not that of the private one")
	}
	return nil
}
