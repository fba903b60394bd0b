package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// server is the database server as cinc-server.rb names it.
type server struct {
	host, user, password, sslmode string
	port                          int
}

func serverOf(c settings, s store) server {
	const group = "postgresql"
	return server{
		host: c.text(group, "vip", "127.0.0.1"), port: c.number(group, "port", 5432),
		user:     c.text(group, "db_superuser", "opscode-pgsql"),
		password: c.text(group, "db_superuser_password", s.get(group, "db_superuser_password")),
		sslmode:  c.text(group, "sslmode", "disable"),
	}
}

func (s server) String() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }

// as is the same server for another user.
func (s server) as(user, password string) server {
	s.user, s.password = user, password
	return s
}

// connect logs in. Nothing is taken from the environment but what a URL can't say.
func (s server) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	where := url.URL{
		Scheme: "postgres", User: url.UserPassword(s.user, s.password), Host: s.String(), Path: "/" + database,
		RawQuery: url.Values{"sslmode": {s.sslmode}, "connect_timeout": {"10"}}.Encode(),
	}
	config, err := pgx.ParseConfig(where.String())
	if err != nil {
		return nil, errors.New("postgresql['sslmode'] must be 'disable' or 'require'") // pgx would print the URL
	}
	return pgx.ConnectConfig(ctx, config)
}

// explain says a failed login in Cinc Server's words.
func (s server) explain(err error) string {
	var failed *pgconn.PgError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("CSPG010: I cannot make a connection to the host %s", s)
	case errors.As(err, &failed) && failed.Code == "28P01":
		return fmt.Sprintf("CSPG011: I could not authenticate to %s as %s using the password provided", s, s.user)
	case errors.As(err, &failed) && failed.Code == "28000":
		return fmt.Sprintf("CSPG012: missing or incorrect pg_hba.conf entry for %s on %s", s.user, s)
	case errors.As(err, &failed) && failed.Code == "3D000":
		return fmt.Sprintf("CSPG015: %s does not have the default database template1 available", s)
	}
	return fmt.Sprintf("CSPG999: %v", err)
}

// database is one of the four. The store's group has the passwords of its two users.
type database struct {
	name, group, user string
	tables            string
}

func databases() []database {
	return []database{
		{"bifrost", "oc_bifrost", "bifrost", `CREATE TABLE auth_actor (id bigserial PRIMARY KEY, authz_id char(32) NOT NULL UNIQUE)`},
		{"oc_id", "oc_id", "oc_id", `CREATE TABLE oauth_applications (id serial PRIMARY KEY, name text NOT NULL)`},
		{"bookshelf", "bookshelf", "bookshelf", `CREATE TABLE files (file_id bigserial PRIMARY KEY, file_name text NOT NULL)`},
		{"opscode_chef", "opscode_erchef", "opscode_chef", `
			CREATE TABLE orgs (id char(32) PRIMARY KEY, authz_id char(32) NOT NULL UNIQUE, name text NOT NULL UNIQUE, full_name text NOT NULL);
			CREATE TABLE users (id char(32) PRIMARY KEY, authz_id char(32) NOT NULL UNIQUE, username text NOT NULL, email text,
				created_at timestamp NOT NULL, CONSTRAINT users_username_key UNIQUE (username));
			CREATE TABLE keys (id char(32) NOT NULL REFERENCES users ON DELETE CASCADE, key_name text NOT NULL, public_key text NOT NULL,
				key_version int NOT NULL, created_at timestamp NOT NULL, expires_at timestamp NOT NULL, PRIMARY KEY (id, key_name))`},
	}
}

// look returns what the outcome depends on in the database. The connection is the superuser's, to template1.
func (s server) look(ctx context.Context, conn *pgx.Conn, o *observed) error {
	var names, users []string
	for _, d := range databases() {
		names = append(names, d.name)
		users = append(users, d.user, d.user+"_ro")
	}
	var chef bool
	err := conn.QueryRow(ctx, `SELECT
		EXISTS (SELECT FROM pg_database WHERE datname = ANY ($1)),
		EXISTS (SELECT FROM pg_roles WHERE rolname = ANY ($2)),
		EXISTS (SELECT FROM pg_database WHERE datname = 'opscode_chef')`, names, users).Scan(&o.databases, &o.users, &chef)
	if err != nil || !chef {
		return err
	}
	in, err := s.connect(ctx, "opscode_chef")
	if err != nil {
		return err
	}
	defer in.Close(ctx) //nolint:errcheck // only read
	if err := in.QueryRow(ctx, `SELECT to_regclass('public.users') IS NULL`).Scan(&o.half); err != nil || o.half {
		return err
	}
	return in.QueryRow(ctx, `SELECT EXISTS (SELECT FROM users WHERE username = 'pivotal')`).Scan(&o.pivotal)
}

