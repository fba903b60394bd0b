package main

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
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// authority signs certificates for a test.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func sign(t *testing.T, template *x509.Certificate, by *authority) (certificate []byte, key *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	issuer, issuerKey := template, key
	if by != nil {
		issuer, issuerKey = by.certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	der, key := sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{certificate, key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// leaf is a certificate and its key as PEM.
func (a *authority) leaf(t *testing.T, name pkix.Name) (certificate, key []byte) {
	t.Helper()
	der, private := sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: name, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// configured is a folder and the settings that name its files.
func configured(t *testing.T, a *authority) (string, settings) {
	t.Helper()
	certificate, key := a.leaf(t, pkix.Name{CommonName: "opensearch-1"})
	dir := write(t, map[string]string{"node.pem": string(certificate), "node.key": string(key), "ca.pem": string(a.pem())})
	s := settings{"plugins.security.ssl.http.enabled": true, "plugins.security.authcz.admin_dn": []any{"CN=operator,OU=people"}}
	for _, side := range []string{"transport", "http"} {
		prefix := "plugins.security.ssl." + side + "."
		s[prefix+"pemcert_filepath"], s[prefix+"pemkey_filepath"], s[prefix+"pemtrustedcas_filepath"] = "node.pem", "node.key", "ca.pem"
	}
	return dir, s
}

// What the plugin refuses, this refuses.
func TestSecurityRefuses(t *testing.T) {
	a := newAuthority(t)
	for says, change := range map[string]func(t *testing.T, dir string, s settings){
		"transport.pemkey_filepath must be set": func(_ *testing.T, _ string, s settings) { delete(s, "plugins.security.ssl.transport.pemkey_filepath") },
		"http.pemcert_filepath must be set":     func(_ *testing.T, _ string, s settings) { delete(s, "plugins.security.ssl.http.pemcert_filepath") },
		"outside": func(_ *testing.T, _ string, s settings) {
			s["plugins.security.ssl.http.pemkey_filepath"] = "/etc/cincbake/tls/node.key"
		},
		"no such file":                              func(_ *testing.T, _ string, s settings) { s["plugins.security.ssl.http.pemkey_filepath"] = "other.key" },
		"must be true or false":                     func(_ *testing.T, _ string, s settings) { s["plugins.security.ssl.http.enabled"] = "perhaps" },
		"transport.pemtrustedcas_filepath: no cert": func(t *testing.T, dir string, _ settings) { overwrite(t, filepath.Join(dir, "ca.pem"), "nothing") },
		"not a PKCS#8 key": func(t *testing.T, dir string, _ settings) {
			overwrite(t, filepath.Join(dir, "node.key"), "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n")
		},
		"private key does not match": func(t *testing.T, dir string, _ settings) {
			_, other := a.leaf(t, pkix.Name{CommonName: "other"})
			overwrite(t, filepath.Join(dir, "node.key"), string(other))
		},
	} {
		dir, s := configured(t, a)
		change(t, dir, s)
		if _, err := readSecurity(s, dir); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	if plugin, err := readSecurity(settings{"plugins.security.disabled": true}, t.TempDir()); err != nil || !plugin.disabled {
		t.Errorf("disabled: %v %v", plugin, err)
	}
}

func overwrite(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func hash(t *testing.T, password string) string {
	t.Helper()
	made, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(made)
}

func TestUsers(t *testing.T) {
	good := hash(t, "right")
	dir := write(t, map[string]string{
		"good":  "_meta:\n  type: internalusers\n  config_version: 2\ncinc:\n  hash: " + good + "\n  reserved: true\n",
		"y":     "cinc:\n  hash: $2y$" + good[4:] + "\n",
		"plain": "cinc:\n  hash: right\n",
		"none":  "_meta:\n  type: internalusers\n",
	})
	for _, name := range []string{"good", "y"} {
		found, err := readUsers(filepath.Join(dir, name))
		if err != nil || len(found) != 1 || bcrypt.CompareHashAndPassword(found["cinc"], []byte("right")) != nil {
			t.Errorf("%s: %v %v", name, found, err)
		}
	}
	if found, err := readUsers(filepath.Join(dir, "none")); err != nil || len(found) != 0 {
		t.Errorf("no users: %v %v", found, err)
	}
	if _, err := readUsers(filepath.Join(dir, "plain")); err == nil || !strings.Contains(err.Error(), "hash of cinc is not bcrypt's") {
		t.Errorf("a password in place of its hash: %v", err)
	}
	if _, err := readUsers(filepath.Join(dir, "absent")); err == nil {
		t.Error("no file")
	}
}

// Who gets through, over real TLS with the settings' own files.
func TestGate(t *testing.T) {
	a := newAuthority(t)
	dir, s := configured(t, a)
	plugin, err := readSecurity(s, dir)
	if err != nil {
		t.Fatal(err)
	}
	reached := 0
	g := &gate{users: users{"cinc": []byte(hash(t, "right"))}, admins: plugin.admins, server: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached++
		if r.Header.Get("Authorization") != "" {
			t.Error("the server is told a password")
		}
	})}
	server := httptest.NewUnstartedServer(g)
	server.TLS = plugin.http
	server.StartTLS()
	defer server.Close()

	certificate := func(by *authority, name pkix.Name) []tls.Certificate {
		t.Helper()
		pair, err := tls.X509KeyPair(by.leaf(t, name))
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{pair}
	}
	operator := certificate(a, pkix.Name{CommonName: "operator", OrganizationalUnit: []string{"people"}})
	node := certificate(a, pkix.Name{CommonName: "opensearch-1"})
	for _, test := range []struct {
		name           string
		initialised    bool
		user, password string
		shown          []tls.Certificate
		want           int
	}{
		{"before the cluster has formed", false, "cinc", "right", nil, 503},
		{"before the cluster has formed, without a user", false, "", "", nil, 503},
		{"the operator, before the cluster has formed", false, "", "", operator, 200},
		{"nobody", true, "", "", nil, 401},
		{"a wrong password", true, "cinc", "wrong", nil, 401},
		{"a wrong user", true, "admin", "right", nil, 401},
		{"an empty password", true, "cinc", "", nil, 401},
		{"the user", true, "cinc", "right", nil, 200},
		{"the user again, remembered", true, "cinc", "right", nil, 200},
		{"a wrong password after the right one", true, "cinc", "wrong", nil, 401},
		{"the operator", true, "", "", operator, 200},
		{"a node's certificate", true, "", "", node, 401},
		{"a node's certificate and the user", true, "cinc", "right", node, 200},
	} {
		g.initialised.Store(test.initialised)
		before := reached
		client := &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: a.pool(), Certificates: test.shown, MinVersion: tls.VersionTLS12},
		}}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if test.user != "" {
			request.SetBasicAuth(test.user, test.password)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		response.Body.Close()
		if response.StatusCode != test.want || (reached > before) != (test.want == 200) {
			t.Errorf("%s: %s, reached: %v", test.name, response.Status, reached > before)
		}
		if test.want == 401 && response.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: it is not asked for a password", test.name)
		}
	}

	stranger := certificate(newAuthority(t), pkix.Name{CommonName: "operator", OrganizationalUnit: []string{"people"}})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: a.pool(), MinVersion: tls.VersionTLS12,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &stranger[0], nil },
	}}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := client.Do(request); err == nil {
		response.Body.Close()
		t.Errorf("another CA's operator: %s", response.Status)
	}
}

func TestSameName(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"CN=operator", "cn=operator", true},
		{"CN=kirk,OU=client,O=client", "CN=kirk, OU=client, O = client", true},
		{"CN=operator", "CN=operator2", false},
		{"CN=operator,OU=a", "OU=a,CN=operator", false},
		{"CN=operator", "CN=operator,OU=a", false},
	} {
		if got := sameName(test.a, test.b); got != test.want {
			t.Errorf("%s and %s: %v", test.a, test.b, got)
		}
	}
}
