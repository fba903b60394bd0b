package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const goiardiPort = 4545

// front is what nginx and erchef are to clients: TLS, the status, and the API behind it.
type front struct {
	layout      layout
	config      settings
	probes      map[string]func(context.Context) error // by the names that _status uses
	api         http.Handler
	certificate atomic.Pointer[tls.Certificate]
}

func newFront(l layout, c settings, probes map[string]func(context.Context) error, api *url.URL) *front {
	return &front{layout: l, config: c, probes: probes, api: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(api)
			r.Out.Host = r.In.Host // goiardi makes its links of it
			r.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			answer(w, http.StatusBadGateway, map[string]any{"error": []string{err.Error()}})
		},
		ErrorLog: log.Default(),
	}}
}

// reload reads the certificate again. One that can't be read leaves the old one in use.
func (f *front) reload() error {
	certificate, key := f.layout.certificates(f.config)
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return err
	}
	f.certificate.Store(&pair)
	return nil
}

func (f *front) tls() *tls.Config {
	return &tls.Config{ //nolint:gosec // it shows what Cinc Server shows
		MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, // Cinc Server's default speaks nothing newer
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if pair := f.certificate.Load(); pair != nil {
				return pair, nil
			}
			return nil, errors.New("no certificate")
		},
	}
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/_status":
		f.status(w, r)
	case r.URL.Path == "/version":
		fmt.Fprintln(w, label+"15.10.91") //nolint:errcheck // a client who left
	case r.Header.Get("X-Chef-Version") == "":
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintln(w, "<html><title>STAND-IN for Cinc Server</title><p>This is a test fixture.</html>") //nolint:errcheck // a client who left
	case r.Header.Get("X-Ops-Userid") == "" || r.Header.Get("X-Ops-Sign") == "":
		answer(w, http.StatusUnauthorized, map[string]any{"error": []string{"missing required authentication header(s) 'X-Ops-UserId', 'X-Ops-Sign'"}})
	case strings.HasPrefix(r.URL.Path, "/organizations/"):
		answer(w, http.StatusNotImplemented, map[string]any{"error": []string{label + "goiardi has no organizations: use the root URL"}})
	default:
		f.api.ServeHTTP(w, r)
	}
}

// status asks everything that the API needs. What fails or is too slow makes it 500.
func (f *front) status(w http.ResponseWriter, r *http.Request) {
	timeout := time.Duration(f.config.number("opscode_erchef", "health_ping_timeout", 400)) * time.Millisecond
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	type result struct {
		name string
		err  error
	}
	results := make(chan result, len(f.probes))
	for name, probe := range f.probes {
		go func() { results <- result{name, probe(ctx)} }()
	}
	code, word, upstreams := http.StatusOK, "pong", map[string]string{}
	for range f.probes {
		got := <-results
		upstreams[got.name] = "pong"
		if got.err != nil {
			upstreams[got.name] = "fail"
			code, word = http.StatusInternalServerError, "fail"
			log.Printf("%s_status: %s: %v", label, got.name, got.err)
		}
	}
	answer(w, code, map[string]any{
		"status": word, "upstreams": upstreams, "keygen": map[string]int{"keys": 10, "max": 10, "max_workers": 1, "cur_max_workers": 1, "inflight": 0, "avail_workers": 1, "start_size": 0},
		"indexing": map[string]any{"mode": "batch"},
	})
}

func answer(w http.ResponseWriter, code int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // a client who left
}

// redirect sends everybody to TLS.
func redirect(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusMovedPermanently) //nolint:gosec // nginx does the same
}

// probesOf asks goiardi, the database and the search.
func probesOf(s server, secrets store, search search) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		// goiardi does the work of erchef and bifrost.
		"oc_chef_authz": func(ctx context.Context) error {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(goiardiPort)+"/", nil)
			if err != nil {
				return err
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			return response.Body.Close() // any answer, also that a signature is missing
		},
		"chef_sql": func(ctx context.Context) error {
			conn, err := s.chef(ctx, secrets)
			if err != nil {
				return err
			}
			defer conn.Close(ctx) //nolint:errcheck // only read
			var one int
			return conn.QueryRow(ctx, "SELECT 1 FROM users LIMIT 1").Scan(&one)
		},
		"chef_opensearch": func(ctx context.Context) error {
			status, _, err := search.ask(ctx, http.MethodGet, "/chef", "")
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("GET /chef: %d", status)
			}
			return err
		},
	}
}
