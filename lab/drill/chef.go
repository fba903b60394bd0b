package drill

import (
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
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

	"github.com/go-chef/chef"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/secrets"
)

// Chef is Cinc Server's API as its clients reach it: through the address of the balancers, under the domain's name, each
// request signed with the superuser's key.
//
// A writer's even rows are items of a data bag that it creates; its odd rows are updates of an item that it goes on
// updating, whose version is the row's number. An update whose outcome the writer never heard of may still be carried out
// much later, over a newer one: nothing in the API prevents that. So after a failure it goes on with another item, and what
// must be there is every version of an item that nobody else can have written over.
type Chef struct {
	Cluster *cluster.Resolved
	CA      string // certificates that clients trust, PEM: the cluster's CA, and the chain of a certificate of the user's own
	Key     secrets.Secret
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	// Path is where the data bags are: empty for a server without organizations, organizations/NAME for others.
	Path string

	run string // names the data bag of one drill

	mu      sync.Mutex
	updated []updates // every item that was ever updated
	newest  string    // the item whose creation was acknowledged last
}

var _ Store = (*Chef)(nil)

// updates are those of one item.
type updates struct {
	writer      int
	first, last int // versions, the last one tried included
}

func (u updates) item() string { return fmt.Sprintf("w%d-from-%d", u.writer, u.first) }

// superuser is the user that Cinc Server makes for itself.
const superuser = "pivotal"

// Prepare makes the drill's data bag.
func (c *Chef) Prepare(ctx context.Context) error {
	c.mu.Lock()
	c.run, c.updated, c.newest = "drill-"+strings.ToLower(cryptorand.Text()), nil, ""
	c.mu.Unlock()
	return c.persist(ctx, func(ctx context.Context, s *chefSession) error {
		err := s.ask(ctx, http.MethodPost, "data", map[string]any{"name": c.run}, nil)
		if answered(err, http.StatusConflict) {
			return nil // made by a request whose answer was lost
		}
		return err
	})
}

// Clients returns four writers and a patient one.
func (c *Chef) Clients() []Client { return append(make([]Client, writerCount), Client{Patient: true}) }

// Open gives a writer a way of its own; it connects with the first request.
func (c *Chef) Open(context.Context, int) (Session, error) { return c.session() }

// Rows returns the items that are there, and the updates that they show.
func (c *Chef) Rows(ctx context.Context) (map[Row]bool, error) {
	c.mu.Lock()
	updated := append([]updates(nil), c.updated...)
	c.mu.Unlock()
	var items map[string]string
	err := c.persist(ctx, func(ctx context.Context, s *chefSession) error {
		return s.ask(ctx, http.MethodGet, c.bag(), nil, &items)
	})
	if err != nil {
		return nil, err
	}
	there := map[Row]bool{}
	for name := range items {
		if row, ok := rowOf(name); ok {
			there[row] = true
		}
	}
	updated = slices.DeleteFunc(updated, func(u updates) bool {
		_, ok := items[u.item()]
		return !ok
	})
	// In parts, so that an hour's drill is read however long that takes, and what fails is not all asked again.
	const part = 50
	for few := range slices.Chunk(updated, part) {
		versions, err := c.versions(ctx, few)
		if err != nil {
			return nil, err
		}
		for i, u := range few {
			for version := u.first; version <= min(versions[i], u.last); version += 2 {
				there[Row{u.writer, version}] = true
			}
		}
	}
	return there, nil
}

// versions reads the versions of items that are there.
func (c *Chef) versions(ctx context.Context, of []updates) ([]int, error) {
	versions := make([]int, len(of))
	err := c.persist(ctx, func(ctx context.Context, s *chefSession) error {
		for i, u := range of {
			var item struct{ Version int }
			if err := s.ask(ctx, http.MethodGet, c.bag(u.item()), nil, &item); err != nil {
				return err
			}
			versions[i] = item.Version
		}
		return nil
	})
	return versions, err
}

func itemOf(row Row) string { return fmt.Sprintf("w%d-%d", row.Writer, row.Number) }

// rowOf returns the row of an item that was created; ok is false for one that is updated.
func rowOf(item string) (row Row, ok bool) {
	writer, number, _ := strings.Cut(strings.TrimPrefix(item, "w"), "-")
	w, err := strconv.Atoi(writer)
	n, other := strconv.Atoi(number)
	return Row{w, n}, err == nil && other == nil
}

