package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/bcrypt"
	"gopkg.in/yaml.v3"
)

// users are the password hashes by name.
type users map[string][]byte

// readUsers reads the file that the security plugin makes its users of.
func readUsers(file string) (users, error) {
	content, err := os.ReadFile(file) //nolint:gosec // a constant, but for tests
	if err != nil {
		return nil, err
	}
	var entries map[string]struct {
		Hash string `yaml:"hash"`
	}
	if err := yaml.Unmarshal(content, &entries); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	found := users{}
	for name, entry := range entries {
		if name == "_meta" {
			continue
		}
		if _, err := bcrypt.Cost([]byte(entry.Hash)); err != nil {
			return nil, fmt.Errorf("%s: the hash of %s is not bcrypt's: %w", file, name, err)
		}
		found[name] = []byte(entry.Hash)
	}
	return found, nil
}

// gate lets requests through to the server whose sender the security plugin would know. What a sender may do is not asked:
// the plugin's roles have no counterpart here.
type gate struct {
	users  users
	admins []string
	// initialised tells that the cluster has formed: before that the plugin has no users and refuses everybody.
	initialised atomic.Bool
	server      http.Handler

	// known are the senders that have shown their password: the plugin asks bcrypt once in an hour, too.
	known sync.Map
}

var _ http.Handler = (*gate)(nil)

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	admin := g.admin(r)
	switch {
	case !admin && !g.initialised.Load():
		http.Error(w, "OpenSearch Security not initialized.", http.StatusServiceUnavailable)
		return
	case !admin && !g.user(r):
		w.Header().Set("WWW-Authenticate", `Basic realm="OpenSearch Security"`)
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	r.Header.Del("Authorization")
	g.server.ServeHTTP(w, r)
}

// admin tells whether the sender has shown an administrator's certificate.
func (g *gate) admin(r *http.Request) bool {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return false
	}
	for _, name := range g.admins {
		if sameName(name, r.TLS.PeerCertificates[0].Subject.String()) {
			return true
		}
	}
	return false
}

func (g *gate) user(r *http.Request) bool {
	name, password, ok := r.BasicAuth()
	hash, exists := g.users[name]
	if !ok || !exists {
		return false
	}
	shown := sha256.Sum256([]byte(name + "\x00" + password))
	if _, ok := g.known.Load(shown); ok {
		return true
	}
	if bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil {
		return false
	}
	g.known.Store(shown, nil)
	return true
}

// errUsers is a package without its plugin's files.
var errUsers = errors.New("the plugin opensearch-security is gone: the server would refuse its settings")
