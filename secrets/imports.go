package secrets

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// Importable is a secret that only the operator has, so that nothing here can draw it. It is never an argument of a
// command, which every user of the machine could read: it comes from a file or from the environment.
type Importable struct {
	Name string // as in the bundle, like backup.s3KeyID
	Word string // what its flag and variable are named for, like s3-key-id
	What string // in a sentence, like "the external database's password"
	// wanted tells whether the cluster can use it, required whether it cannot do without.
	wanted, required func(*cluster.Resolved) bool
	check            func(string) error
}

// Flag is the flag that names a file with the value.
func (i Importable) Flag() string { return i.Word + "-file" }

// Variable is the environment variable that holds the value.
func (i Importable) Variable() string {
	return "CINCBAKE_" + strings.ToUpper(strings.ReplaceAll(i.Word, "-", "_"))
}

// Remedy says how to give the value.
func (i Importable) Remedy() string {
	return fmt.Sprintf("set %s, or name its file with --%s, and run cincbake secrets init", i.Variable(), i.Flag())
}

// Wanted tells whether the cluster can use it.
func (i Importable) Wanted(r *cluster.Resolved) bool { return i.wanted(r) }

// Importables lists what can be imported besides the certificate that clients see.
func Importables() []Importable {
	return []Importable{
		{
			Name: "cinc.databaseOwner", Word: "database-password", What: "the external database's password",
			wanted: externalPostgres, required: externalPostgres, check: checkLogin,
		},
		{
			Name: "cinc.search", Word: "search-password", What: "the external search cluster's password",
			wanted: externalOpenSearch, required: externalOpenSearch, check: checkLogin,
		},
		{
			Name: "backup.s3KeyID", Word: "s3-key-id", What: "the bucket's key id",
			wanted: bucket, required: bucketOutsideAWS, check: checkWord,
		},
		{
			Name: "backup.s3KeySecret", Word: "s3-key-secret", What: "the bucket's secret key",
			wanted: bucket, required: bucketOutsideAWS, check: checkWord,
		},
		{
			Name: "backup.sftpKey", Word: "sftp-key", What: "the backup account's private key",
			wanted: sftp, required: sftp, check: checkKey,
		},
	}
}

func externalPostgres(r *cluster.Resolved) bool   { return needsCinc(r) && hasExternalPostgres(r) }
func externalOpenSearch(r *cluster.Resolved) bool { return needsCinc(r) && hasExternalOpenSearch(r) }
func bucket(r *cluster.Resolved) bool             { return r.Backup != nil && r.Backup.S3 != nil }
func sftp(r *cluster.Resolved) bool               { return r.Backup != nil && r.Backup.SFTP != nil }

// bucketOutsideAWS : on AWS the machines' own role opens the bucket, and keys are for those who want them.
func bucketOutsideAWS(r *cluster.Resolved) bool { return bucket(r) && r.Platform != cluster.AWS }

var loginAlphabet = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// checkLogin : Cinc writes the password unquoted into SQL, URIs and Erlang terms.
func checkLogin(value string) error {
	if !loginAlphabet.MatchString(value) {
		return errors.New("Cinc Server breaks on anything but letters, digits, _ and -: give the login such a password, of up to 128 characters")
	}
	return nil
}

func checkWord(value string) error {
	for _, c := range value {
		if c <= ' ' || c > '~' {
			return errors.New("expected one word of printable characters")
		}
	}
	return nil
}

func checkKey(value string) error {
	block, _ := pem.Decode([]byte(value))
	switch {
	case block == nil || !strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return errors.New("expected a private key in PEM, as ssh-keygen writes it")
	case locked(block):
		return errors.New("the key has a passphrase, which no machine can type: take it off with ssh-keygen -p")
	}
	return nil
}

// locked tells whether a private key has a passphrase, in any of the three forms that keys come in.
func locked(key *pem.Block) bool {
	if key.Type == "OPENSSH PRIVATE KEY" {
		return !bytes.HasPrefix(key.Bytes, []byte("openssh-key-v1\x00\x00\x00\x00\x04none")) // magic, then the cipher's name
	}
	return strings.HasPrefix(key.Type, "ENCRYPTED") || strings.Contains(key.Headers["Proc-Type"], "ENCRYPTED")
}

// Imports are what an operator hands in.
type Imports struct {
	// Front is the certificate that clients see with its chain, and its key. Nil: the cluster's CA signs one.
	Front *KeyPair
	// Values are by Importable.Name; what is absent stays as it is.
	Values map[string]Secret
}