func (c *Chef) bag(below ...string) string {
	return strings.Join(append([]string{"data", c.run}, below...), "/")
}

// persist does something again until it succeeds.
func (c *Chef) persist(ctx context.Context, do func(context.Context, *chefSession) error) error {
	ctx, cancel := context.WithTimeout(ctx, withDeadline)
	defer cancel()
	for {
		s, err := c.session()
		if err != nil {
			return err // no time will mend that
		}
		err = do(ctx, s)
		s.Close()
		if err == nil {
			return nil
		}
		if pause(ctx, jittered(openPause)) != nil {
			return fmt.Errorf("through the clients' address: %w", err)
		}
	}
}

// address is where clients connect: the balancers', or the first API node's where there are none.
func (c *Chef) address() (string, error) {
	port := strconv.Itoa(cluster.PortHTTPS)
	if lb := c.Cluster.LB; lb != nil && lb.VIP.IsValid() {
		return net.JoinHostPort(lb.VIP.String(), port), nil
	}
	for _, n := range c.Cluster.NodesOf(cluster.RoleAPI, cluster.RoleStandalone) {
		return net.JoinHostPort(n.Address.String(), port), nil
	}
	return "", errors.New("the cluster has no API nodes")
}

func (c *Chef) session() (*chefSession, error) {
	address, err := c.address()
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(c.CA)) {
		return nil, errors.New("the CA is not a PEM certificate")
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: c.Cluster.Domain},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return c.Dial(ctx, network, address)
		},
	}
	root := "https://" + c.Cluster.Domain + "/"
	if below := strings.Trim(c.Path, "/"); below != "" {
		root += below + "/"
	}
	client, err := chef.NewClient(&chef.Config{
		Name: superuser, Key: c.Key.Reveal(), BaseURL: root,
		AuthenticationVersion: chef.AuthVersion13,
		Client:                &http.Client{Transport: transport},
	})
	if err != nil {
		return nil, fmt.Errorf("the superuser's key: %w", err)
	}
	return &chefSession{client: client, transport: transport, chef: c}, nil
}

// chefSession is one client's connection. It ends with the first request that fails.
type chefSession struct {
	client    *chef.Client
	transport *http.Transport
	chef      *Chef
	updates   int // 1 more than the index of the item that it updates; 0: none yet
}

func (s *chefSession) Write(ctx context.Context, row Row) error {
	if row.Number%2 == 1 {
		return s.update(ctx, row)
	}
	err := s.ask(ctx, http.MethodPost, s.chef.bag(), map[string]any{"id": itemOf(row)}, nil)
	if err == nil {
		s.chef.mu.Lock()
		s.chef.newest = itemOf(row)
		s.chef.mu.Unlock()
	}
	return err
}

func (s *chefSession) update(ctx context.Context, row Row) error {
	method, first := http.MethodPut, s.updates == 0
	s.chef.mu.Lock()
	if first {
		s.chef.updated = append(s.chef.updated, updates{writer: row.Writer, first: row.Number})
		s.updates = len(s.chef.updated)
	}
	u := &s.chef.updated[s.updates-1]
	u.last = row.Number
	path, item := s.chef.bag(u.item()), u.item()
	s.chef.mu.Unlock()
	if first {
		method, path = http.MethodPost, s.chef.bag()
	}
	return s.ask(ctx, method, path, map[string]any{"id": item, "version": row.Number}, nil)
}

func (s *chefSession) Close() { s.transport.CloseIdleConnections() }

// mostAnswer is the most that an answer may have: a list of all that one drill created.
const mostAnswer = 64 << 20

// ask makes one signed request, and reads the answer to its end.
func (s *chefSession) ask(ctx context.Context, method, path string, body, answer any) error {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(text)
	}
	request, err := s.client.NewRequest(method, path, reader)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	response, err := s.client.Client.Do(request.WithContext(ctx))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer))
	if err != nil {
		return err
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return &refusal{method, path, response.StatusCode, text}
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// refusal is an answer that says no.
type refusal struct {
	method, path string
	status       int
	text         []byte
}

func (r *refusal) Error() string {
	const most = 200
	return fmt.Sprintf("%s /%s: %d %s", r.method, r.path, r.status, strings.TrimSpace(string(r.text[:min(len(r.text), most)])))
}

func answered(err error, status int) bool {
	var r *refusal
	return errors.As(err, &r) && r.status == status
}
