//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// searchService stands for Amazon OpenSearch Service: as much of it as Cinc Server's stand-in asks, for the one who knows the
// password.
type searchService struct {
	password string

	mu   sync.Mutex
	made bool // the index
}

func (s *searchService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, password, _ := r.BasicAuth(); password != s.password {
		w.WriteHeader(http.StatusUnauthorized) // also what a router's check is told
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := "{}"
	switch {
	case r.URL.Path == "/":
		answer = `{"version": {"number": "1.3.20", "distribution": "opensearch"}}`
	case r.URL.Path == "/chef" && r.Method == http.MethodPut:
		s.made = true
	case strings.HasPrefix(r.URL.Path, "/chef") && !s.made:
		w.WriteHeader(http.StatusNotFound)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(answer))
}

// serveSearch serves a search at a listener until that is closed, and returns the certificate of its authority.
func serveSearch(t *testing.T, listener net.Listener, password string) (authority []byte) {
	t.Helper()
	authority, own := issue(t, listener.Addr().(*net.TCPAddr).IP)
	server := &http.Server{
		Handler: &searchService{password: password}, ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}},
	}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	return authority
}

// issue makes a certificate for what the account serves at an address, by an authority of its own, whose certificate is PEM.
func issue(t *testing.T, host net.IP) (authority []byte, own tls.Certificate) {
	t.Helper()
	fail := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fail(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fail(err)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the account's authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootText, err := x509.CreateCertificate(rand.Reader, root, root, authorityKey.Public(), authorityKey)
	fail(err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host.String()}, NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{host}, DNSNames: []string{host.String()}, // haproxy compares names, whatever they look like
	}
	leafText, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), authorityKey)
	fail(err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootText}), tls.Certificate{Certificate: [][]byte{leafText}, PrivateKey: key}
}
