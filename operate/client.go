// Package operate asks the machines of a running cluster how they are, and has them do what an operator may order: it is
// the client of the boot agents' endpoint, which lets in nobody but the cluster's own nodes and its operator.
package operate

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// How long a node may take to answer. A node that is off answers nothing at all, and must not hold up the others.
const (
	askDeadline     = 4 * time.Second
	orderDeadline   = 90 * time.Second
	connectDeadline = 250 * time.Millisecond // where there may be no node
)

// mostBytes is the most that an answer may have.
const mostBytes = 1 << 20

// Client speaks to the agents of one cluster's machines.
type Client struct {
	Cluster *cluster.Resolved
	TLS     *tls.Config // the operator's: see secrets.Bundle.OperatorTLS
	// Dial connects to a machine; nil is an ordinary connection. A lab has its own.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// NodeStatus is a node with what its agent said of itself, or why there is no answer.
type NodeStatus struct {
	Node   cluster.Node   `json:"node"`
	Status cluster.Status `json:"status,omitzero"`
	Error  string         `json:"error,omitempty"`
	// Silence is what no answer tells of the machine.
	Silence Silence `json:"silence,omitempty"`
}

// Silence is what can be concluded when a machine does not answer as it should.
type Silence string

// The silences.
const (
	SilenceGone    Silence = "gone"    // nobody takes connections: it is off, or a firewall is before it
	SilenceThere   Silence = "there"   // somebody took the connection: it is on, and does not know us, or we it
	SilenceUnasked Silence = "unasked" // the question did not leave this computer
)

// Answered tells whether the node's agent answered.
func (s NodeStatus) Answered() bool { return s.Error == "" }

// Primary tells whether the node says that it is the database's primary.
func (s NodeStatus) Primary() bool {
	return s.Answered() && s.Status.Database != nil && s.Status.Database.Role == rolePrimary
}

// Statuses asks every node at once, and returns by name what those said that answered.
func (c Client) Statuses(ctx context.Context) map[string]cluster.Status {
	statuses := map[string]cluster.Status{}
	for _, n := range c.Status(ctx) {
		if n.Answered() {
			statuses[n.Node.Name] = n.Status
		}
	}
	return statuses
}

// Status asks every node at once and returns them in the cluster's order. A node that does not answer is no error: it is
// part of how the cluster is. API nodes that were added from the pool follow the cluster's own; an address of the pool where
// nobody takes connections is just not taken.
func (c Client) Status(ctx context.Context) []NodeStatus {
	ctx, cancel := context.WithTimeout(ctx, askDeadline)
	defer cancel()
	nodes, spare := c.Cluster.Nodes, c.spares()
	all, added := make([]NodeStatus, len(nodes)), make([]NodeStatus, len(spare))
	var asking sync.WaitGroup
	for i, node := range nodes {
		asking.Go(func() { all[i] = c.ask(ctx, node) })
	}
	for i, node := range spare {
		asking.Go(func() { added[i] = c.briefly().ask(ctx, node) })
	}
	asking.Wait()
	added = slices.DeleteFunc(added, func(s NodeStatus) bool { return !s.Answered() && s.Silence != SilenceThere })
	last := len(all)
	for i, node := range nodes {
		if node.Role == cluster.RoleAPI {
			last = i + 1
		}
	}
	return slices.Insert(all, last, added...)
}

func (c Client) ask(ctx context.Context, node cluster.Node) NodeStatus {
	s := NodeStatus{Node: node}
	if err := c.call(ctx, node, http.MethodGet, "/v1/status", nil, &s.Status); err != nil {
		s.Error, s.Silence = err.Error(), silenceOf(err)
	}
	return s
}

// machines are the nodes of the cluster, and those of its pool that are there.
func (c Client) machines(ctx context.Context) []cluster.Node { return nodesOf(c.Status(ctx)) }

func nodesOf(all []NodeStatus) []cluster.Node {
	nodes := make([]cluster.Node, len(all))
	for i, s := range all {
		nodes[i] = s.Node
	}
	return nodes
}

// spares are the API nodes of the pool that the cluster does not count on. On AWS nobody knows where they would be.
func (c Client) spares() []cluster.Node {
	if c.Cluster.API == nil || c.Cluster.Platform != cluster.OnPrem {
		return nil
	}
	var spare []cluster.Node
	for slot := range c.Cluster.API.Pool {
		node, err := c.Cluster.PoolNode(slot + 1)
		counted := slices.ContainsFunc(c.Cluster.Nodes, func(n cluster.Node) bool { return n.Address == node.Address })
		if err == nil && !counted {
			spare = append(spare, node)
		}
	}
	return spare
}

// briefly is the client with little patience for a machine that may not be there: it must connect soon, and may then take
// its time to answer.
func (c Client) briefly() Client {
	dial := c.dialer()
	c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, connectDeadline)
		defer cancel()
		return dial(ctx, network, address)
	}
	return c
}

func (c Client) dialer() func(ctx context.Context, network, address string) (net.Conn, error) {
	if c.Dial != nil {
		return c.Dial
	}
	return new(net.Dialer).DialContext
}

// Observation returns what a node tells its peers about what it holds.
func (c Client) Observation(ctx context.Context, name string) (cluster.Observation, error) {
	ctx, cancel := context.WithTimeout(ctx, askDeadline)
	defer cancel()
	var observation cluster.Observation
	node, err := c.node(name)
	if err != nil {
		return observation, err
	}
	return observation, c.call(ctx, node, http.MethodGet, "/v1/observation", nil, &observation)
}

// Handover is a switchover that was made.
type Handover struct {
	From    string  `json:"from"`
	To      string  `json:"to"`
	Seconds float64 `json:"seconds"`
}

