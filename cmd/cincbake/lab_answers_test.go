package main

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/secrets/store"
)

// api stands in for a cluster's API with what the cluster's clients see; it returns where it listens, and its secrets.
func api(t *testing.T, answer http.HandlerFunc) (listen string, bundle *secrets.Bundle) {
	t.Helper()
	t.Chdir(t.TempDir())
	t.Setenv("CINCBAKE_S3_KEY_ID", "FAKEKEYID0123456789")
	t.Setenv("CINCBAKE_S3_KEY_SECRET", "FAKE/key+secret=0123456789")
	write(t, "cluster.yaml", strings.Replace(everythingSpec, "tls: {certificate: chef.pem, key: chef.key}\n", "", 1))
	mustRun(t, exit.Done, "secrets", "init")
	bundle, err := store.Load("secrets.json")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(bundle.Front.Certificate), []byte(bundle.Front.Key.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(answer)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), bundle
}

func TestDoormanAwaits(t *testing.T) {
	var asked atomic.Int32
	listen, bundle := api(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Host != "chef.example.com" || r.URL.Path != "/_status":
			t.Errorf("asked for %s%s", r.Host, r.URL.Path)
		case asked.Add(1) == 1: // nobody is behind the proxy yet
			http.Error(w, "bad gateway", http.StatusBadGateway)
		case asked.Load() == 2:
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(`{"status": "fail"}`))
		default:
			_, _ = w.Write([]byte(`{"status": "pong", "upstreams": {}}`))
		}
	})
	if err := newDoorman(listen, "chef.example.com", bundle).await(t.Context(), time.Minute); err != nil {
		t.Error(err)
	}
	if asked.Load() != 3 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestDoormanRefuses(t *testing.T) {
	listen, bundle := api(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"status": "fail"}`)) })
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for name, row := range map[string]struct {
		ctx    context.Context
		d      doorman
		code   exit.Code
		reason string
	}{
		"a service that fails": {t.Context(), newDoorman(listen, "chef.example.com", bundle), exit.TimedOut, "/_status answers 200 OK fail"},
		"another's name":       {t.Context(), newDoorman(listen, "www.example.com", bundle), exit.TimedOut, "not www.example.com"},
		"another's authority":  {t.Context(), newDoorman(listen, "chef.example.com", &secrets.Bundle{}), exit.TimedOut, "unknown authority"},
		"nobody":               {t.Context(), newDoorman("127.0.0.1:1", "chef.example.com", bundle), exit.TimedOut, "connection refused"},
		"a person who left":    {stopped, newDoorman(listen, "chef.example.com", bundle), exit.Failed, "context canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			err := row.d.await(row.ctx, 2*time.Second)
			if exit.CodeOf(err) != row.code || !strings.Contains(err.Error(), row.reason) {
				t.Errorf("%v: %v", exit.CodeOf(err), err)
			}
		})
	}
}
