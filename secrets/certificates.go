package secrets

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/cincbake/cincbake/cluster"
)

const day = 24 * time.Hour

// How long certificates last, and from when on one is about to end.
const (
	CALifetime   = 10 * 365 * day
	LeafLifetime = 2 * 365 * day
	// RenewBefore is how long before its end a certificate is replaced by AddMissing and warned of.
	RenewBefore = 60 * day
	// CARenewBefore is how long before its end a CA is warned of: what it signs later than that lasts less than a
	// LeafLifetime.
	CARenewBefore = LeafLifetime + RenewBefore
	// backdate allows for machines whose clock is behind when they boot.
	backdate = time.Hour
)

// X509 returns the parsed certificate.
func (p KeyPair) X509() (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(p.Certificate))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("not a PEM certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

// authority is the cluster's CA, ready to sign.
type authority struct {
	cluster     string
	certificate *x509.Certificate
	pair        tls.Certificate
}

func (b *Bundle) authority() (*authority, error) {
	pair, err := b.CA.paired()
	if err != nil {
		return nil, fmt.Errorf("CA: %w", err)
	}
	return &authority{b.Cluster, pair.Leaf, pair}, nil
}

// Trusted returns the certificates of every CA that machines and operators trust, PEM: the one that signs first.
func (b *Bundle) Trusted() string {
	trusted := b.CA.Certificate
	if b.NextCA != nil {
		trusted += b.NextCA.Certificate
	}
	return trusted + b.PreviousCA
}

// signed tells whether a CA of the bundle signed the certificate.
func (b *Bundle) signed(certificate *x509.Certificate) bool {
	for _, pair := range []KeyPair{b.CA, {Certificate: b.PreviousCA}} {
		if ca, err := pair.X509(); err == nil && certificate.CheckSignatureFrom(ca) == nil {
			return true
		}
	}
	return false
}

// newAuthority makes a CA that signs leaves and nothing else. Its subject's serial number tells the clusters of one name apart
// (which is what X.520 has it for): every CA of a cluster has the same, see ClusterID.
func newAuthority(name, id string, now time.Time) (KeyPair, error) {
	return issue(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "cincbake CA", Organization: []string{name}, SerialNumber: id},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(CALifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}, nil)
}

// node makes a node's leaf. One leaf serves and dials for every program on the machine: etcd uses the same one for its
// clients and its peers, so it must allow both. A node whose address is not known before it boots is known by its name
// alone; all instances of a group share its one leaf.
func (a *authority) node(node cluster.Node, now time.Time) (KeyPair, error) {
	leaf := a.leaf(Identity{Cluster: a.cluster, Node: node.Name}, node.Name, now)
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	leaf.DNSNames = []string{node.Name, "localhost"}
	leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1).To4()}
	if node.Address.IsValid() {
		leaf.IPAddresses = append([]net.IP{node.Address.AsSlice()}, leaf.IPAddresses...)
	}
	return issue(leaf, a)
}

// front makes the certificate that clients see. It speaks for nobody inside the cluster, and can only serve.
func (a *authority) front(domain string, now time.Time) (KeyPair, error) {
	leaf := a.template(domain, now)
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leaf.DNSNames = []string{domain}
	return issue(leaf, a)
}

// operator makes the certificate that operators dial the agents with. It cannot serve, so it can't pose as a node.
func (a *authority) operator(now time.Time) (KeyPair, error) {
	leaf := a.leaf(Identity{Cluster: a.cluster, Operator: true}, "operator", now)
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return issue(leaf, a)
}

func (a *authority) leaf(identity Identity, name string, now time.Time) *x509.Certificate {
	leaf := a.template(name, now)
	leaf.URIs = []*url.URL{identity.uri()}
	return leaf
}

func (a *authority) template(name string, now time.Time) *x509.Certificate {
	notAfter := now.Add(LeafLifetime)
	if notAfter.After(a.certificate.NotAfter) {
		notAfter = a.certificate.NotAfter
	}
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-backdate),
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
}

// issue makes a key and signs the certificate for it; without a signer it signs itself. Keys are ECDSA P-256 in PKCS #8,
// which etcd, PostgreSQL, Patroni's Python and Go all read.
func issue(template *x509.Certificate, signer *authority) (KeyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return KeyPair{}, fmt.Errorf("make a key: %w", err)
	}
	parent, signingKey := template, any(key)
	if signer != nil {
		parent, signingKey = signer.certificate, signer.pair.PrivateKey
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signingKey)
	if err != nil {
		return KeyPair{}, fmt.Errorf("sign the certificate of %s: %w", template.Subject.CommonName, err)
	}
	if _, err := x509.ParseCertificate(certificate); err != nil { // a cluster's name that is no host name, for example
		return KeyPair{}, fmt.Errorf("certificate of %s: %w", template.Subject.CommonName, err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("encode a key: %w", err)
	}
	return KeyPair{
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})),
		Key:         New(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))),
	}, nil
}
