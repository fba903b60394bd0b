package drill

import (
	"context"
	cryptorand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/postgres"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
)

// Postgres is the cluster's database as an ordinary client reaches it, over TLS and with the password of the Cinc databases'
// owner: through the router of an API node; in a cluster that has none, by the addresses of all database nodes, looking for
// the one that takes writes.
type Postgres struct {
	Cluster  *cluster.Resolved
	CA       string // the cluster's, PEM
	Password secrets.Secret
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
	// DialFrom connects as a program on a node does. It is needed where there are API nodes: their routers listen to nobody
	// outside.
	DialFrom func(ctx context.Context, node, network, address string) (net.Conn, error)

	run string // names the rows of one drill
}

var _ Store = (*Postgres)(nil)

// labDatabase is what a drill writes to in a cluster without API nodes. It stays, with the rows of every drill. API nodes are
// let in to Cinc Server's databases and to their own, so with them it is the latter.
const labDatabase = "lab"

func (p *Postgres) database() string {
	if len(p.Cluster.NodesOf(cluster.RoleAPI)) > 0 {
		return role.LedgerDatabase
	}
	return labDatabase
}

// connectTimeout is how long one node may take to let a client in. One that is off answers nothing at all.
const connectTimeout = time.Second

// withDeadline is how long it may take to prepare a drill's table, or to read it.
const withDeadline = 30 * time.Second

// Prepare makes the database and the table, unless they are there.
func (p *Postgres) Prepare(ctx context.Context) error {
	p.run = cryptorand.Text()
	err := p.with(ctx, "postgres", func(conn *pgx.Conn) error {
		var exists bool
		err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", p.database()).Scan(&exists)
		if err == nil && !exists {
			_, err = conn.Exec(ctx, "create database "+p.database())
		}
		return err
	})
	if err != nil {
		return err
	}
	return p.with(ctx, p.database(), func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `create table if not exists written
			(run text, writer int, number int, at timestamptz default now(), primary key (run, writer, number))`)
		return err
	})
}

// Clients returns the writers that stand for the cluster's own clients: on each API node a hasty one and a patient one, who
// keep to that node as Cinc Server does; without API nodes, four and a patient one.
func (p *Postgres) Clients() []Client {
	routers := p.Cluster.NodesOf(cluster.RoleAPI)
	if len(routers) == 0 {
		return append(make([]Client, writerCount), Client{Patient: true})
	}
	var clients []Client
	for _, patient := range []bool{false, true} {
		for _, node := range routers {
			clients = append(clients, Client{Node: node.Name, Patient: patient})
		}
	}
	return clients
}

// Open connects a writer. Each begins with another node, so that a dead one does not hold up all of them alike.
func (p *Postgres) Open(ctx context.Context, writer int) (Session, error) {
	conn, err := p.connect(ctx, p.database(), writer)
	if err != nil {
		return nil, err
	}
	return &session{conn: conn, run: p.run}, nil
}

// Rows returns the rows of this drill.
func (p *Postgres) Rows(ctx context.Context) (map[Row]bool, error) {
	there := map[Row]bool{}
	err := p.with(ctx, p.database(), func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "select writer, number from written where run = $1", p.run)
		if err != nil {
			return err
		}
		var row Row
		_, err = pgx.ForEachRow(rows, []any{&row.Writer, &row.Number}, func() error {
			there[row] = true
			return nil
		})
		return err
	})
	return there, err
}

// session is a writer's connection.
type session struct {
	conn *pgx.Conn
	run  string
}

func (s *session) Write(ctx context.Context, row Row) error {
	_, err := s.conn.Exec(ctx, "insert into written (run, writer, number) values ($1, $2, $3)", s.run, row.Writer, row.Number)
	return err
}

func (s *session) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_ = s.conn.Close(ctx) // it closes whether or not the other end hears of it
}

// with runs f on a connection of its own. It keeps trying to connect: a standby that does not know a new database yet is
// enough to make an attempt fail, though the primary knows it.
func (p *Postgres) with(ctx context.Context, name string, f func(*pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, withDeadline)
	defer cancel()
	for first := 0; ; first++ { // another node each time: one may be off
		conn, err := p.connect(ctx, name, first)
		if err == nil {
			defer (&session{conn: conn}).Close()
			return f(conn)
		}
		if pause(ctx, jittered(openPause)) != nil {
			return err
		}
	}
}

func (p *Postgres) connect(ctx context.Context, name string, first int) (*pgx.Conn, error) {
	config, err := p.config(name, first)
	if err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, config)
}

// config returns how to connect, beginning with that node.
func (p *Postgres) config(name string, first int) (*pgx.ConnConfig, error) {
	hosts, dial, verified, err := p.way(first)
	if err != nil {
		return nil, err
	}
	where := url.URL{
		Scheme: "postgres", User: url.User(postgres.UserOwner), Host: strings.Join(hosts, ","), Path: "/" + name,
		RawQuery: url.Values{
			"sslmode":              {"require"}, // and verified below
			"target_session_attrs": {"read-write"},
			"application_name":     {"cincbake drill"},
			"passfile":             {"/dev/null"}, // nothing of the user's own
		}.Encode(),
	}
	config, err := pgx.ParseConfig(where.String())
	if err != nil {
		return nil, fmt.Errorf("the way to the database: %w", err)
	}
	config.Password = p.Password.Reveal()
	config.ConnectTimeout = connectTimeout
	config.DialFunc = dial
	config.TLSConfig = verified(config.Host)
	for _, other := range slices.Clone(config.Fallbacks) {
		other.TLSConfig = verified(other.Host)
	}
	return config, nil
}

// way returns where to connect, how, and whom to believe there.
func (p *Postgres) way(first int) (hosts []string, dial pgconn.DialFunc, verified func(host string) *tls.Config, err error) {
	port := strconv.Itoa(cluster.PortPostgres)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(p.CA)) {
		return nil, nil, nil, errors.New("the CA is not a PEM certificate")
	}
	if servers := p.Cluster.NodesOf(cluster.RoleAPI); len(servers) > 0 {
		if p.DialFrom == nil {
			return nil, nil, nil, errors.New("the database is behind API nodes' routers, and there is no way to run a client there")
		}
		node := servers[first%len(servers)].Name
		dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return p.DialFrom(ctx, node, network, address)
		}
		// The router leads to whichever node is primary, so that the certificate may be any database node's.
		names := p.Cluster.NodesOf(cluster.RolePostgres)
		return []string{net.JoinHostPort("127.0.0.1", port)}, dial, func(string) *tls.Config { return oneOf(names, roots) }, nil
	}
	nodes := p.Cluster.NodesOf(cluster.RolePostgres)
	if len(nodes) == 0 {
		return nil, nil, nil, errors.New("the cluster has no database nodes")
	}
	for i := range nodes {
		node := nodes[(first+i)%len(nodes)]
		hosts = append(hosts, net.JoinHostPort(node.Address.String(), port))
	}
	return hosts, p.Dial, func(host string) *tls.Config {
		return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: host}
	}, nil
}

// oneOf believes the certificate of any of the nodes.
func oneOf(nodes []cluster.Node, roots *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // verified below, for several names
		VerifyConnection: func(state tls.ConnectionState) error {
			var failed error
			for _, node := range nodes {
				options := x509.VerifyOptions{Roots: roots, DNSName: node.Name, Intermediates: x509.NewCertPool()}
				_, err := state.PeerCertificates[0].Verify(options)
				if err == nil {
					return nil
				}
				failed = err
			}
			return failed
		},
	}
}
