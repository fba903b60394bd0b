//go:build unix

// Package imds is a fake of EC2's instance metadata service, for the instances of a fake account: what it tells one of itself
// comes from test/fakeaws, so that the two never disagree. It is good enough for cloud-init's Ec2 datasource and for AWS's
// SDKs, and knows version 2 alone: without a token it answers nothing.
//
// Who asks is told by the address that the question comes from, as each instance has one.
//
//	AWS                                               | this fake
//	--------------------------------------------------+-----------------------------------------------------------
//	limits the hops of the answer with a token        | limits those of everything after it on the connection, too
//	has some 80 paths                                 | has those of tree.go; 404 for any other
//	signs the identity document                       | has the document alone
//	answers at fd00:ec2::254 too, where that is on    | has no IPv6
//	rotates a role's credentials                      | gives the same for an hour from each question on
//	limits packets per interface                      | answers everything
//	has an old form for each of its versions          | has the newest form under every version, but for tags
package imds

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cincbake/cincbake/test/fakeaws"
)

// Service is a metadata service. Its Handler answers; Listen is how it is to be reached.
type Service struct {
	account *fakeaws.Server
	now     func() time.Time

	mu       sync.Mutex
	hosts    map[netip.Addr]*host
	requests []Request
}

// host is an instance, as the service knows it.
type host struct {
	instance fakeaws.Instance // as it was started
	card     Card
	late     time.Duration // how long it hears nothing, from its first question on
	first    time.Time     // when that came
	tokens   map[string]time.Time
}

// Request is a request as it was recorded.
type Request struct {
	Instance string // empty: nobody knows where it came from
	Method   string
	Path     string
	Status   int // 0: nothing was answered
	Time     time.Time
}

// String is the request in one line, like "i-0… GET /latest/user-data: 200".
func (r Request) String() string {
	return fmt.Sprintf("%s %s %s: %d", cmp.Or(r.Instance, "nobody"), r.Method, r.Path, r.Status)
}

// New returns the metadata service of an account's instances. It answers those that were added.
func New(account *fakeaws.Server) *Service {
	return &Service{account: account, now: time.Now, hosts: map[netip.Addr]*host{}}
}

// Add makes the service answer an instance, as fakeaws.Machines gets it to start, and returns the card that it must have.
// What never changes is taken from it now; tags and where it stands in its group are looked up with each question.
func (s *Service) Add(ctx context.Context, i fakeaws.Instance) (Card, error) {
	card, err := s.cardOf(ctx, i)
	if err != nil {
		return Card{}, fmt.Errorf("instance %s: %w", i.ID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts[card.Address] = &host{instance: i, card: card, tokens: map[string]time.Time{}}
	return card, nil
}

// Remove makes the service know an instance no more.
func (s *Service) Remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for address, h := range s.hosts {
		if h.instance.ID == id {
			delete(s.hosts, address)
		}
	}
}

// Late makes the service deaf to a new instance for some time, from its first question on: its connections end without an
// answer.
func (s *Service) Late(id string, by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hosts {
		if h.instance.ID == id {
			h.late = by
		}
	}
}

// Requests returns those of an instance, or all with "", in the order in which they came.
func (s *Service) Requests(id string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.requests), func(r Request) bool { return id != "" && r.Instance != id })
}

const (
	tokenPath   = "latest/api/token"
	tokenHeader = "X-Aws-Ec2-Metadata-Token"
	ttlHeader   = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	maxTTL      = 21600
)

// ServeHTTP answers the instance that asks.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	recorder := &statusWriter{ResponseWriter: w}
	request := Request{Method: r.Method, Path: r.URL.Path, Time: s.now()}
	defer func() { // also where nothing is answered
		request.Status = recorder.status
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, request)
	}()
	h, deaf := s.asks(r.RemoteAddr)
	if h == nil {
		http.Error(recorder, "no instance has this address", http.StatusNotFound)
		return
	}
	request.Instance = h.instance.ID
	if deaf {
		panic(http.ErrAbortHandler) // closes the connection
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	switch {
	case h.instance.Metadata.Endpoint == "disabled":
		http.Error(recorder, "403 - Forbidden", http.StatusForbidden)
	case r.Method == http.MethodPut && path == tokenPath:
		s.giveToken(recorder, r, h)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(recorder, "405 - Method Not Allowed", http.StatusMethodNotAllowed)
	case !s.valid(h, r.Header.Get(tokenHeader)):
		http.Error(recorder, "401 - Unauthorized", http.StatusUnauthorized)
	default:
		s.tell(recorder, r, h, path)
	}
}

// asks finds the instance of an address, and whether the service is deaf to it.
func (s *Service) asks(remote string) (h *host, deaf bool) {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h = s.hosts[from.Addr().Unmap()]; h == nil {
		return nil, false
	}
	if h.first.IsZero() {
		h.first = s.now()
	}
	return h, s.now().Before(h.first.Add(h.late))
}

// giveToken answers with a token, which goes no further than the instance's hop limit says.
func (s *Service) giveToken(w http.ResponseWriter, r *http.Request, h *host) {
	seconds, err := strconv.Atoi(r.Header.Get(ttlHeader))
	switch {
	case r.Header.Get("X-Forwarded-For") != "": // through a proxy that somebody left open
		http.Error(w, "403 - Forbidden", http.StatusForbidden)
		return
	case err != nil || seconds < 1 || seconds > maxTTL:
		http.Error(w, "400 - Bad Request", http.StatusBadRequest)
		return
	}
	if conn, ok := r.Context().Value(connection{}).(net.Conn); ok {
		if err := limitHops(conn, max(h.instance.Metadata.Hops, 1)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	token := rand.Text()
	s.mu.Lock()
	h.tokens[token] = s.now().Add(time.Duration(seconds) * time.Second)
	s.mu.Unlock()
	w.Header().Set(ttlHeader, strconv.Itoa(seconds)) // an SDK for Go takes no token without it
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, token)
}

func (s *Service) valid(h *host, token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now().Before(h.tokens[token])
}

// tell answers a question of somebody who has a token.
func (s *Service) tell(w http.ResponseWriter, r *http.Request, h *host, path string) {
	version, rest, _ := strings.Cut(path, "/")
	if version == "" {
		_, _ = io.WriteString(w, strings.Join(versions(), "\n"))
		return
	}
	if !slices.Contains(versions(), version) {
		http.NotFound(w, r)
		return
	}
	tree, err := s.treeOf(r.Context(), h, version)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	content, ok := tree.read(rest)
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	if rest == "user-data" {
		w.Header().Set("Content-Type", "application/octet-stream")
	}
	_, _ = w.Write(content)
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	w.status = cmp.Or(w.status, http.StatusOK)
	return w.ResponseWriter.Write(p)
}
