// Package fakeaws is a fake of those AWS services that baking and launching call, for tests: a server on the loopback device
// that keeps state, takes its time as AWS does, breaks when told to, and remembers every call.
//
// A client is pointed at it by its endpoint's address. Region and service are read from the signature's credential scope, so
// one address serves all regions and services: ec2, autoscaling, elasticloadbalancing, ssm, secretsmanager, s3 (buckets in the
// path), iam, sts and servicequotas. Each service is a table of actions in a file of its own. All share one lock and one clock,
// which Advance puts forward.
//
// What it is not:
//
//	AWS                                              | this fake
//	-------------------------------------------------+---------------------------------------------------------------
//	checks signatures and policies                   | needs a well-formed credential scope; holds those to policies whom Limit names
//	has some 800 EC2 actions                         | has those in the table of ec2.go; InvalidAction for any other
//	ignores no parameter silently                    | ignores those that nothing here depends on; they are recorded
//	knows some 50 filters per Describe action        | knows those in each resource's field method; an error for others
//	takes seconds to minutes for a state to change   | takes Options.Polls describes, and the machine's own time
//	is eventually consistent: new ids may be unknown | knows an id at once
//	limits calls per action and region               | throttles when a Fault says so
//	has quotas and runs out of capacity              | tells quotas and keeps to none; a zone lacks a type when Lack says so
//	gives addresses from the subnet                  | gives those of Options.Machines, or 127.0.0.1, or a named interface's
//	has regions that must be opted into              | has the three of Regions, with three zones each
//	evaluates grants of KMS keys                     | knows one thing of keys: what the default key encrypts is not shared
//	copies blocks between volumes, snapshots, AMIs   | keeps sizes, types and encryption; no blocks
//	ends an instance that switched itself off        | does not notice; only calls stop and end instances
//	shows a terminated instance for an hour          | shows it for good
//	forgets a client's token after a time            | keeps it for good
//	runs many instances in one call                  | runs one
//	warns of a template that cannot be launched      | keeps it; checks user data alone until an instance runs
//	says how a template's parts merge with a call's  | takes a part as the call has it, whole; adds up tags
//	makes disks and types from many families         | works out processors and memory from a type's name, roughly
//	holds protection of an image a day after its end | ends it at once
//	refuses an instance profile that there is not    | runs it; GetInstanceProfile knows those of AddInstanceProfile
//	has policies of resources, boundaries, sessions  | knows identities' policies alone, and what Forbid denies
//	knows some hundred condition keys                | knows those of policy.Keys; an error for others, as for NotAction and the like
//	asks IAM of what there is not, too               | lets the action say that it is not there, where the name says nothing
//	checks a template's permissions when it changes  | checks them whenever a call gives a group a template
//	has a key policy, and grants that are spent      | asks whether the caller's policies allow the key; an alias is a key's id
//	has buckets with a key of their own              | asks about the key that a call names
//	keeps versions, policies and classes of objects  | keeps the last body, its type, metadata and checksums
//	takes objects in parts and in chunks             | takes one body, 64 MiB at most
//	encrypts parameters and secrets                  | keeps them as they are, and records them
//	has labels of parameters, and rotation           | has neither
//	deletes a secret after its days                  | hides it for good
//	reacts to instances within a minute or so        | looks when an autoscaling call comes, or Advance lets time pass
//	balances zones again, cools down, has policies   | starts where fewest are; ends the oldest of the fullest zone
//	scales mixed instances, warm pools, standby      | has none of them
//	ends what a hook holds after 48 hours            | lets heartbeats go on for ever
//	waits for protected instances in a refresh       | replaces them
//	fails a refresh by rules that are not all told   | fails it when nothing was replaced for an hour
//	bakes, and watches alarms                        | does neither
//	checks targets by their port                     | finds them healthy, after Options.Polls and Options.Register, until SetTargetHealth
//	drains targets for some minutes                  | forgets them at once
package fakeaws

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
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
	// Now is the clock; nil: the real one. Advance puts it forward.
	Now func() time.Time
	// Boot is how long the instances of autoscaling groups take until they complete the lifecycle hook that holds them; with 0
	// they never do, and calls must.
	Boot time.Duration
	// Register is how long a load balancer takes until it leads connections to a new target.
	Register time.Duration
	// WarmUp is the longest that a refresh lets an instance warm up, for suites whose clock is the real one; 0: as long as the
	// refresh was told.
	WarmUp time.Duration
}

