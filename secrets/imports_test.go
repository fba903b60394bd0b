package secrets

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// issued returns a certificate of a public authority for a name, valid for 90 days from begin on.
func issued(t *testing.T, domain string, begin time.Time) *KeyPair {
	t.Helper()
	pair, err := newAuthority("Somebody Else", "", begin)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := (&Bundle{Cluster: "elsewhere", CA: pair}).authority()
	if err != nil {
		t.Fatal(err)
	}
	leaf := foreign.template(domain, begin)
	leaf.DNSNames, leaf.NotBefore, leaf.NotAfter = []string{domain}, begin, begin.Add(90*day)
	signed, err := issue(leaf, foreign)
	if err != nil {
		t.Fatal(err)
	}
	signed.Certificate += pair.Certificate // with its chain
	return &signed
}

func edwards(t *testing.T) *KeyPair {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{"chef.example.com"}, NotBefore: now, NotAfter: now.Add(day),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return &KeyPair{
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		Key:         New(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))),
	}
}

func TestImportFront(t *testing.T) {
	b, r := generate(t, selfHosted), selfHosted()
	own := issued(t, "chef.example.com", now)
	changed, err := b.Import(r, Imports{Front: own}, now)
	if err != nil || !cmp.Equal(changed, []string{"the certificate of chef.example.com"}) {
		t.Fatalf("got %v, %v", changed, err)
	}
	if changed, err := b.Import(r, Imports{Front: own}, now); err != nil || len(changed) > 0 {
		t.Errorf("a second time: %v, %v", changed, err)
	}
	// Its end is its issuer's business: it is warned of, reported once it has come, and never replaced by one of ours.
	later := now.Add(89 * day)
	if added, err := b.AddMissing(r, later); err != nil || len(added) > 0 {
		t.Errorf("near its end: %v, %v", added, err)
	}
	if warnings := b.Warnings(r, later); len(warnings) != 1 || !strings.Contains(warnings[0], "put a new one where tls points") {
		t.Errorf("near its end: %q", warnings)
	}
	if err := b.Check(r, now.Add(91*day)); err == nil || !strings.Contains(err.Error(), "chef.example.com has a certificate that ended on 2026-04-02: put a new one where tls points") {
		t.Errorf("after its end: %v", err)
	}
	if _, err := b.Rotate(r, []string{"front"}, true, now); exit.CodeOf(err) != exit.Unsafe {
		t.Errorf("the user's own was rotated: %v", err)
	}
	encoded, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := DecodeBundle(encoded); err != nil || !cmp.Equal(b, again) {
		t.Errorf("does not survive encoding: %v", err)
	}
	// Without one in the spec, the cluster's CA signs again.
	if _, err := b.Import(r, Imports{}, now); err != nil {
		t.Fatal(err)
	}
	added, err := b.AddMissing(r, now)
	if err != nil || !cmp.Equal(added, []string{"a certificate for chef.example.com"}) || b.importedFront() {
		t.Errorf("got %v, %v", added, err)
	}
}

func TestImportFrontRefuses(t *testing.T) {
	own, other := issued(t, "chef.example.com", now), issued(t, "chef.example.com", now)
	for name, test := range map[string]struct {
		front *KeyPair
		want  string
	}{
		"another's key":  {&KeyPair{own.Certificate, other.Key}, "the certificate under tls and its key: tls: private key does not match"},
		"another domain": {issued(t, "www.example.com", now), "the certificate under tls is not for chef.example.com (x509: certificate is valid for www.example.com"},
		"ended":          {issued(t, "chef.example.com", now.Add(-91*day)), "the certificate under tls ended on 2026-01-01"},
		"not begun":      {issued(t, "chef.example.com", now.Add(day)), "the certificate under tls begins on 2026-01-03"},
		"no PEM":         {&KeyPair{"x", New(marker)}, "failed to find any PEM data"},
		"a locked key":   {&KeyPair{own.Certificate, New("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")}, "has a passphrase"},
		"Ed25519":        {edwards(t), "use ECDSA or RSA"},
	} {
		b := generate(t, selfHosted)
		_, err := b.Import(selfHosted(), Imports{Front: test.front}, now)
		if err == nil || !strings.Contains(err.Error(), test.want) || exit.CodeOf(err) != exit.Invalid {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if err != nil && (strings.Contains(err.Error(), marker) || strings.Contains(err.Error(), strings.Split(own.Key.Reveal(), "\n")[1])) {
			t.Errorf("%s: the error holds a part of a key: %v", name, err)
		}
		if b.importedFront() {
			t.Errorf("%s: was taken all the same", name)
		}
	}
	if _, err := testBundle(t).Import(testCluster(), Imports{Front: own}, now); err == nil || !strings.Contains(err.Error(), "no domain") {
		t.Errorf("a database's front: %v", err)
	}
}

// sshKey returns the head of a private key as ssh-keygen writes it: the cipher that it is locked with, and no key.
func sshKey(cipher string) string {
	head := append([]byte("openssh-key-v1\x00\x00\x00\x00"), byte(len(cipher)))
	return strings.TrimSuffix(string(pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: append(head, cipher...)})), "\n")
}

