package drill

import (
	"context"
	cryptorand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-chef/chef"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/secrets"
)

// Chef is Cinc Server's API as its clients reach it: through the address of the balancers, under the domain's name, each
// request signed with the superuser's key. A row is an item of a data bag.
type Chef struct {
	Cluster *cluster.Resolved
	CA      string // the cluster's, PEM
	Key     secrets.Secret
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	// Path is where the data bags are: empty for a server without organizations, organizations/NAME for others.
	Path string

	run     string // names the data bag of one drill
	written atomic.Int64
}

var _ Store = (*Chef)(nil)

// chefTimeout bounds one request: whoever is not answered by then tries again, maybe on another machine.
const chefTimeout = writeTimeout

// Prepare makes the drill's data bag.
func (c *Chef) Prepare(ctx context.Context) error {
	c.run = "drill-" + strings.ToLower(cryptorand.Text())
	ctx, cancel := context.WithTimeout(ctx, withDeadline)
	defer cancel()
	for {
		s, err := c.session(ctx)
		if err == nil {
			_, err = s.client.DataBags.Create(&chef.DataBag{Name: c.run})
			s.Close()
		}
		if err == nil {
			return nil
		}
		if pause(ctx, jittered(openPause)) != nil {
			return fmt.Errorf("make a data bag through the clients' address: %w", err)
		}
	}
}

// Open gives a writer a connection of its own.
func (c *Chef) Open(ctx context.Context, _ int) (Session, error) { return c.session(ctx) }

// Rows returns the items of this drill.
func (c *Chef) Rows(ctx context.Context) (map[Row]bool, error) {
	s, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	s.client.Client.Timeout = withDeadline
	items, err := s.client.DataBags.ListItems(c.run)
	if err != nil {
		return nil, err
	}
	rows := map[Row]bool{}
	for name := range *items {
		row, err := rowOf(name)
		if err != nil {
			return nil, err
		}
		rows[row] = true
	}
	return rows, nil
}

func itemOf(row Row) string { return fmt.Sprintf("w%d-%d", row.Writer, row.Number) }

func rowOf(item string) (Row, error) {
	var row Row
	writer, number, ok := strings.Cut(strings.TrimPrefix(item, "w"), "-")
	w, err := strconv.Atoi(writer)
	n, other := strconv.Atoi(number)
	if !ok || errors.Join(err, other) != nil {
		return row, fmt.Errorf("the drill's data bag holds %q, which no drill wrote", item)
	}
	row.Writer, row.Number = w, n
	return row, nil
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

func (c *Chef) session(context.Context) (*chefSession, error) {
	address, err := c.address()
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(c.CA)) {
		return nil, errors.New("the CA is not a PEM certificate")
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: c.Cluster.Domain},
		TLSHandshakeTimeout: chefTimeout,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return c.Dial(ctx, network, address)
		},
	}
	client, err := chef.NewClient(&chef.Config{
		Name: "pivotal", Key: c.Key.Reveal(), BaseURL: "https://" + c.Cluster.Domain + "/" + path(c.Path),
		AuthenticationVersion: chef.AuthVersion13,
		Client:                &http.Client{Transport: transport, Timeout: chefTimeout},
	})
	if err != nil {
		return nil, err
	}
	return &chefSession{client: client, transport: transport, chef: c}, nil
}

func path(below string) string {
	if below == "" {
		return ""
	}
	return strings.Trim(below, "/") + "/"
}

type chefSession struct {
	client    *chef.Client
	transport *http.Transport
	chef      *Chef
}

// Write makes one item. The library takes no context; the client's own timeout bounds the request.
func (s *chefSession) Write(_ context.Context, row Row) error {
	err := s.client.DataBags.CreateItem(s.chef.run, map[string]any{"id": itemOf(row), "at": time.Now().UTC().Format(time.RFC3339Nano)})
	if err == nil && row.Writer == 0 {
		s.chef.written.Store(int64(row.Number))
	}
	return plain(err)
}

func (s *chefSession) Close() { s.transport.CloseIdleConnections() }

// plain keeps what a server said, and nothing of how it was asked.
func plain(err error) error {
	if said, other := chef.ChefError(err); other == nil && said != nil {
		return fmt.Errorf("%d %s", said.StatusCode(), strings.TrimSpace(said.StatusMsg()))
	}
	return err
}

// ChefReads reads what Chef wrote, as clients do that change nothing. It has no rows of its own, so none can be lost.
type ChefReads struct{ *Chef }

var _ Store = ChefReads{}

// Prepare does nothing: the writes' data bag is what is read.
func (ChefReads) Prepare(context.Context) error { return nil }

// Open gives a reader a connection of its own.
func (c ChefReads) Open(ctx context.Context, _ int) (Session, error) {
	s, err := c.session(ctx)
	return readSession{s}, err
}

// Rows returns nil: see ChefReads.
func (ChefReads) Rows(context.Context) (map[Row]bool, error) { return nil, nil }

type readSession struct{ *chefSession }

// Write reads one item that the first writer was told is there; before there is any, the list of data bags.
func (s readSession) Write(context.Context, Row) error {
	newest := s.chef.written.Load()
	if newest == 0 {
		_, err := s.client.DataBags.List()
		return plain(err)
	}
	number := int(rand.Int64N(newest)) + 1 //nolint:gosec // which one does not matter
	_, err := s.client.DataBags.GetItem(s.chef.run, itemOf(Row{Writer: 0, Number: number}))
	if said, other := chef.ChefError(err); other == nil && said != nil && said.StatusCode() == http.StatusNotFound {
		return nil // a number whose write failed is not there; that it was answered counts
	}
	return plain(err)
}
