package cinc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/postgres"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
)

// Database is where an API node finds the databases, and as whom it makes them: always through the router beside it, which
// knows who is primary. TLS is between this machine and the database all the same: the router passes it through.
type Database struct {
	TLS   bool
	Owner string

	password secrets.Secret
	address  string // host and port
}

// DatabaseOf returns how an API node finds the databases.
func DatabaseOf(in role.Inputs) Database {
	d := Database{TLS: true, Owner: postgres.UserOwner, address: net.JoinHostPort(databaseHost, strconv.Itoa(cluster.PortPostgres))}
	if external := in.Cluster.Postgres.External; external != nil {
		d.TLS, d.Owner = external.TLS, external.Owner
	}
	if in.Secrets.Cinc != nil {
		d.password = in.Secrets.Cinc.DatabaseOwner
	}
	return d
}

// databaseHost is the router; its port is PostgreSQL's own, and so Cinc Server's default.
const databaseHost = "127.0.0.1"

func (d Database) String() string { return d.address }

// templateDatabase exists on every server. Nobody stays connected to it: that would keep others from making databases.
const templateDatabase = "template1"

// connectTimeout bounds a login: a router that knows no primary accepts and then says nothing.
const connectTimeout = 5 * time.Second

// statementTimeout bounds one small statement.
const statementTimeout = 10 * time.Second

// session is a login of the databases' owner.
type session struct{ conn *pgconn.PgConn }

// open logs in.
func (d Database) open(ctx context.Context, database string) (session, error) {
	host, port, err := net.SplitHostPort(d.address)
	if err != nil {
		return session{}, err
	}
	mode := "disable"
	if d.TLS {
		mode = "require"
	}
	// Nothing of the environment or of a home directory counts.
	config, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%s dbname=%s sslmode=%s passfile=/dev/null servicefile=/dev/null user=placeholder",
		host, port, database, mode))
	if err != nil {
		return session{}, err
	}
	config.User, config.Password = d.Owner, d.password.Reveal()
	config.RuntimeParams["application_name"] = "cincbake"
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, config)
	return session{conn}, plain(err)
}

// plain is a database's error in one line: the library's own repeats how it connected.
func plain(err error) error {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return &databaseError{said.Code, said.Message}
	}
	var connecting *pgconn.ConnectError
	if errors.As(err, &connecting) {
		return connecting.Unwrap()
	}
	return err
}

// databaseError is what PostgreSQL answered.
type databaseError struct{ code, message string }

func (e *databaseError) Error() string { return fmt.Sprintf("%s (%s)", e.message, e.code) }

// PostgreSQL's codes that mean something here. The last four are what one of two sessions hears that make the same at once.
const (
	codeNoDatabase     = "3D000"
	codeDuplicate      = "42P04" // a database of that name
	codeDuplicateTable = "42P07"
	codeDuplicateType  = "42710" // a table's own
	codeUnique         = "23505"
)

// IsDatabase tells whether an error is about reaching or asking the database, which may pass, and not about this machine.
func IsDatabase(err error) bool {
	var said *databaseError
	var network net.Error
	return errors.As(err, &said) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrLockLost) || pgconn.SafeToRetry(err)
}

func hasCode(err error, codes ...string) bool {
	var said *databaseError
	if !errors.As(err, &said) {
		return false
	}
	for _, code := range codes {
		if said.code == code {
			return true
		}
	}
	return false
}

// close ends the session. Whoever waits for it to end waits for the database to have heard of it.
func (s session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.conn.Close(ctx) // it closes whether or not the other end hears of it
}

// rows runs one statement and returns what it answers, as text.
func (s session) rows(ctx context.Context, statement string, arguments ...string) ([][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	values := make([][]byte, len(arguments))
	for i, argument := range arguments {
		values[i] = []byte(argument)
	}
	result := s.conn.ExecParams(ctx, statement, values, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, plain(result.Err)
	}
	all := make([][]string, len(result.Rows))
	for i, row := range result.Rows {
		for _, value := range row {
			all[i] = append(all[i], string(value))
		}
	}
	return all, nil
}

// value runs a statement that answers one value; none is the empty text.
func (s session) value(ctx context.Context, statement string, arguments ...string) (string, error) {
	rows, err := s.rows(ctx, statement, arguments...)
	if err != nil || len(rows) == 0 || len(rows[0]) == 0 {
		return "", err
	}
	return rows[0][0], nil
}

// ask runs one statement as the databases' owner in a session of its own.
func (d Database) ask(ctx context.Context, database, statement string, arguments ...string) (string, error) {
	s, err := d.open(ctx, database)
	if err != nil {
		return "", err
	}
	defer s.close()
	return s.value(ctx, statement, arguments...)
}

// Reachable waits for a login on the database's primary. A connection alone proves nothing: the router accepts before it
// knows any primary, and what Cinc Server starts too early then hangs.
func (d Database) Reachable(ctx context.Context) error {
	const hint = "look at the database nodes, or at the external database and its password"
	standby, err := d.ask(ctx, templateDatabase, "select pg_is_in_recovery()")
	switch {
	case err != nil:
		return &role.NotYet{Reason: fmt.Sprintf("no login on the database at %s: %v", d, err), Hint: hint}
	case standby != "f":
		return &role.NotYet{Reason: fmt.Sprintf("the database at %s is a standby", d), Hint: hint}
	}
	return nil
}