// CheckSwitchover tells whether a switchover could be ordered now, and from which primary. Whether the database can follow
// the order, the primary knows alone.
func (c Client) CheckSwitchover(ctx context.Context, to string) (primary string, err error) {
	if to != "" {
		node, err := c.node(to)
		if err != nil {
			return "", err
		}
		if node.Role != cluster.RolePostgres {
			return "", exit.Errorf(exit.Invalid, "%s is no database node", to)
		}
	}
	return c.Primary(ctx)
}

// Switchover makes another node the primary: the one that is named, or the cluster's choice.
func (c Client) Switchover(ctx context.Context, to string) (Handover, error) {
	ctx, cancel := context.WithTimeout(ctx, orderDeadline)
	defer cancel()
	primary, err := c.CheckSwitchover(ctx, to)
	if err != nil {
		return Handover{}, err
	}
	node, err := c.node(primary)
	if err != nil {
		return Handover{}, err
	}
	order := struct {
		To string `json:"to,omitempty"`
	}{to}
	var done Handover
	return done, c.call(ctx, node, http.MethodPost, "/v1/switchover", order, &done)
}

// RescueEtcd orders a node to make its data the whole quorum's, after the other voters were lost for good and replaced by
// empty machines. The node refuses while any other voter may still hold the quorum. It returns what the node said that it
// will do.
func (c Client) RescueEtcd(ctx context.Context, name string) (string, error) {
	return c.rescue(ctx, name, "/v1/rescue/etcd")
}

// RescueOpenSearch does the same with a search node's data.
func (c Client) RescueOpenSearch(ctx context.Context, name string) (string, error) {
	return c.rescue(ctx, name, "/v1/rescue/opensearch")
}

func (c Client) rescue(ctx context.Context, name, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, orderDeadline)
	defer cancel()
	node, err := c.node(name)
	if err != nil {
		return "", err
	}
	var answer struct{ Ordered string }
	return answer.Ordered, c.call(ctx, node, http.MethodPost, path, nil, &answer)
}

// node is one of the cluster's, or of its pool.
func (c Client) node(name string) (cluster.Node, error) {
	for _, spare := range c.spares() {
		if spare.Name == name {
			return spare, nil
		}
	}
	node, err := c.Cluster.Node(name)
	return node, exit.As(exit.Invalid, err)
}

// Refusal is an order that a node understood and did not carry out.
type Refusal struct {
	Node   string
	Status int    // of HTTP; 409: carrying it out would be unsafe
	Reason string `json:"error"`
	Hint   string `json:"hint"`
}

func (r *Refusal) Error() string {
	if r.Hint == "" {
		return fmt.Sprintf("%s: %s", r.Node, r.Reason)
	}
	return fmt.Sprintf("%s: %s: %s", r.Node, r.Reason, r.Hint)
}

// call asks one node's agent. What it answers is read into answer.
func (c Client) call(ctx context.Context, node cluster.Node, method, path string, order, answer any) error {
	body := io.Reader(http.NoBody)
	if order != nil {
		text, err := json.Marshal(order)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	if !node.Address.IsValid() {
		return &unreached{fmt.Errorf("no machine called %s is found", node.Name), SilenceGone}
	}
	address := net.JoinHostPort(node.Address.String(), strconv.Itoa(cluster.PortAgent))
	request, err := http.NewRequestWithContext(ctx, method, "https://"+address+path, body)
	if err != nil {
		return err
	}
	// By the name, which every certificate has: where addresses are found, none has one. A machine of a pool without slots
	// has the pool's.
	known := c.TLS.Clone()
	known.ServerName, _, _ = strings.Cut(node.Name, "/")
	var taken atomic.Bool // the connection: the transport makes it in a goroutine of its own
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := c.dialer()(ctx, network, address)
		if err == nil {
			taken.Store(true)
		}
		return conn, err
	}
	client := &http.Client{
		// A connection per question: a machine that was replaced meanwhile is never asked over its predecessor's.
		Transport:     &http.Transport{DialContext: dial, TLSClientConfig: known, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		silent := fmt.Errorf("%s does not answer: %w", node.Name, reason(err))
		if !taken.Load() {
			return &unreached{silent, unconnected(err)}
		}
		return silent
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, mostBytes))
	if err != nil {
		return fmt.Errorf("%s did not answer to the end: %w", node.Name, reason(err))
	}
	if response.StatusCode != http.StatusOK {
		refusal := &Refusal{Node: node.Name, Status: response.StatusCode}
		if err := json.Unmarshal(text, refusal); err != nil || refusal.Reason == "" {
			refusal.Reason = "its agent answered " + response.Status
		}
		if refusal.Status == http.StatusConflict {
			return exit.As(exit.Unsafe, refusal)
		}
		return refusal
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s answered what this release can't read: %w", node.Name, err)
	}
	return nil
}

// unreached is a question that came to no machine.
type unreached struct {
	error
	silence Silence
}

func (u *unreached) Unwrap() error { return u.error }

// unconnected is what it tells of a machine that no connection to it was made.
func unconnected(err error) Silence {
	// What somebody on the way says of the machine, or that nobody says anything.
	for _, of := range []error{
		syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ETIMEDOUT, context.DeadlineExceeded,
	} {
		if errors.Is(err, of) {
			return SilenceGone
		}
	}
	return SilenceUnasked
}

// silenceOf is what a failed question tells of the machine: whatever else went wrong, went wrong with somebody there.
func silenceOf(err error) Silence {
	var unreached *unreached
	if errors.As(err, &unreached) {
		return unreached.silence
	}
	return SilenceThere
}

// reason is why a question got no answer, without the address, which the node's name says.
func reason(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	var dial *net.OpError
	if errors.As(err, &dial) {
		return dial.Err
	}
	return err
}
