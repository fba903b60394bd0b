package cinc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// login waits for a login on the database's primary. A connection alone proves nothing: the router accepts before it knows
// any primary, and what Cinc Server starts too early then hangs.
type login struct{ database Database }

var _ step.Action = login{}

func (login) Check(context.Context, *step.Run) (bool, error) { return false, nil }

func (l login) Apply(ctx context.Context, run *step.Run) error { return l.try(ctx, run) }

func (l login) String() string {
	return fmt.Sprintf("log in at %s as %s", l.database, l.database.Owner)
}

func (l login) try(ctx context.Context, runner step.Runner) error {
	const hint = "look at the database nodes, or at the external database and its password"
	standby, err := ask(ctx, runner, l.database, "select pg_is_in_recovery()")
	switch {
	case err != nil:
		return &role.NotYet{Reason: fmt.Sprintf("no login on the database at %s: %v", l.database, err), Hint: hint}
	case standby != "f":
		return &role.NotYet{Reason: fmt.Sprintf("the database at %s is a standby", l.database), Hint: hint}
	}
	return nil
}

// ask runs one statement as the databases' owner and returns what it answers.
func ask(ctx context.Context, runner step.Runner, where Database, statement string) (string, error) {
	out, err := runner.Run(ctx, step.Command{
		Argv: []string{
			"psql", "--no-psqlrc", "--no-password", "--no-align", "--tuples-only", "--quiet", "--set=ON_ERROR_STOP=1",
			"--dbname=" + where.conninfo(), "--command=" + statement,
		},
		Env: []string{"PGPASSFILE=" + PassFile},
	})
	return strings.TrimSpace(string(out.Stdout)), err
}

// conninfo names the database that exists on every server.
func (d Database) conninfo() string {
	mode := "disable"
	if d.TLS {
		mode = "require"
	}
	owner := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(d.Owner)
	return fmt.Sprintf("host=%s port=%d user='%s' dbname=template1 sslmode=%s connect_timeout=5", databaseHost, cluster.PortPostgres, owner, mode)
}

// passLine is the owner's line of a password file.
func (d Database) passLine(password string) []byte {
	escape := strings.NewReplacer(`\`, `\\`, `:`, `\:`)
	return fmt.Appendf(nil, "%s:*:%s:%s\n", d, escape.Replace(d.Owner), escape.Replace(password))
}

// md5Roles makes the owner's sessions store passwords as md5: Cinc Server makes its roles in one, and its driver is not
// known to speak SCRAM. The cluster's own database is made so.
type md5Roles struct{ database Database }

var _ step.Action = md5Roles{}

func (m md5Roles) Check(ctx context.Context, run *step.Run) (bool, error) {
	how, err := ask(ctx, run, m.database, "show password_encryption")
	return how == "md5", err
}

func (m md5Roles) Apply(ctx context.Context, run *step.Run) error {
	_, err := ask(ctx, run, m.database, "alter role current_user set password_encryption = 'md5'")
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
	if health.Status != "green" && health.Status != "yellow" {
		return &role.NotYet{Reason: fmt.Sprintf("the search is %q", health.Status), Hint: hint}
	}
	return nil
}

// requestTime bounds one request of a probe.
const requestTime = 5 * time.Second

func (s searchAnswers) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
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
		return fmt.Errorf("GET %s: %s", path, response.Status)
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
