package main

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/cincbake/cincbake/test/standin/deb"
)

// addDemonstration adds the script that installs the demonstration, with its keys and certificates inside as the official
// one has them.
func addDemonstration(p *deb.Package) error {
	keys, err := demonstrationKeys()
	if err != nil {
		return err
	}
	script, err := files.ReadFile("files/install_demo_configuration.sh")
	if err != nil {
		return err
	}
	p.Files = append(p.Files, deb.File{
		Path: security + "/tools/install_demo_configuration.sh", Mode: 0o755, Content: bytes.ReplaceAll(script, []byte("@KEYS@"), keys),
	})
	return nil
}

// demonstrationKeys returns the part of the script that writes its files. Everybody can make them: they come from their
// names, so that every build has the same.
func demonstrationKeys() ([]byte, error) {
	var lines bytes.Buffer
	add := func(name, kind string, content []byte) {
		fmt.Fprintf(&lines, "cat >$config_dir/%s <<'END'\n%sEND\n", name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}))
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Example Com Inc. Root CA"},
		NotBefore: time.Unix(1_500_000_000, 0), NotAfter: time.Unix(4_000_000_000, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	authorityKey := knownKey("root-ca")
	made, err := certificate(authority, authority, authorityKey, authorityKey)
	if err != nil {
		return nil, err
	}
	add("root-ca.pem", "CERTIFICATE", made)
	for i, leaf := range []struct {
		file    string
		subject pkix.Name
	}{
		{"esnode", pkix.Name{CommonName: "node-0.example.com"}},
		{"kirk", pkix.Name{CommonName: "kirk", OrganizationalUnit: []string{"client"}, Organization: []string{"client"}, Locality: []string{"test"}, Country: []string{"de"}}},
	} {
		key := knownKey(leaf.file)
		made, err := certificate(&x509.Certificate{
			SerialNumber: big.NewInt(int64(i) + 2), Subject: leaf.subject, DNSNames: []string{"localhost"},
			NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}, authority, key, authorityKey)
		if err != nil {
			return nil, err
		}
		encoded, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		add(leaf.file+".pem", "CERTIFICATE", made)
		add(leaf.file+"-key.pem", "PRIVATE KEY", encoded)
	}
	return lines.Bytes(), nil
}

// knownKey is a key that is no secret.
func knownKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("cincbake test fixture: " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// certificate is a function of its arguments: this kind of signature has nothing random in it.
func certificate(leaf, issuer *x509.Certificate, key, issuerKey crypto.Signer) ([]byte, error) {
	return x509.CreateCertificate(nil, leaf, issuer, key.Public(), issuerKey)
}