// Server is a running fake.
type Server struct {
	// URL is the address of every endpoint.
	URL string

	http     *httptest.Server
	services map[string]service
	ec2      *ec2
	s3       *s3
	ssm      *ssm
	vault    *vault
	elb      *elb
	scaling  *scaling
	iam      *iam
	quotas   *quotas
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
	s := &Server{}
	s.closing, s.close = context.WithCancel(context.Background())
	s.ec2 = newEC2(o)
	s.s3, s.ssm = newS3(s.ec2), newSSM(s.ec2)
	s.elb, s.iam, s.quotas = &elb{ec2: s.ec2}, &iam{ec2: s.ec2, callers: map[string]caller{}}, &quotas{s.ec2, map[string]float64{}}
	s.vault, s.scaling = &vault{ec2: s.ec2}, newScaling(s.ec2, s.elb)
	s.ec2.parameter = func(region, name string) (string, error) {
		v, err := s.ssm.find(region, name)
		return v.Value, err
	}
	s.services = map[string]service{
		"ec2": s.ec2, "s3": s.s3.service(), "sts": sts{},
		"ssm": s.ssm.service(), "secretsmanager": s.vault.service(),
		"elasticloadbalancing": s.elb.service(), "iam": s.iam.service(), "autoscaling": s.scaling.service(), "servicequotas": s.quotas.service(),
	}
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
const maxBody = 64 << 20

// scope is where a signature says what it is for: Credential=KEY/DATE/REGION/SERVICE/aws4_request.
var scope = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/]+)/[0-9]{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request,`)

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	call, id, began := &Call{Time: s.ec2.now()}, s.newRequest(), time.Now()
	var speak protocol = ec2Protocol{}
	text, err := func() ([]byte, error) {
		match := scope.FindStringSubmatch(r.Header.Get("Authorization"))
		if match == nil {
			return nil, &Error{Status: http.StatusUnauthorized, Code: "AuthFailure", Message: "the request has no signature of version 4"}
		}
		call.Key, call.Region, call.Service = match[1], match[2], match[3]
		answering, ok := s.services[call.Service]
		if !ok {
			return nil, refuse("UnknownEndpoint", "there is no service %q here", call.Service)
		}
		speak = answering.protocol()
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			return nil, refuse("MalformedQueryString", "%v", err)
		}
		if err := speak.read(r, body, call); err != nil {
			return nil, err
		}
		if err := s.may(call); err != nil {
			return nil, err
		}
		return s.answer(r.Context(), answering, call, id)
	}()
	call.Took = time.Since(began)
	status := cmp.Or(call.status, http.StatusOK)
	if err != nil {
		said := asError(err)
		call.Code, status, text = said.Code, said.Status, speak.failure(id, said)
		call.header.Del("Content-Length") // of what is not answered
	}
	s.record(*call)
	if call.crash != nil {
		call.crash() // after the record: the test that waits for the client reads it
	}
	if status == noAnswer {
		panic(http.ErrAbortHandler) // closes the connection
	}
	w.Header().Set("Content-Type", speak.content())
	maps.Copy(w.Header(), call.header)
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// answer lets a fault have its way, and the service otherwise.
func (s *Server) answer(ctx context.Context, answering service, call *Call, id string) ([]byte, error) {
	fault := s.faultFor(*call)
	if fault == nil {
		return answering.answer(call, id)
	}
	call.Fault, call.stalled = fault.Name, fault.stalls
	strike := func() error {
		call.crash = fault.crash
		return fault.strike(ctx, s.closing.Done(), call.Service)
	}
	if !fault.late {
		if err := strike(); err != nil {
			return nil, err
		}
	}
	reply, err := answering.answer(call, id)
	if err == nil && fault.late {
		err = strike()
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
