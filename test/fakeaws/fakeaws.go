// Package fakeaws is a fake of those AWS services that baking calls, for tests: a server on the loopback device that keeps
// state, takes its time as AWS does, breaks when told to, and remembers every call.
//
// A client is pointed at it by its endpoint's address. Region and service are read from the signature's credential scope, so
// one address serves all regions and services. Each service is a file of its own: what it answers is a table of actions.
//
// What it is not:
//
//	AWS                                              | this fake
//	-------------------------------------------------+---------------------------------------------------------------
//	checks signatures and policies                   | needs a well-formed credential scope; denies what a Fault denies
//	has some 800 EC2 actions                         | has those in the table of ec2.go; InvalidAction for any other
//	ignores no parameter silently                    | ignores those that nothing here depends on; they are recorded
//	knows some 50 filters per Describe action        | knows those in each resource's field method; an error for others
//	takes seconds to minutes for a state to change   | takes Options.Polls describes, and the machine's own time
//	is eventually consistent: new ids may be unknown | knows an id at once
//	limits calls per action and region               | throttles when a Fault says so
//	has quotas and runs out of capacity              | has neither; the one limit is on user data, 16,384 bytes
//	gives addresses from the subnet                  | gives those of Options.Machines, or 127.0.0.1
//	has regions that must be opted into              | has the three of Regions, with three zones each
//	evaluates grants of KMS keys                     | knows one thing of keys: what the default key encrypts is not shared
//	copies blocks between volumes, snapshots, AMIs   | keeps sizes, types and encryption; no blocks
//	ends an instance that switched itself off        | does not notice; only calls stop and end instances
//	shows a terminated instance for an hour          | shows it for good
package fakeaws

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"sync"
	"time"
)

// Account is the account that all calls come from.
const Account = "111122223333"

// Regions are those that there are.
func Regions() []string { return []string{"eu-west-1", "eu-central-1", "us-east-1"} }

// Options are what a server is told in the beginning.
type Options struct {
	// Polls is how many describes show a resource in the state that it is leaving; with 0 everything happens at once.
	Polls int
	// Images are what other accounts publish. Their id, and what is needed to start from them, is filled in.
	Images []Image
	// Machines runs the instances; nil: they are entries alone.
	Machines Machines
	// Now is the clock; nil: the real one.
	Now func() time.Time
}

// Server is a running fake.
type Server struct {
	// URL is the address of every endpoint.
	URL string

	http     *httptest.Server
	services map[string]service
	ec2      *ec2
	now      func() time.Time
	closing  context.Context
	close    context.CancelFunc

	mu     sync.Mutex
	calls  []Call
	faults []*Fault
	last   int // the number of the last request
}

// service answers the calls of one service.
type service interface {
	// answer does what a call asks for and writes what it comes to, which it must not change any more then. The id is the
	// request's.
	answer(c *Call, id string) ([]byte, error)
	protocol() protocol
}

// New starts a server. Close ends it.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{now: o.Now}
	s.closing, s.close = context.WithCancel(context.Background())
	s.ec2 = newEC2(o)
	s.services = map[string]service{"ec2": s.ec2, "sts": sts{}}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = s.http.URL
	return s
}

// Close ends the server, after what it started in the background: machines are on their way down, or up, until then.
func (s *Server) Close() {
	s.close() // calls that hang go home
	s.http.Close()
	s.ec2.wait()
}

// maxBody is more than any call has.
const maxBody = 1 << 20

// scope is where a signature says what it is for: Credential=KEY/DATE/REGION/SERVICE/aws4_request.
var scope = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=[^/]+/[0-9]{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request,`)

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	call, id, began := &Call{Time: s.now()}, s.newRequest(), time.Now()
	var speak protocol = ec2Protocol{}
	text, err := func() ([]byte, error) {
		match := scope.FindStringSubmatch(r.Header.Get("Authorization"))
		if match == nil {
			return nil, &Error{Status: http.StatusUnauthorized, Code: "AuthFailure", Message: "the request has no signature of version 4"}
		}
		call.Region, call.Service = match[1], match[2]
		answering, ok := s.services[call.Service]
		if !ok {
			return nil, refuse("UnknownEndpoint", "there is no service %q here", call.Service)
		}
		speak = answering.protocol()
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			return nil, refuse("MalformedQueryString", "%v", err)
		}
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, refuse("MalformedQueryString", "%v", err)
		}
		call.Action, call.Params = values.Get("Action"), Params{values: values}
		return s.answer(r.Context(), answering, call, id)
	}()
	call.Took = time.Since(began)
	status := http.StatusOK
	if err != nil {
		said := asError(err)
		call.Code, status, text = said.Code, said.Status, speak.failure(id, said)
	}
	s.record(*call)
	if status == noAnswer {
		panic(http.ErrAbortHandler) // closes the connection
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// answer lets a fault have its way, and the service otherwise.
func (s *Server) answer(ctx context.Context, answering service, call *Call, id string) ([]byte, error) {
	fault := s.faultFor(*call)
	if fault == nil {
		return answering.answer(call, id)
	}
	call.Fault = fault.Name
	if fault.before != nil {
		return nil, fault.before
	}
	if fault.hangs {
		select {
		case <-ctx.Done(): // the client gave up
		case <-s.closing.Done():
		}
		return nil, &Error{Status: noAnswer, Code: "NoAnswer"}
	}
	call.stalled = fault.stalls
	reply, err := answering.answer(call, id)
	if err == nil && fault.after != nil {
		return nil, fault.after
	}
	return reply, err
}

// newRequest gives a request a name.
func (s *Server) newRequest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", s.last)
}

func (s *Server) record(c Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, c)
}
