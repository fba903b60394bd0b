// Package mirrortest serves, to tests, a mirror of Debian and a proxy on this host. Both pass on what the real ones say.
package mirrortest

import (
	"encoding/base64"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"
)

// debian is where packages really come from.
const debian = "http://deb.debian.org"

// Server is a mirror or a proxy.
type Server struct {
	URL string
	// CA is the certificate authority that signed a mirror's certificate, PEM.
	CA string
	// Served counts the requests.
	Served atomic.Int64
}

// New serves a mirror over HTTPS, by a certificate that nobody knows.
func New(t *testing.T) *Server {
	t.Helper()
	s := new(Server)
	server := httptest.NewTLSServer(s.counted(passOn(t)))
	t.Cleanup(server.Close)
	s.URL = server.URL
	s.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return s
}

// Plain serves a mirror over HTTP.
func Plain(t *testing.T) *Server {
	t.Helper()
	s := new(Server)
	server := httptest.NewServer(s.counted(passOn(t)))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Proxy serves an HTTP proxy that asks for user and password, which are part of its URL.
func Proxy(t *testing.T) *Server {
	t.Helper()
	s := new(Server)
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:secret"))
	server := httptest.NewServer(s.counted(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != want {
			w.Header().Set("Proxy-Authenticate", "Basic")
			http.Error(w, "who are you", http.StatusProxyAuthRequired)
			return
		}
		if r.Method != http.MethodConnect {
			(&httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}}).ServeHTTP(w, r)
			return
		}
		connect(w, r)
	})))
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword("user", "secret")
	s.URL = address.String()
	return s
}

func (s *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Served.Add(1)
		next.ServeHTTP(w, r)
	})
}

func passOn(t *testing.T) http.Handler {
	t.Helper()
	target, err := url.Parse(debian)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = target.Host
	}}
}

// connect joins the client with the host that it names.
func connect(w http.ResponseWriter, r *http.Request) {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	far, err := dialer.DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer far.Close()
	near, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer near.Close()
	if _, err := io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			done <- struct{}{}
		}()
	}
	<-done
}