// Import takes what is handed in and checks it: values against what their users can read, the certificate for its key,
// the cluster's domain and its dates. It returns what it changed, in words. Call it before AddMissing.
func (b *Bundle) Import(r *cluster.Resolved, in Imports, now time.Time) (changed []string, err error) {
	if err := b.belongsTo(r); err != nil {
		return nil, err
	}
	var problems []error
	for _, i := range Importables() {
		value, given := in.Values[i.Name]
		if !given {
			continue
		}
		value = New(trimmed(value.Reveal()))
		err := i.check(value.Reveal())
		switch {
		case !i.wanted(r):
			err = errors.New("this cluster has no use for it")
		case value.IsZero():
			err = errors.New("it is empty")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", i.What, err))
			continue
		}
		if to := b.importTo(i.Name); !to.Equal(value) {
			*to = value
			changed = append(changed, i.What)
		}
	}
	switch {
	case in.Front == nil:
		if b.importedFront() { // the spec names none any more
			b.Front = nil
		}
	case !needsFront(r):
		problems = append(problems, errors.New("this cluster has no domain that a certificate could be for"))
	default:
		if err := checkFront(*in.Front, r.Domain, now); err != nil {
			problems = append(problems, err)
		} else if b.Front == nil || b.Front.Certificate != in.Front.Certificate || !b.Front.Key.Equal(in.Front.Key) {
			b.Front = clone(in.Front)
			changed = append(changed, "the certificate of "+r.Domain)
		}
	}
	return changed, exit.As(exit.Invalid, errors.Join(problems...))
}

// trimmed takes off the end of line that editors and shells put behind a word, and sees to the one behind a key.
func trimmed(value string) string {
	value = strings.TrimRight(value, "\r\n")
	if strings.HasPrefix(value, "-----BEGIN ") {
		value += "\n"
	}
	return value
}

// Unmet lists what the cluster cannot do without and nobody has imported.
func (b *Bundle) Unmet(r *cluster.Resolved) []Importable {
	var unmet []Importable
	for _, i := range Importables() {
		if i.required(r) && !b.holdsImport(r, i.Name) {
			unmet = append(unmet, i)
		}
	}
	return unmet
}

func (b *Bundle) holdsImport(r *cluster.Resolved, name string) bool {
	if strings.HasPrefix(name, "backup.") {
		return b.Backup != nil && !b.importTo(name).IsZero()
	}
	if b.Cinc == nil {
		return false
	}
	for _, l := range b.logins(r) {
		if l.name == name {
			return !l.unmet()
		}
	}
	return false
}

// importTo returns where an import is kept, and makes room for it.
func (b *Bundle) importTo(name string) *Secret {
	section, word, _ := strings.Cut(name, ".")
	switch {
	case section == "cinc" && b.Cinc == nil:
		b.Cinc = &Cinc{}
	case section == "backup" && b.Backup == nil:
		b.Backup = &Backup{}
	}
	for _, f := range b.section(section) {
		if f.name == word {
			return f.secret
		}
	}
	panic("no place for an import: " + name) // the table of Importables is wrong
}

// importedFront tells whether the certificate that clients see is the user's own.
func (b *Bundle) importedFront() bool {
	if b.Front == nil {
		return false
	}
	certificate, err := b.Front.X509()
	return err == nil && !b.signed(certificate)
}

// checkFront proves that a pair can serve the domain. How long it lasts is its issuer's business, as long as it does now.
// Its errors hold no part of the key.
func checkFront(pair KeyPair, domain string, now time.Time) error {
	const at = "the certificate under tls"
	if block, _ := pem.Decode([]byte(pair.Key.Reveal())); block != nil && locked(block) {
		return errors.New("the key under tls has a passphrase, which no machine can type: take it off with openssl pkey -in KEY -out NEW")
	}
	parsed, err := pair.paired()
	if err != nil {
		return fmt.Errorf("%s and its key: %w", at, err)
	}
	leaf := parsed.Leaf
	if _, unread := leaf.PublicKey.(ed25519.PublicKey); unread {
		return fmt.Errorf("%s has an Ed25519 key, which not every Cinc Server's OpenSSL reads: use ECDSA or RSA", at)
	}
	if err := leaf.VerifyHostname(domain); err != nil {
		return fmt.Errorf("%s is not for %s (%w)", at, domain, err)
	}
	if now.After(leaf.NotAfter) {
		return fmt.Errorf("%s ended on %s", at, date(leaf.NotAfter))
	}
	if now.Before(leaf.NotBefore) {
		return fmt.Errorf("%s begins on %s", at, date(leaf.NotBefore))
	}
	for _, der := range parsed.Certificate[1:] {
		if _, err := x509.ParseCertificate(der); err != nil {
			return fmt.Errorf("%s has a broken chain: %w", at, err)
		}
	}
	return nil
}
