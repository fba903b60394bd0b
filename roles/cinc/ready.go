package cinc

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Ready returns what must hold before Cinc Server counts as ready.
func Ready(in role.Inputs) []role.Probe {
	var probes []role.Probe
	if in.Self.Role == cluster.RoleAPI {
		probes = append(probes,
			role.Probe{
				Title: "database login", Hint: "the router beside Cinc Server knows no primary: look at the database nodes", Deadline: 5 * time.Minute,
				Run: func(ctx context.Context, _ step.Host) error { return DatabaseOf(in).Reachable(ctx) },
			},
			role.Probe{
				Title: "search", Hint: "the router beside Cinc Server knows no search node: look at those", Deadline: 5 * time.Minute,
				Run: func(ctx context.Context, _ step.Host) error { return searchAnswers{in, searchURL()}.try(ctx) },
			})
	}
	const hint = Ctl + " status, then " + Ctl + " tail"
	front := loopback(in)
	probes = append(probes,
		role.Probe{
			Title: "Cinc Server's status", Hint: hint, Deadline: 10 * time.Minute,
			Run: func(ctx context.Context, _ step.Host) error { return front.status(ctx) },
		},
		role.Probe{
			Title: "Cinc Server's routing", Hint: hint, Deadline: 2 * time.Minute,
			Run: func(ctx context.Context, _ step.Host) error { return front.routing(ctx) },
		})
	if argv := in.Cluster.Cinc.PostReady; len(argv) > 0 {
		probes = append(probes, role.Probe{
			Title: "postReady hook", Hint: "the spec's own program: journalctl -u cincbake-boot", Deadline: 10 * time.Minute, Acts: true,
			Run: func(ctx context.Context, host step.Host) error {
				run := step.NewRun(host)
				h := hook{argv: argv, marker: postReadyMarker}
				if done, err := h.Check(ctx, run); done || err != nil {
					return err
				}
				return h.Apply(ctx, run)
			},
		})
	}
	return probes
}

// front asks this machine's nginx under the clients' name.
type front struct {
	address     string // host and port
	domain      string
	certificate string // PEM: what nginx was given
}

func loopback(in role.Inputs) front {
	return front{
		address:     net.JoinHostPort("127.0.0.1", strconv.Itoa(cluster.PortHTTPS)),
		domain:      in.Cluster.Domain,
		certificate: in.Secrets.Front.Certificate,
	}
}

// status is what the balancer asks too: erchef, and through it the database, the search and bifrost.
func (f front) status(ctx context.Context) error {
	code, health, err := f.health(ctx)
	if err != nil || health.Status == pong {
		return err
	}
	return fmt.Errorf("_status answers %d %q; failing: %s", code, health.Status, strings.Join(health.failing(), ", "))
}

// pong is how whatever is well answers.
const pong = "pong"

// health is what _status says.
type health struct {
	Status    string            `json:"status"`
	Upstreams map[string]string `json:"upstreams"`
}

// failing returns the upstreams that are not well, sorted.
func (h health) failing() []string {
	var failing []string
	for name, state := range h.Upstreams {
		if state != pong {
			failing = append(failing, name)
		}
	}
	slices.Sort(failing)
	return failing
}

func (f front) health(ctx context.Context) (code int, h health, err error) {
	code, body, err := f.get(ctx, "/_status", nil)
	if err != nil {
		return code, h, err
	}
	if err := json.Unmarshal(body, &h); err != nil {
		return code, h, fmt.Errorf("_status answers %d without a document", code)
	}
	if code != http.StatusOK && h.Status == pong {
		h.Status = "fail" // the code is what a balancer goes by
	}
	return code, h, nil
}

// routing goes the way that _status does not: through nginx's own routing and its redis to an API that wants a signature.
// Without the version header nginx would show its welcome page.
func (f front) routing(ctx context.Context) error {
	code, _, err := f.get(ctx, "/organizations/x/nodes", http.Header{"X-Chef-Version": {"18.0.0"}})
	if err == nil && code != http.StatusUnauthorized {
		err = fmt.Errorf("an unsigned request is answered %d and not %d", code, http.StatusUnauthorized)
	}
	return err
}

func (f front) get(ctx context.Context, path string, header http.Header) (code int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+f.domain+path, nil)
	if err != nil {
		return 0, nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{
			ServerName: f.domain,
			MinVersion: tls.VersionTLS12,
			// Not the chain, which may be any authority's, but the very certificate is what must be served.
			InsecureSkipVerify: true, //nolint:gosec // see above and VerifyConnection
			VerifyConnection:   f.verify,
		},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, f.address)
		},
	}}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close() //nolint:errcheck // read to its end
	body, err = io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, body, err
}

// verify compares the served certificate with the one that was written.
func (f front) verify(state tls.ConnectionState) error {
	block, _ := pem.Decode([]byte(f.certificate))
	if block == nil || len(state.PeerCertificates) == 0 || !bytes.Equal(block.Bytes, state.PeerCertificates[0].Raw) {
		return errors.New("nginx serves another certificate than the one that it was given")
	}
	return nil
}