// make makes one database and its users as they must be. Tables are made together with the database, and never again.
func (s server) make(ctx context.Context, conn *pgx.Conn, d database, secrets store, schema string) error {
	for _, user := range []struct{ name, secret string }{{d.user, "sql_password"}, {d.user + "_ro", "sql_ro_password"}} {
		var there bool
		if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, user.name).Scan(&there); err != nil {
			return err
		}
		verb := "CREATE"
		if there { // another node's secrets would lose their use here
			verb = "ALTER"
		}
		for _, statement := range []string{
			verb + " USER " + name(user.name) + " WITH ENCRYPTED PASSWORD " + text(secrets.get(d.group, user.secret)),
			"GRANT " + name(user.name) + " TO " + name(s.user),
		} {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return fmt.Errorf("user %s: %w", user.name, err)
			}
		}
	}
	var there bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, d.name).Scan(&there); err != nil {
		return err
	}
	statement := "CREATE DATABASE " + name(d.name) + " WITH OWNER " + name(d.user) + " TEMPLATE template0 ENCODING 'UTF-8'"
	if there {
		statement = "ALTER DATABASE " + name(d.name) + " OWNER TO " + name(d.user)
	}
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("database %s: %w", d.name, err)
	}
	if !there {
		if err := s.deploy(ctx, d, secrets, schema); err != nil {
			return fmt.Errorf("tables of %s: %w", d.name, err)
		}
	}
	return s.grant(ctx, d, secrets)
}

// deploy makes the tables, as the database's owner.
func (s server) deploy(ctx context.Context, d database, secrets store, schema string) error {
	conn, err := s.as(d.user, secrets.get(d.group, "sql_password")).connect(ctx, d.name)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // every statement was answered
	if _, err := conn.Exec(ctx, d.tables, pgx.QueryExecModeSimpleProtocol); err != nil || d.name != "opscode_chef" {
		return err
	}
	dump, err := os.Open(schema) //nolint:gosec // a path of the layout
	if err != nil {
		return fmt.Errorf("goiardi is not installed: %w", err)
	}
	defer dump.Close() //nolint:errcheck // only read
	return restore(ctx, conn.PgConn(), dump)
}

// restore runs goiardi's dump. It comments on an extension that is not the owner's.
func restore(ctx context.Context, conn *pgconn.PgConn, dump io.Reader) error {
	content, err := io.ReadAll(dump)
	if err != nil {
		return err
	}
	var statements strings.Builder
	lines := strings.Split(string(content), "\n")
	for i := 0; i < len(lines); i++ {
		switch line := lines[i]; {
		case strings.HasPrefix(line, "COMMENT ON EXTENSION"):
		case strings.HasPrefix(line, "COPY ") && strings.HasSuffix(line, " FROM stdin;"):
			end := i + 1 + slices.Index(lines[i+1:], `\.`)
			if end == i {
				return errors.New("goiardi's dump is cut off")
			}
			if _, err := conn.Exec(ctx, statements.String()).ReadAll(); err != nil {
				return err
			}
			statements.Reset()
			rows := strings.NewReader(strings.Join(append(slices.Clone(lines[i+1:end]), ""), "\n"))
			if _, err := conn.CopyFrom(ctx, rows, strings.TrimSuffix(line, ";")); err != nil {
				return err
			}
			i = end
		default:
			statements.WriteString(line + "\n")
		}
	}
	_, err = conn.Exec(ctx, statements.String()).ReadAll()
	return err
}

// grant lets the second user read.
func (s server) grant(ctx context.Context, d database, secrets store) error {
	conn, err := s.as(d.user, secrets.get(d.group, "sql_password")).connect(ctx, d.name)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // every statement was answered
	for _, statement := range []string{
		"GRANT CONNECT ON DATABASE " + name(d.name) + " TO " + name(d.user+"_ro"),
		"GRANT SELECT ON ALL TABLES IN SCHEMA public TO " + name(d.user+"_ro"),
		"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO " + name(d.user+"_ro"),
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("rights in %s: %w", d.name, err)
		}
	}
	return nil
}

// addSuperuser puts pivotal into the database. goiardi knows it too, and so its requests.
func (s server) addSuperuser(ctx context.Context, secrets store) error {
	public, err := publicOf(secrets.get("chef-server", "superuser_key"))
	if err != nil {
		return fmt.Errorf("superuser_key: %w", err)
	}
	conn, err := s.chef(ctx, secrets)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // the transaction was answered
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		id := digits(32)
		if _, err := tx.Exec(ctx, `INSERT INTO users VALUES ($1, $2, 'pivotal', 'root@localhost.localdomain', now())`, id, secrets.get("oc_bifrost", "superuser_id")); err != nil {
			return err
		}
		return addKey(ctx, tx, id, "default", public)
	})
}

// chef connects to opscode_chef as the server itself does.
func (s server) chef(ctx context.Context, secrets store) (*pgx.Conn, error) {
	return s.as("opscode_chef", secrets.get("opscode_erchef", "sql_password")).connect(ctx, "opscode_chef")
}

// retry waits longer after each failure, as Cinc Server's own connections do.
func retry(ctx context.Context, unit time.Duration, times int, do func() error) error {
	err := do()
	for i := 0; i < times && err != nil; i++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(unit << i):
			err = do()
		}
	}
	return err
}

func name(identifier string) string { return pgx.Identifier{identifier}.Sanitize() }

func text(literal string) string { return "'" + strings.ReplaceAll(literal, "'", "''") + "'" }
