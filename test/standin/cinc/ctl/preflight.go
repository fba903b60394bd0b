package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// newest is the newest major version of PostgreSQL that this release of Cinc Server accepts.
const newest = 13

// run is one reconfigure.
type reconfiguration struct {
	invocation
	config   settings
	secrets  store
	previous settings // of the last run that succeeded; nil for a first one
	database server
	search   search
	rule     rule
}

// load reads configuration and secrets.
func (i invocation) load() (settings, store, error) {
	content, err := os.ReadFile(i.configuration())
	if err != nil {
		return nil, nil, err
	}
	c, err := parse(string(content))
	if err != nil {
		return nil, nil, err
	}
	s, err := loadStore(i.store())
	return c, s, err
}

// running is cinc-server-running.json.
type running struct {
	PrivateChef settings `json:"private_chef"`
}

func (r *reconfiguration) loadPrevious() error {
	content, err := os.ReadFile(r.running())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var previous running
	if err := json.Unmarshal(content, &previous); err != nil {
		return fmt.Errorf("%s: %w", r.running(), err)
	}
	r.previous = previous.PrivateChef
	if r.previous == nil {
		r.previous = settings{}
	}
	return nil
}

// preflight refuses before anything changes. Its order is Cinc Server's: bootstrap, database, TLS, cookbooks, search.
func (r *reconfiguration) preflight(ctx context.Context) error {
	if r.config.text("", "topology", "standalone") != "standalone" {
		return errors.New("the stand-in knows the topology 'standalone' only")
	}
	if !r.config.truth("postgresql", "external", false) {
		if r.previous.truth("postgresql", "external", false) {
			return errors.New(cspg001)
		}
		return errors.New("the stand-in has no database of its own: set postgresql['external'] = true")
	}
	conn, err := r.login(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // only read
	o := observed{
		running: r.previous != nil, sentinel: exists(r.sentinel()), secrets: r.secrets.hasSecrets(),
		key: r.secrets.get("chef-server", "superuser_key") != "" || exists(r.pivotal()),
	}
	if err := r.database.look(ctx, conn, &o); err != nil {
		return fmt.Errorf("PG::Error: %w", err)
	}
	r.rule = decide(o)
	bootstrapFirst := r.rule.outcome == refuse && !slices.Contains([]string{cspg016, cspg017}, r.rule.says)
	if bootstrapFirst {
		return errors.New(r.rule.says)
	}
	for _, check := range databaseChecks() {
		if check.fails(r) {
			return errors.New(check.says)
		}
	}
	if err := r.server(ctx, conn); err != nil {
		return err
	}
	if r.rule.outcome == refuse {
		return errors.New(r.rule.says)
	}
	for _, check := range otherChecks() {
		if check.fails(r) {
			return errors.New(check.says)
		}
	}
	r.askSearch(ctx)
	return nil
}

// login is the superuser's. On a first run it is tried for 31 seconds, and its failure caught by nobody.
func (r *reconfiguration) login(ctx context.Context) (*pgx.Conn, error) {
	var conn *pgx.Conn
	connect := func() (err error) {
		conn, err = r.database.connect(ctx, "template1")
		return err
	}
	if r.previous != nil {
		if err := connect(); err != nil {
			return nil, errors.New(r.database.explain(err))
		}
		return conn, nil
	}
	if err := retry(ctx, r.wait, 5, connect); err != nil {
		return nil, fmt.Errorf("PG::ConnectionBad: %w", err)
	}
	return conn, nil
}

// server looks at the database server's version and the user's rights.
func (r *reconfiguration) server(ctx context.Context, conn *pgx.Conn) error {
	var version int
	var full, limited bool
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int / 10000, rolsuper, rolcreaterole AND rolcreatedb FROM pg_roles WHERE rolname = current_user`).Scan(&version, &full, &limited)
	switch {
	case err != nil:
		return fmt.Errorf("PG::Error: %w", err)
	case version > r.newest:
		return fmt.Errorf("CSPG014: Cinc Server currently requires PostgreSQL version 9.6 or greater. The database you have provided is running version %d", version)
	case !full && !limited:
		return fmt.Errorf("CSPG013: the user %s does not have superuser access, and must be granted CREATE DATABASE and CREATE ROLE", r.database.user)
	}
	return nil
}

// askSearch only warns. It knows the password from the file alone, not from the secrets store.
func (r *reconfiguration) askSearch(ctx context.Context) {
	ask := r.search
	ask.password = r.config.text("opscode_erchef", "search_auth_password", "")
	ctx, cancel := context.WithTimeout(ctx, 25*time.Second)
	defer cancel()
	if major, err := ask.version(ctx); err != nil {
		r.say("WARNING OPENSEARCH009: the search is unreachable: %v", err)
	} else if major < 1 {
		r.say("WARNING OPENSEARCH009: the search's version is %d", major)
	}
}

// check refuses by what is in the files.
type check struct {
	says  string
	fails func(*reconfiguration) bool
}

const (
	cspg001 = `CSPG001: postgresql['external'] must be set prior to the initial run of cinc-server-ctl reconfigure and cannot be changed`
	cspg002 = `CSPG002: You have not set a database superuser name under postgresql['db_superuser']`
	cspg003 = `CSPG003: You have not set a database superuser password using cinc-server-ctl set-db-superuser-password`
	cspg004 = `CSPG004: postgresql['external'] is true, and postgresql['vip'] is not set`

	pairIncomplete = `nginx['ssl_certificate'] and nginx['ssl_certificate_key'] must both be set, or neither, and their files exist`
	storageChanged = `bookshelf['storage_type'] cannot be changed after the first successful reconfigure`
	auth001        = `AUTH001: LDAP and SAML authentication are both enabled`

	index003      = `INDEX003: the indexing service needs at least 3072 MB of memory (opscode_erchef['search_provider'] is not 'opensearch')`
	opensearch001 = `OPENSEARCH001: opscode_erchef['reindex_sleep_min_ms'] is greater than opscode_erchef['reindex_sleep_max_ms']`
	opensearch006 = `OPENSEARCH006: opensearch['external'] is true, and neither opscode_erchef['search_auth_username'] nor opscode_erchef['search_auth_password'] is set`
	opensearch007 = `OPENSEARCH007: opensearch['external'] is true, and opensearch['external_url'] is not set`
	opensearch008 = `OPENSEARCH008: opscode_erchef['search_queue_mode'] must be 'batch' or 'inline' when opscode_erchef['search_provider'] is set`
	noOwnSearch   = `the stand-in has no search of its own: set opensearch['external'] = true`
)

func databaseChecks() []check {
	return []check{
		{cspg001, func(r *reconfiguration) bool {
			return r.previous != nil && !r.previous.truth("postgresql", "external", false)
		}},
		{cspg002, func(r *reconfiguration) bool { return !r.config.has("postgresql", "db_superuser") }},
		{cspg003, func(r *reconfiguration) bool { return r.database.password == "" }},
		{cspg004, func(r *reconfiguration) bool { return !r.config.has("postgresql", "vip") }},
	}
}

func otherChecks() []check {
	const erchef = "opscode_erchef"
	return []check{
		{auth001, func(r *reconfiguration) bool {
			return len(r.config["ldap"]) > 0 && r.config.truth("oc_id", "saml", false)
		}},
		{pairIncomplete, func(r *reconfiguration) bool {
			certificate, key := r.config.text("nginx", "ssl_certificate", ""), r.config.text("nginx", "ssl_certificate_key", "")
			return certificate+key != "" && (!exists(certificate) || !exists(key))
		}},
		{storageChanged, func(r *reconfiguration) bool {
			return r.previous != nil && storage(r.previous) != storage(r.config)
		}},
		{index003, func(r *reconfiguration) bool {
			return r.config.text(erchef, "search_provider", "") != "opensearch" && r.memory < 3072<<20
		}},
		{noOwnSearch, func(r *reconfiguration) bool { return !r.config.truth("opensearch", "external", false) }},
		{opensearch001, func(r *reconfiguration) bool {
			return r.config.number(erchef, "reindex_sleep_min_ms", 500) > r.config.number(erchef, "reindex_sleep_max_ms", 2000)
		}},
		{opensearch006, func(r *reconfiguration) bool {
			return !r.config.has(erchef, "search_auth_username") && !r.config.has(erchef, "search_auth_password")
		}},
		{opensearch007, func(r *reconfiguration) bool { return !r.config.has("opensearch", "external_url") }},
		{opensearch008, func(r *reconfiguration) bool {
			return r.config.has(erchef, "search_provider") && !slices.Contains([]string{"batch", "inline"}, r.config.text(erchef, "search_queue_mode", ""))
		}},
	}
}

func storage(c settings) string { return c.text("bookshelf", "storage_type", "filesystem") }
