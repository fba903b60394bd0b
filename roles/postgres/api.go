package postgres

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
)

// API is Patroni's REST API on one node.
type API struct {
	in   role.Inputs
	node cluster.Node
	url  string

	between time.Duration // two questions; 0: a second
}

func (a API) pause() time.Duration { return cmp.Or(a.between, time.Second) }

// APIOf returns the API of a node, spoken to as the machine of the inputs.
func APIOf(in role.Inputs, node cluster.Node) API {
	return API{in: in, node: node, url: fmt.Sprintf("https://%s:%d", node.Address, cluster.PortPatroni)}
}

// Member is a member of the cluster as Patroni reports it.
type Member struct {
	Name     string
	Role     string // leader, replica, sync_standby
	State    string // running, streaming, …
	Timeline int
}

// Members returns the members as the whole cluster sees them.
func (a API) Members(ctx context.Context) ([]Member, error) {
	var out struct{ Members []Member }
	err := a.call(ctx, http.MethodGet, "/cluster", nil, &out)
	return out.Members, err
}

// Status returns the node's own view, with the effective failover settings.
func (a API) Status(ctx context.Context) (cluster.Database, error) {
	var self struct {
		State    string
		Role     string
		Timeline int
		Sync     bool `json:"sync_standby"`
		Xlog     struct {
			Received int64 `json:"received_location"`
			Replayed int64 `json:"replayed_location"`
		}
		Replication string `json:"replication_state"`
	}
	if err := a.call(ctx, http.MethodGet, "/patroni", nil, &self); err != nil {
		return cluster.Database{}, err
	}
	settings, err := a.settings(ctx)
	if err != nil {
		return cluster.Database{}, err
	}
	db := cluster.Database{
		State: self.State, Role: self.Role, Timeline: self.Timeline,
		TTL: settings.TTL, LoopWait: settings.LoopWait, RetryTimeout: settings.RetryTimeout,
	}
	if self.Role == "replica" {
		db.LagBytes = self.Xlog.Received - self.Xlog.Replayed
		if self.Replication != "" {
			db.State = self.Replication
		}
		if self.Sync {
			db.Role = "sync_standby"
		}
	}
	return db, nil
}

type settings struct {
	TTL          int
	LoopWait     int `json:"loop_wait"`
	RetryTimeout int `json:"retry_timeout"`
}

func (a API) settings(ctx context.Context) (settings, error) {
	var out settings
	err := a.call(ctx, http.MethodGet, "/config", nil, &out)
	return out, err
}

// ErrNoPrimary is a cluster without a primary at the moment.
var ErrNoPrimary = errors.New("the cluster has no primary at the moment")

// Switchover makes another member primary and returns both names. An empty to leaves the choice to Patroni, which takes a
// synchronous standby.
func (a API) Switchover(ctx context.Context, to string) (from, now string, err error) {
	members, err := a.Members(ctx)
	if err != nil {
		return "", "", err
	}
	for _, m := range members {
		switch {
		case m.Role == "leader":
			from = m.Name
		case m.Role == "sync_standby" && to == "":
			to = m.Name
		}
	}
	switch {
	case from == "":
		return "", "", ErrNoPrimary
	case to == "":
		return "", "", fmt.Errorf("no synchronous standby can take over from %s now", from)
	case from == to:
		return from, to, nil
	}
	for limit := time.Now().Add(candidatePatience); ; {
		err = a.call(ctx, http.MethodPost, "/switchover", map[string]string{"leader": from, "candidate": to}, nil)
		if !unheard(err) || time.Now().After(limit) {
			return from, to, err
		}
		if err := role.Pause(ctx, a.pause()); err != nil {
			return from, to, err
		}
	}
}

// candidatePatience is how long a synchronous standby may give Patroni no answer. Patroni asks it once, for two seconds; one that
// had just joined, on a busy host, was not heard in a rollout though it streamed. Nothing has changed then, so it can be asked
// again.
const candidatePatience = 20 * time.Second

// unheard tells whether Patroni's answer is that no candidate answered it (patroni/api.py, is_failover_possible).
func unheard(err error) bool {
	var said *answerError
	return errors.As(err, &said) && said.status == http.StatusPreconditionFailed && strings.Contains(said.text, "no good candidates")
}

// Nudge makes the node's Patroni, if it is primary, look for a synchronous standby now: when there is a candidate and no
// standby yet, or when the standby was shut down in good order. Its own next look may be loop_wait away, and until then a
// second failure can't be failed over, or every write waits for a standby that is gone.
func (a API) Nudge(ctx context.Context) error {
	members, err := a.Members(ctx)
	if err != nil {
		return err
	}
	var leads, candidate bool
	for _, m := range members {
		switch {
		case m.Role == "sync_standby" && m.State != "stopped":
			return nil
		case m.Role == "sync_standby":
			candidate = true
		case m.Role == "leader":
			leads = m.Name == a.node.Name
		case m.State == "running" || m.State == "streaming":
			candidate = true
		}
	}
	if !leads || !candidate {
		return nil
	}
	// A change of the configuration wakes Patroni's loop, also one that changes nothing.
	return a.call(ctx, http.MethodPatch, "/config", map[string]int{"loop_wait": loopWait}, nil)
}

// readiness holds once the node is primary, or a replica that streams from it.
func readiness(ctx context.Context, in role.Inputs) error {
	return APIOf(in, in.Self).call(ctx, http.MethodGet, "/readiness", nil, nil)
}

// effective compares the settings in force with ours: Patroni changes values that it finds too small without an error.
func effective(ctx context.Context, in role.Inputs) error {
	got, err := APIOf(in, in.Self).settings(ctx)
	if err != nil {
		return err
	}
	if want := (settings{ttl, loopWait, retryTimeout}); got != want {
		return fmt.Errorf("ttl, loop_wait, retry_timeout are %v, not %v", got, want)
	}
	return nil
}

// callTimeout bounds one call. A switchover answers only when it is through.
const callTimeout = 60 * time.Second

func (a API) call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	tls, err := a.in.Secrets.ClientTLS()
	if err != nil {
		return err
	}
	tls.ServerName = a.node.Name
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, a.url+path, body)
	if err != nil {
		return err
	}
	if in != nil && a.in.Secrets.Postgres != nil {
		request.SetBasicAuth(userRestAPI, a.in.Secrets.Postgres.RestAPI.Reveal())
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: tls, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	// GET /patroni answers 503 from a member that is not up, with the document all the same.
	if response.StatusCode != http.StatusOK && (path != "/patroni" || !json.Valid(text)) {
		return &answerError{a.node.Name, path, response.StatusCode, strings.TrimSpace(response.Status + " " + firstLine(text))}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// answerError is an answer of Patroni's that says no.
type answerError struct {
	node, path string
	status     int
	text       string
}

func (e *answerError) Error() string {
	return fmt.Sprintf("patroni on %s: %s: %s", e.node, e.path, e.text)
}

func firstLine(text []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return line[:min(len(line), 200)]
}
