package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"strconv"
	"strings"
	"time"
)

// migrationLevel is what "partybus init" writes with 15.x.
const migrationLevel = `{"major":1,"minor":37}`

// reconfigure does what the contract says, in Cinc Server's order.
func reconfigure(ctx context.Context, i invocation) error {
	config, secrets, err := i.load()
	if err != nil {
		return err
	}
	r := &reconfiguration{invocation: i, config: config, secrets: secrets, database: serverOf(config, secrets)}
	if err := r.loadPrevious(); err != nil {
		return err
	}
	if r.search, err = searchOf(config, secrets, i.layout); err != nil {
		return err
	}
	if err := r.preflight(ctx); err != nil {
		return fmt.Errorf("reconfigure: %w", err)
	}
	i.say("reconfigure: %s", r.rule.name)
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"secrets", r.saveSecrets},
		{"databases", r.makeDatabases},
		{"search", func(ctx context.Context) error { return r.search.prepare(ctx, r.wait) }},
		{"files", r.writeFiles},
		{"bootstrap", r.bootstrap},
		{"services", r.startServices},
		{"cinc-server-running.json", r.saveRunning},
	} {
		if err := i.pause(ctx, step.name); err != nil {
			return err
		}
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("reconfigure: %s: %w", step.name, err)
		}
	}
	i.say("reconfigured")
	return nil
}

// pause waits before a step for as long as the file "pause" in the configuration's folder says ("STEP SECONDS"), so that a
// test can strike at that very step. The file "paused" says that it does, and where.
func (i invocation) pause(ctx context.Context, step string) error {
	text, err := os.ReadFile(i.etc("pause"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var name string
	var seconds float64
	if _, err := fmt.Sscan(string(text), &name, &seconds); err != nil {
		return fmt.Errorf("%s: %w", i.etc("pause"), err)
	}
	if name != step {
		return nil
	}
	i.say("pausing before %s", step)
	if err := write(i.etc("paused"), []byte(step), 0o644); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(seconds * float64(time.Second))):
		return nil
	}
}

// upgrade reconfigures, brings the data's layout up to date, and leaves the services down.
func upgrade(ctx context.Context, i invocation) error {
	if err := control(ctx, i, "stop"); err != nil {
		return err
	}
	if err := reconfigure(ctx, i); err != nil {
		return err
	}
	if err := control(ctx, i, "stop"); err != nil {
		return err
	}
	return write(i.level(), []byte(migrationLevel), 0o644)
}

