package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
)

func newTestFront(t *testing.T, probes map[string]func(context.Context) error, c settings) (*front, *httptest.Server) {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "api "+r.Host+r.URL.Path+" "+r.Header.Get("X-Forwarded-Proto"))
	}))
	t.Cleanup(api.Close)
	where, err := url.Parse(api.URL)
	if err != nil {
		t.Fatal(err)
	}
	f := newFront(layout{t.TempDir()}, c, probes, where)
	s := httptest.NewTLSServer(f)
	t.Cleanup(s.Close)
	return f, s
}

func get(t *testing.T, s *httptest.Server, path string, header map[string]string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	request.Host = "chef.example.com"
	client := s.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body) + response.Header.Get("Location")
}

func TestFrontRoutes(t *testing.T) {
	_, s := newTestFront(t, nil, settings{})
	chef := map[string]string{"X-Chef-Version": "18.0.0"}
	signed := map[string]string{"X-Chef-Version": "18.0.0", "X-Ops-Userid": "pivotal", "X-Ops-Sign": "algorithm=sha1;version=1.0;"}
	for _, test := range []struct {
		path   string
		header map[string]string
		code   int
		says   string
	}{
		{"/organizations/x/nodes", chef, 401, "X-Ops-Sign"},
		{"/organizations/x/nodes", nil, 200, "<html>"}, // what nginx shows a browser
		{"/organizations/x/nodes", signed, 501, "no organizations"},
		{"/nodes", signed, 200, "api chef.example.com/nodes https"},
		{"/nodes", chef, 401, ""},
		{"/version", nil, 200, "15.10.91"},
	} {
		if code, body := get(t, s, test.path, test.header); code != test.code || !strings.Contains(body, test.says) {
			t.Errorf("%s %v: %d %q, want %d %q", test.path, test.header, code, body, test.code, test.says)
		}
	}
}

func TestStatus(t *testing.T) {
	pong := func(context.Context) error { return nil }
	slow := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	broken := func(context.Context) error { return errors.New("down") }
	for _, test := range []struct {
		name    string
		authz   func(context.Context) error
		sql     func(context.Context) error
		code    int
		status  string
		failing string
	}{
		{"all answer", pong, pong, 200, "pong", ""},
		{"goiardi is down", broken, pong, 500, "fail", "oc_chef_authz"},
		{"the database is down", pong, broken, 500, "fail", "chef_sql"},
		{"the database hangs", pong, slow, 500, "fail", "chef_sql"},
	} {
		_, s := newTestFront(t, map[string]func(context.Context) error{"oc_chef_authz": test.authz, "chef_sql": test.sql}, settings{"opscode_erchef": {"health_ping_timeout": 50}})
		code, body := get(t, s, "/_status", nil)
		var got struct {
			Status    string
			Upstreams map[string]string
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		if code != test.code || got.Status != test.status || len(got.Upstreams) != 2 || test.failing != "" && got.Upstreams[test.failing] != "fail" {
			t.Errorf("%s: %d %+v", test.name, code, got)
		}
	}
}

func TestRedirect(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(redirect))
	defer s.Close()
	if code, where := get(t, s, "/a?b=c", nil); code != 301 || !strings.HasSuffix(where, "https://chef.example.com/a?b=c") {
		t.Errorf("%d %s", code, where)
	}
}

// A renewed certificate counts after "hup"; a broken one leaves the old one in use.
func TestReload(t *testing.T) {
	f, _ := newTestFront(t, nil, settings{})
	serial := func() string {
		pair, err := f.tls().GetCertificate(nil)
		if err != nil {
			return err.Error()
		}
		return pair.Leaf.SerialNumber.String()
	}
	certificate, key := f.layout.certificates(f.config)
	r := &reconfiguration{invocation: invocation{layout: f.layout}, config: f.config}
	made := func() {
		t.Helper()
		if err := errors.Join(os.RemoveAll(certificate), os.RemoveAll(key), r.makeCertificate(), f.reload()); err != nil {
			t.Fatal(err)
		}
	}
	made()
	before := serial()
	made()
	after := serial()
	if before == after {
		t.Error("the renewed certificate does not count")
	}
	if err := write(certificate, []byte("broken"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := f.reload(); err == nil || serial() != after {
		t.Errorf("a broken certificate: %v, serving %s", err, serial())
	}
	// The listener speaks what the real one speaks.
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: f, TLSConfig: f.tls()} //nolint:gosec // for one request
	go func() { _ = server.ServeTLS(l, "", "") }()
	defer server.Close()                                                                                                         //nolint:errcheck // it served
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", l.Addr().String()) //nolint:gosec // it is our own
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // only looked at
	if state := conn.(*tls.Conn).ConnectionState(); state.Version != tls.VersionTLS12 || state.PeerCertificates[0].SerialNumber.String() != after {
		t.Errorf("served %x, %s", state.Version, state.PeerCertificates[0].SerialNumber)
	}
}
