package node

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

// Serve answers peers and the operator until the context ends. Every caller shows a certificate of the cluster's CA: a
// node's may ask what this machine holds, and only the operator's may change something. New secrets end one round and begin
// another, with a new certificate and nothing that remembers the old ones.
func (a Agent) Serve(ctx context.Context) error {
	for {
		if err := a.serveRound(ctx); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// endpoint is this machine's, with the secrets that it has now.
func (a Agent) endpoint(ctx context.Context) (*endpoint, error) {
	machine, err := a.load(ctx)
	if err != nil {
		return nil, err
	}
	facts, err := gather(a.Host)
	if err != nil {
		return nil, err
	}
	return &endpoint{host: a.Host, machine: machine, in: machine.inputs(facts)}, nil
}

// serveRound serves with the secrets that the machine has now, until it has others or the context ends.
func (a Agent) serveRound(ctx context.Context) error {
	e, err := a.endpoint(ctx)
	if err != nil {
		return err
	}
	machine := e.machine
	config, err := machine.Secrets.ServerTLS()
	if err != nil {
		return err
	}
	ctx, e.renew = context.WithCancel(ctx)
	defer e.renew()
	server := &http.Server{
		Handler:           e.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      2 * time.Minute, // a switchover answers when it is through
		IdleTimeout:       time.Minute,
	}
	address := fmt.Sprintf("%s:%d", machine.Self.Address, cluster.PortAgent)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	if machine.Self.Role == cluster.RoleAPI {
		if err := e.answerAgentCheck(ctx); err != nil {
			return err
		}
	}
	if err := notifyReady(ctx); err != nil {
		return err
	}
	go e.steer(ctx)
	answered := make(chan struct{})
	stopped := context.AfterFunc(ctx, func() {
		defer close(answered)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		_ = server.Shutdown(grace) // who is not answered by then asks again
	})
	defer stopped()
	err = server.Serve(tls.NewListener(listener, config))
	if errors.Is(err, http.ErrServerClosed) {
		<-answered // Serve returns when the shutdown begins
		return nil
	}
	return err
}

// notifyReady tells systemd that the endpoint listens (sd_notify(3)). Without systemd there is nobody to tell.
func notifyReady(ctx context.Context) error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unixgram", socket)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // a datagram is sent whole or not at all
	_, err = conn.Write([]byte("READY=1"))
	return err
}

// endpoint is the agent's mTLS endpoint.
type endpoint struct {
	host    step.Host
	machine Machine
	in      role.Inputs
	// delivering lets one delivery of secrets through at a time; renew begins serving anew, with those.
	delivering sync.Mutex
	renew      func()
}

// caller says who may call a route.
type caller bool

const (
	anyMember    caller = false
	operatorOnly caller = true
)

func (e *endpoint) routes() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, who caller, handle func(*http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			answer, err := e.admit(r, who), error(nil)
			if answer == nil {
				var body any
				if body, err = handle(r); err == nil {
					reply(w, http.StatusOK, body)
					return
				}
				answer = asFailure(err)
			}
			reply(w, answer.status, answer)
		})
	}
	route("GET /v1/observation", anyMember, func(*http.Request) (any, error) { return e.observe() })
	route("GET /v1/status", operatorOnly, func(r *http.Request) (any, error) { return e.status(r.Context()) })
	route("GET /v1/doctor", operatorOnly, e.doctor)
	route("POST /v1/switchover", operatorOnly, e.switchover)
	route("POST /v1/rescue/etcd", operatorOnly, e.rescueEtcd)
	route("POST /v1/rescue/opensearch", operatorOnly, e.rescueOpenSearch)
	route("GET /v1/secrets", operatorOnly, e.held)
	route("PUT /v1/secrets", operatorOnly, e.deliver)
	route("POST /v1/drain", operatorOnly, e.drain)
	route("GET /v1/reindex", operatorOnly, e.reindexing)
	route("POST /v1/reindex", operatorOnly, e.reindex)
	route("GET /v1/backup", operatorOnly, e.backups)
	route("POST /v1/backup", operatorOnly, e.backup)
	return mux
}

// observe is what this machine holds. Before its data disk is in its place it does not know: the empty directory there would
// pass for an empty machine, and the others would form a cluster beside the one on the disk.
func (e *endpoint) observe() (cluster.Observation, error) {
	placed, err := diskPlaced(e.host)
	if err == nil && !placed {
		err = &role.Refusal{Reason: "its data disk is not in its place", Hint: "its own status says why"}
	}
	if err != nil {
		return cluster.Observation{}, err
	}
	return e.machine.Observe(e.host)
}

// failure is how a call that failed answers.
type failure struct {
	status int
	Error  string `json:"error"`
	Hint   string `json:"hint,omitempty"`
}

func asFailure(err error) *failure {
	var refusal *role.Refusal
	if errors.As(err, &refusal) {
		return &failure{http.StatusConflict, refusal.Reason, refusal.Hint}
	}
	return &failure{http.StatusInternalServerError, err.Error(), ""}
}

// admit checks the caller's certificate, which TLS has verified against the cluster's CA; nil admits.
func (e *endpoint) admit(r *http.Request, who caller) *failure {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return &failure{http.StatusForbidden, "no client certificate", ""}
	}
	identity, err := secrets.IdentityOf(r.TLS.PeerCertificates[0])
	switch {
	case err != nil:
		return &failure{http.StatusForbidden, err.Error(), ""}
	case identity.Cluster != e.machine.Document.Cluster.Name:
		return &failure{http.StatusForbidden, "the certificate is of another cluster", ""}
	case who == operatorOnly && !identity.Operator:
		return &failure{http.StatusForbidden, "this takes the operator's certificate", ""}
	}
	return nil
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller is gone
}

// status is the boot's document, with what the machine's programs say now.
func (e *endpoint) status(ctx context.Context) (cluster.Status, error) {
	status, err := ReadStatus(e.host, e.in.Facts.BootID)
	if err != nil {
		return status, err
	}
	if certificate, err := e.in.Secrets.Leaf.X509(); err == nil {
		status.CertificateExpires = certificate.NotAfter.UTC()
	}
	e.machine.Role.Report(ctx, e.host, e.in, &status)
	return status, nil
}

// decode reads an order, strictly. No body is an order without choices.
func decode(r *http.Request, into any) error {
	decoder := json.NewDecoder(io.LimitReader(r.Body, 64<<10))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return &role.Refusal{Reason: "bad request: " + err.Error()}
	}
	return nil
}