func TestImportValues(t *testing.T) {
	toS3 := func() *cluster.Resolved {
		r := selfHosted()
		r.Backup = &cluster.Backup{S3: &cluster.BackupS3{Bucket: "b"}}
		return r
	}
	toSFTP := func() *cluster.Resolved {
		r := selfHosted()
		r.Backup = &cluster.Backup{SFTP: &cluster.BackupSFTP{Host: "h"}}
		return r
	}
	for _, test := range []struct {
		name  string
		of    func() *cluster.Resolved
		value string
		want  string // in the bundle
		err   string
	}{
		{"cinc.databaseOwner", managed, "s3cret_-\n", "s3cret_-", ""},
		{"cinc.databaseOwner", managed, `FAKE"quote`, "", "the external database's password: Cinc Server breaks on anything but letters, digits, _ and -"},
		{"cinc.databaseOwner", managed, "\n", "", "it is empty"},
		{"cinc.databaseOwner", selfHosted, "FAKE", "", "the external database's password: this cluster has no use for it"},
		{"cinc.search", managed, "FAKE search", "", "the external search cluster's password: Cinc Server breaks on"},
		{"cinc.search", managed, "FAKE-search2", "FAKE-search2", ""},
		{"backup.s3KeyID", toS3, "AKIAFAKE", "AKIAFAKE", ""},
		{"backup.s3KeySecret", toS3, "FAKE/+=x", "FAKE/+=x", ""},
		{"backup.s3KeySecret", toS3, "FAKE x", "", "expected one word"},
		{"backup.s3KeySecret", toS3, "\n", "", "it is empty"},
		{"backup.s3KeyID", toSFTP, "AKIAFAKE", "", "no use for it"},
		{"backup.sftpKey", toSFTP, sshKey("none"), sshKey("none") + "\n", ""},
		{"backup.sftpKey", toSFTP, sshKey("aes256-ctr"), "", "the key has a passphrase"},
		{"backup.sftpKey", toSFTP, "FAKE", "", "expected a private key in PEM"},
	} {
		t.Run(test.name+" "+test.err, func(t *testing.T) {
			b := generate(t, selfHosted)
			before := b.importTo(test.name).Reveal()
			changed, err := b.Import(test.of(), Imports{Values: map[string]Secret{test.name: New(test.value)}}, now)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || exit.CodeOf(err) != exit.Invalid {
					t.Errorf("got %v, want %q", err, test.err)
				}
				if err != nil && strings.Contains(err.Error(), "FAKE") {
					t.Errorf("the error holds the value: %v", err)
				}
				if b.importTo(test.name).Reveal() != before {
					t.Error("was taken all the same")
				}
				return
			}
			if err != nil || len(changed) != 1 || b.importTo(test.name).Reveal() != test.want {
				t.Errorf("got %v, %v", changed, err)
			}
		})
	}
}

// What cannot be drawn is asked for, with both ways to give it.
func TestUnmet(t *testing.T) {
	onPrem, onAWS := selfHosted(), selfHosted()
	onPrem.Backup = &cluster.Backup{S3: &cluster.BackupS3{Bucket: "b"}}
	onAWS.Backup, onAWS.Platform = onPrem.Backup, cluster.AWS
	b := generate(t, selfHosted)
	if err := b.Check(onAWS, now); err != nil {
		t.Errorf("on AWS the machine's role opens the bucket: %v", err)
	}
	err := b.Check(onPrem, now)
	want := "the bucket's key id missing: set CINCBAKE_S3_KEY_ID, or name its file with --s3-key-id-file, and run cincbake secrets init\n" +
		"the bucket's secret key missing: set CINCBAKE_S3_KEY_SECRET, or name its file with --s3-key-secret-file, and run cincbake secrets init"
	if err == nil || err.Error() != want || exit.CodeOf(err) != exit.Missing {
		t.Errorf("got %v, want %s", err, want)
	}
}
