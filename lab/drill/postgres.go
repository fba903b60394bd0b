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

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/postgres"
	"github.com/cincbake/cincbake/secrets"
)

// Postgres is the cluster's database as an ordinary client reaches it: by the addresses of all database nodes, looking for
// the one that takes writes, over TLS and with the password of the Cinc databases' owner.
type Postgres struct {
	Cluster  *cluster.Resolved
	CA       string // the cluster's, PEM
	Password secrets.Secret
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)

	run string // names the rows of one drill
}

var _ Store = (*Postgres)(nil)

// database is what a drill writes to. It stays, with the rows of every drill.
const database = "lab"

// connectTimeout is how long one node may take to let a client in. One that is off answers nothing at all.
const connectTimeout = time.Second

// withDeadline is how long it may take to prepare a drill's table, or to read it.
const withDeadline = 30 * time.Second

// Prepare makes the database and the table, unless they are there.
func (p *Postgres) Prepare(ctx context.Context) error {
	p.run = cryptorand.Text()
	err := p.with(ctx, "postgres", func(conn *pgx.Conn) error {
		var exists bool
		err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", database).Scan(&exists)
		if err == nil && !exists {
			_, err = conn.Exec(ctx, "create database "+database)
		}
		return err
	})
	if err != nil {
		return err
	}
	return p.with(ctx, database, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `create table if not exists written
			(run text, writer int, number int, at timestamptz default now(), primary key (run, writer, number))`)
		return err
	})
}

// Open connects a writer. Each begins with another node, so that a dead one does not hold up all of them alike.
func (p *Postgres) Open(ctx context.Context, writer int) (Session, error) {
	conn, err := p.connect(ctx, database, writer)
	if err != nil {
		return nil, err
	}
	return &session{conn: conn, run: p.run}, nil
}

// Rows returns the rows of this drill.
func (p *Postgres) Rows(ctx context.Context) (map[Row]bool, error) {
	there := map[Row]bool{}
	err := p.with(ctx, database, func(conn *pgx.Conn) error {
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
	for {
		conn, err := p.connect(ctx, name, 0)
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
	nodes := p.Cluster.NodesOf(cluster.RolePostgres)
	if len(nodes) == 0 {
		return nil, errors.New("the cluster has no database nodes")
	}
	var hosts []string
	for i := range nodes {
		node := nodes[(first+i)%len(nodes)]
		hosts = append(hosts, net.JoinHostPort(node.Address.String(), strconv.Itoa(cluster.PortPostgres)))
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
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(p.CA)) {
		return nil, errors.New("the CA is not a PEM certificate")
	}
	verified := func(host string) *tls.Config {
		return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: host}
	}
	config.Password = p.Password.Reveal()
	config.ConnectTimeout = connectTimeout
	config.DialFunc = p.Dial
	config.TLSConfig = verified(config.Host)
	for _, other := range slices.Clone(config.Fallbacks) {
		other.TLSConfig = verified(other.Host)
	}
	return config, nil
}
