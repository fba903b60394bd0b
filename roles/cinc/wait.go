package cinc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// login waits for a login on the database's primary.
type login struct{ database Database }

var _ step.Action = login{}

func (login) Check(context.Context, *step.Run) (bool, error) { return false, nil }

func (l login) Apply(ctx context.Context, _ *step.Run) error { return l.database.Reachable(ctx) }

func (l login) String() string {
	return fmt.Sprintf("log in at %s as %s", l.database, l.database.Owner)
}

// md5Roles makes the owner's sessions store passwords as md5: Cinc Server makes its roles in one, and its driver is not
// known to speak SCRAM. The cluster's own database is made so.
type md5Roles struct{ database Database }

var _ step.Action = md5Roles{}

func (m md5Roles) Check(ctx context.Context, _ *step.Run) (bool, error) {
	how, err := m.database.ask(ctx, templateDatabase, "show password_encryption")
	return how == "md5", err
}

func (m md5Roles) Apply(ctx context.Context, _ *step.Run) error {
	_, err := m.database.ask(ctx, templateDatabase, "alter role current_user set password_encryption = 'md5'")
	return err
}

func (m md5Roles) String() string {
	return "set password_encryption to md5 for " + m.database.Owner + " at " + m.database.String()
}

// searchAnswers waits for the search behind the router: every reconfigure asks it for its version.
type searchAnswers struct {
	in  role.Inputs
	url string
}

var _ step.Action = searchAnswers{}

func (searchAnswers) Check(context.Context, *step.Run) (bool, error) { return false, nil }

func (s searchAnswers) Apply(ctx context.Context, _ *step.Run) error { return s.try(ctx) }

func (s searchAnswers) String() string { return "ask the search for its version and health" }

// searchMajor is the only major of OpenSearch that Cinc Server 15 accepts.
const searchMajor = "1"

func (s searchAnswers) try(ctx context.Context) error {
	const hint = "look at the search nodes, or at the external search and its password"
	var about struct {
		Version struct {
			Number string `json:"number"`
		} `json:"version"`
	}
	if err := s.get(ctx, "/", &about); err != nil {
		return &role.NotYet{Reason: fmt.Sprintf("the search does not answer: %v", err), Hint: hint}
	}
	if major, _, _ := strings.Cut(about.Version.Number, "."); major != searchMajor {
		return &role.Refusal{
			Reason: fmt.Sprintf("the search says that it is version %q, and Cinc Server accepts %s.x alone", about.Version.Number, searchMajor),
			Hint:   "give the cluster an OpenSearch of that major: cincbake compat",
		}
	}
	if s.in.Cluster.OpenSearch.External != nil {
		return nil // its user may not have the right to ask for more
	}
	var health struct {
		Status string `json:"status"`
	}
	if err := s.get(ctx, "/_cluster/health", &health); err != nil {
		return &role.NotYet{Reason: fmt.Sprintf("the search does not say how it is: %v", err), Hint: hint}
	}
	// A red index is no reason to wait: Cinc Server makes the one that it needs, and cincbake reindex mends a lost one.
	return nil
}

// requestTime bounds one request of a probe.
const requestTime = 5 * time.Second

func (s searchAnswers) get(ctx context.Context, path string, into any) error {
	return s.ask(ctx, http.MethodGet, path, into)
}

// ask makes one request. What it answers is read into into, unless that is nil.
func (s searchAnswers) ask(ctx context.Context, method, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, nil)
	if err != nil {
		return err
	}
	request.SetBasicAuth(SearchUser(s.in), s.in.Secrets.Cinc.Search.Reveal())
	// A transport of its own: no proxy of the environment, no connection left open.
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // read to its end or not wanted
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, response.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(into)
}

// memory refuses a machine that is too small for Cinc Server's own search.
type memory struct{ bytes uint64 }

var _ step.Action = memory{}

// leastMemory is what the search's preflight asks for (OPENSEARCH002).
const leastMemory = 3072 << 20

func (m memory) Check(context.Context, *step.Run) (bool, error) { return m.bytes >= leastMemory, nil }

func (m memory) Apply(context.Context, *step.Run) error {
	return &role.Refusal{
		Reason: fmt.Sprintf("the machine has %d MiB of memory, and Cinc Server with its own search needs %d", m.bytes>>20, leastMemory>>20),
		Hint:   "give it at least 4 GiB, better 8",
	}
}

func (memory) String() string { return fmt.Sprintf("compare the memory with %d MiB", leastMemory>>20) }
