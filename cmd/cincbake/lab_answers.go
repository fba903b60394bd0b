package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/secrets"
)

// answerDeadline is how long a cluster that is whole may take until a client of this host has its first answer: a balancer
// looks at its API nodes every few seconds.
const answerDeadline = 30 * time.Second

// doorman asks the cluster's API how it is, as a client of this host would.
type doorman struct {
	listen string // where this host's clients connect to
	domain string // who they expect to find there
	roots  *x509.CertPool
}

func newDoorman(listen, domain string, bundle *secrets.Bundle) doorman {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(bundle.Trusted()))
	if bundle.Front != nil {
		// The user's own, perhaps of an authority that only the clients know: that it is this one is what counts here.
		roots.AppendCertsFromPEM([]byte(bundle.Front.Certificate))
	}
	return doorman{listen, domain, roots}
}

// await waits until the API answers.
func (d doorman) await(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	last := errors.New("nobody was asked yet")
	for {
		err := d.ask(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil { // else it is about our own hurry
			last = err
		}
		select {
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return ctx.Err()
			}
			return exit.Errorf(exit.TimedOut, "https://%s does not answer as %s after %v: %w: cincbake status --lab tells how the machines are",
				d.listen, d.domain, within, last)
		case <-time.After(300*time.Millisecond + rand.N(200*time.Millisecond)): //nolint:gosec // jitter, not a secret
		}
	}
}

// ask asks once.
func (d doorman) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: d.roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, d.listen)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+d.domain+"/_status", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var said struct {
		Status string `json:"status"`
	}
	// What is no JSON comes from a proxy in front of a Cinc Server that is not there.
	if err := json.NewDecoder(answer.Body).Decode(&said); answer.StatusCode != http.StatusOK || err != nil || said.Status != "pong" {
		return fmt.Errorf("/_status answers %s %s", answer.Status, said.Status)
	}
	return nil
}