// saveSecrets comes before everything else: a run that fails later leaves the superuser's key behind.
func (r *reconfiguration) saveSecrets(context.Context) error {
	if password := r.config.text("postgresql", "db_superuser_password", ""); password != "" {
		r.secrets.set("postgresql", "db_superuser_password", password, true)
	}
	if password := r.config.text("opscode_erchef", "search_auth_password", ""); password != "" {
		r.secrets.set("opscode_erchef", "search_auth_password", password, true)
	}
	if err := r.secrets.fill(r.layout); err != nil {
		return err
	}
	if err := r.secrets.addKeys(); err != nil {
		return err
	}
	if err := r.secrets.save(r.store()); err != nil {
		return err
	}
	for file, key := range map[string]string{"pivotal.pem": "superuser_key", "webui_priv.pem": "webui_key", "webui_pub.pem": "webui_pub_key"} {
		var err error
		if r.config.truth("", "insecure_addon_compat", true) {
			err = write(r.etc(file), []byte(r.secrets.get("chef-server", key)), 0o600)
		} else if err = os.Remove(r.etc(file)); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *reconfiguration) makeDatabases(ctx context.Context) error {
	conn, err := r.database.connect(ctx, "template1")
	if err != nil {
		return fmt.Errorf("PG::ConnectionBad: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // every statement was answered
	for _, d := range databases() {
		if err := r.database.make(ctx, conn, d, r.secrets, r.schema()); err != nil {
			return fmt.Errorf("PG::Error: %w", err)
		}
	}
	return nil
}

// bootstrap makes the superuser, or fails where Cinc Server would.
func (r *reconfiguration) bootstrap(ctx context.Context) error {
	if r.rule.outcome == breaks {
		return errors.New(r.rule.says)
	}
	if r.rule.outcome != bootstrap {
		return nil
	}
	if err := r.database.addSuperuser(ctx, r.secrets); err != nil {
		return fmt.Errorf("PG::Error: %w", err)
	}
	return errors.Join(
		write(r.sentinel(), []byte("bootstrapped on "+time.Now().UTC().Format(time.RFC1123)+"\n"), 0o644),
		write(r.level(), []byte(migrationLevel), 0o644),
	)
}

const unitFile = `# Written by the stand-in for Cinc Server: a test fixture.
[Unit]
Description=private_chef Runit Process Supervisor (STAND-IN for tests)
After=network.target auditd.service

[Service]
Environment="LANG=en_US.UTF-8"
ExecStart=/opt/cinc-project/bin/cinc-server-ctl supervise
Restart=always
TasksMax=4915

[Install]
WantedBy=multi-user.target
`

func (r *reconfiguration) writeFiles(context.Context) error {
	if err := r.makeCertificate(); err != nil {
		return err
	}
	if err := write(r.goiardi(), r.goiardiConfiguration(), 0o640); err != nil {
		return err
	}
	if err := os.MkdirAll(r.goiardiHome()+"/files", 0o750); err != nil {
		return err
	}
	if err := r.giveToGoiardi(); err != nil {
		return err
	}
	knife := fmt.Sprintf("# Written by the stand-in for Cinc Server: a test fixture.\nnode_name 'pivotal'\nchef_server_root 'https://127.0.0.1:443/'\nclient_key '%s'\n", r.pivotal())
	if err := write(r.etc("pivotal.rb"), []byte(knife), 0o644); err != nil {
		return err
	}
	// The directory is cron's: without cron, Cinc Server fails here too.
	if !exists(r.in("/etc/cron.hourly")) {
		return errors.New("Parent directory /etc/cron.hourly does not exist.") //nolint:revive,staticcheck // Chef's words
	}
	rotate := "#!/bin/sh\n# Written by the stand-in for Cinc Server: a test fixture without logs of its own.\n"
	if err := write(r.in("/etc/cron.hourly/opc_logrotate"), []byte(rotate), 0o755); err != nil {
		return err
	}
	return write(r.unitPath(), []byte(unitFile), 0o644)
}

// goiardiConfiguration lets both of two nodes find the same: goiardi's search is in the database.
func (r *reconfiguration) goiardiConfiguration() []byte {
	quote := strconv.Quote // TOML reads it alike for printable text
	return fmt.Appendf(nil, `# Written by the stand-in for Cinc Server: a test fixture.
ipaddress = "127.0.0.1"
port = %d
hostname = %s
proxy-hostname = %s
proxy-port = 443
https-urls = true
log-level = "warning"
use-auth = true
use-postgresql = true
pg-search = true
dot-search = true
convert-search = true
conf-root = %s
local-filestore-dir = %s
db-pool-size = 5
max-connections = 20

[postgresql]
username = "opscode_chef"
password = %s
host = %s
port = %s
dbname = "opscode_chef"
sslmode = %s
`, goiardiPort, quote(r.domain()), quote(r.domain()), quote(r.goiardiHome()), quote(r.goiardiHome()+"/files"),
		quote(r.secrets.get("opscode_erchef", "sql_password")), quote(r.database.host), quote(strconv.Itoa(r.database.port)), quote(r.database.sslmode))
}

func (r *reconfiguration) domain() string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return r.config.text("", "api_fqdn", host)
}

// certificates returns the pair that nginx serves: the administrator's, or one of its own.
func (l layout) certificates(c settings) (certificate, key string) {
	return c.text("nginx", "ssl_certificate", l.state("nginx/ca/standin.crt")), c.text("nginx", "ssl_certificate_key", l.state("nginx/ca/standin.key"))
}

func (r *reconfiguration) makeCertificate() error {
	certificateFile, keyFile := r.certificates(r.config)
	if exists(certificateFile) && exists(keyFile) {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: r.domain()}, DNSNames: []string{r.domain()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		write(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
		write(certificateFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o644),
	)
}

// startServices enables the unit and starts it, and waits until it does what it is told; services that ran already start anew
// with what was written.
func (r *reconfiguration) startServices(ctx context.Context) error {
	active := []string{"systemctl", "is-active", "--quiet", unit}
	order := "status "
	if r.system(ctx, active...) == nil {
		order = "restart "
	}
	for _, argv := range [][]string{{"systemctl", "daemon-reload"}, {"systemctl", "enable", unit}, {"systemctl", "start", unit}} {
		if err := r.system(ctx, argv...); err != nil {
			return err
		}
	}
	if r.system(ctx, active...) != nil {
		return nil // something keeps it from starting yet, and systemd says nothing of it
	}
	for _, name := range []string{"opscode-erchef", "nginx"} {
		if _, err := r.tell(ctx, order+name); err != nil {
			return err
		}
	}
	return nil
}

// saveRunning says that everything went well.
func (r *reconfiguration) saveRunning(context.Context) error {
	all := settings{}
	for group, keys := range r.config {
		all[group] = map[string]any{}
		for key, value := range keys {
			all[group][key] = value
		}
	}
	if r.config.truth("", "insecure_addon_compat", true) {
		for group, names := range r.secrets {
			if all[group] == nil {
				all[group] = map[string]any{}
			}
			for name, c := range names {
				all[group][name] = strings.TrimSpace(c.Value)
			}
		}
	}
	content, err := json.MarshalIndent(running{all}, "", "  ")
	if err != nil {
		return err
	}
	return write(r.running(), append(content, '\n'), 0o600)
}
