package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// security is what the settings say to the security plugin.
type security struct {
	disabled bool
	http     *tls.Config // nil: without TLS
	admins   []string
}

// readSecurity reads what the plugin would read, and refuses what it refuses: its files must be in the configuration's
// folder, since Java's security manager lets the server read no other, and its keys must be PKCS#8.
func readSecurity(s settings, dir string) (security, error) {
	disabled, err := s.truth(securityPrefix+"disabled", false)
	if err != nil || disabled {
		return security{disabled: disabled}, err
	}
	if _, err := readTLS(s, dir, securityPrefix+"ssl.transport."); err != nil {
		return security{}, err
	}
	found := security{admins: s.list(securityPrefix + "authcz.admin_dn")}
	if admins, ok := s[securityPrefix+"authcz.admin_dn"].(string); ok {
		found.admins = []string{admins} // a name has commas of its own
	}
	enabled, err := s.truth(securityPrefix+"ssl.http.enabled", false)
	if err == nil && enabled {
		found.http, err = readTLS(s, dir, securityPrefix+"ssl.http.")
	}
	return found, err
}

// readTLS reads the certificate, the key and the CA of settings that begin alike.
func readTLS(s settings, dir, prefix string) (*tls.Config, error) {
	read := func(name string) ([]byte, error) {
		file := s.text(prefix+name, "")
		if file == "" {
			return nil, fmt.Errorf("%s must be set", prefix+name)
		}
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		if inside, err := filepath.Rel(dir, file); err != nil || !filepath.IsLocal(inside) {
			return nil, fmt.Errorf("%s: %s is outside %s, where the server may not read", prefix+name, file, dir)
		}
		return os.ReadFile(file) //nolint:gosec // checked above
	}
	certificate, err := read("pemcert_filepath")
	if err != nil {
		return nil, err
	}
	key, err := read("pemkey_filepath")
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(key); block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("%spemkey_filepath: not a PKCS#8 key, and the server reads no other", prefix)
	}
	authorities, err := read("pemtrustedcas_filepath")
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("%spemcert_filepath: %w", prefix, err)
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(authorities) {
		return nil, errors.New(prefix + "pemtrustedcas_filepath: no certificate in it")
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: trusted, ClientAuth: tls.VerifyClientCertIfGiven,
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, // as Java's server has it
	}, nil
}

// sameName compares two distinguished names as RFC 2253 writes them: case and blanks around the parts do not count.
func sameName(a, b string) bool { return normal(a) == normal(b) }

func normal(name string) string {
	parts := strings.Split(strings.ToLower(name), ",")
	for i, part := range parts {
		key, value, _ := strings.Cut(part, "=")
		parts[i] = strings.TrimSpace(key) + "=" + strings.TrimSpace(value)
	}
	return strings.Join(parts, ",")
}
