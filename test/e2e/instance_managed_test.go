//go:build e2e

package e2e

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestInstancesManaged is TestInstances' account with a cluster that is API nodes alone: database and search are the account's.
func TestInstancesManaged(t *testing.T) {
	c := newCloud(t, "api")
	database := newAccountDatabase(t, c)
	c.writeSpec(t, 2, database.tier, c.accountSearch)
	c.env = append(c.env, "CINCBAKE_DATABASE_PASSWORD="+databasePassword)
	c.tell(t, []chapter{
		{"AMIs are baked, recorded and promoted", testCloudBake},
		{"the database gets its owner", database.prepare},
		{"groups launch machines that get ready", testCloudLaunch},
		{"the machines are a cluster", testCloudPool},
		{"a database that fails over ends no machine", database.failOver},
		{"no secret is where none may be", testCloudSecrets},
	})
}

// accountDatabase stands for RDS: a PostgreSQL of this host's that the account's network leads to, with TLS and passwords hashed
// with md5.
type accountDatabase struct {
	dir, bin string
	port     string // on the host's loopback device
	address  string // in the account's network
	program  *exec.Cmd
	log      bytes.Buffer
}

// databasePassword is its owner's.
const databasePassword = "planted-password-of-the-database"

// newAccountDatabase starts a database.
func newAccountDatabase(t *testing.T, c *cloud) *accountDatabase {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		t.Fatal("no PostgreSQL here: apt-get install postgresql")
	}
	dir, err := os.MkdirTemp("", "cincbake-e2e-database-") //nolint:usetesting // t.TempDir is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := free.Addr().String()
	_ = free.Close()
	d := &accountDatabase{dir: dir, bin: found[len(found)-1], address: c.vpc.forward(t, at)}
	_, d.port, _ = net.SplitHostPort(at)
	_, own := issue(t, vpcPrefix().Addr().AsSlice())
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"own.pem": {Type: "CERTIFICATE", Bytes: own.Certificate[0]}, "own.key": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "chown", "--recursive", "postgres:postgres", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := d.command(t, "initdb", "--pgdata=data", "--auth-local=trust", "--auth-host=md5", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	t.Cleanup(func() { d.stop(t) })
	d.start(t)
	return d
}

// command runs one of PostgreSQL's programs as its user.
func (d *accountDatabase) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	owner, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.ParseUint(owner.Uid, 10, 32)
	gid, _ := strconv.ParseUint(owner.Gid, 10, 32)
	command := exec.Command(filepath.Join(d.bin, name), args...) //nolint:noctx // it ends with the suite
	command.Dir = d.dir
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return command
}

func (d *accountDatabase) start(t *testing.T) {
	t.Helper()
	args := []string{"-D", "data", "-k", d.dir, "-p", d.port}
	for _, setting := range []string{
		"listen_addresses=127.0.0.1", "ssl=on", "ssl_cert_file=" + d.dir + "/own.pem", "ssl_key_file=" + d.dir + "/own.key", "password_encryption=md5", "max_connections=600",
	} {
		args = append(args, "-c", setting)
	}
	d.program = d.command(t, "postgres", args...)
	d.program.Stdout, d.program.Stderr = &d.log, &d.log
	if err := d.program.Start(); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		out, err := d.command(t, "psql", "--host="+d.dir, "--port="+d.port, "--no-psqlrc", "--command=select 1", "template1").CombinedOutput()
		if err == nil {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("the account's database does not start: %v\n%s\n%s", err, out, d.log.String())
		}
	}
}

// stop ends the database at once, with its clients' connections.
func (d *accountDatabase) stop(t *testing.T) {
	t.Helper()
	if err := d.program.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Error(err)
	}
	_ = d.program.Wait() // what it ends with depends on what it was at
}

// tier is how a spec names it. RDS is known by its name, and this has none.
func (d *accountDatabase) tier(t *testing.T, _ []string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(d.address)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("postgres: {version: 13, external: {host: %q, port: %s, rds: true, maxConnections: 600, owner: cinc_owner}}", host, port)
}

// prepare does what an administrator does by hand: the script that the command prints, and the owner's password.
func (d *accountDatabase) prepare(t *testing.T, c *cloud) {
	script := c.must(t, time.Minute, "sql").stdout
	const asks = `\password "cinc_owner"`
	if !strings.Contains(script, asks) {
		t.Fatalf("the script does not ask for the password:\n%s", script)
	}
	script = strings.Replace(script, asks, "ALTER ROLE cinc_owner PASSWORD '"+databasePassword+"';", 1)
	command := d.command(t, "psql", "--host="+d.dir, "--port="+d.port, "--no-psqlrc", "--set=ON_ERROR_STOP=1", "template1")
	command.Stdin = strings.NewReader(script)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// testCloudPool looks at a cluster of API nodes alone, and writes to it.
func testCloudPool(t *testing.T, c *cloud) {
	c.until(t, 2*time.Minute, "a pool of two", c.nodes, func() bool { return len(c.pool(t)) == 2 })
	same(t, "machines that answer", len(c.status(t)), 2)
	if said, err := c.operator(t, time.Minute, "launch", "status"); err != nil {
		t.Errorf("launch status: %v\n%s", err, said)
	}
	stop := c.clients(t, 0)
	time.Sleep(10 * time.Second)
	stop("ten seconds of writing")
}

// failOver takes the database away for as long as RDS may need to fail over, and looks whether a machine went for it.
func (d *accountDatabase) failOver(t *testing.T, c *cloud) {
	const away = 90 * time.Second
	instances := func() (ids []string) {
		for _, m := range c.running() {
			ids = append(ids, m.instance.ID)
		}
		slices.Sort(ids)
		return ids
	}
	before := instances()
	d.stop(t)
	for limit := time.Now().Add(away); time.Now().Before(limit); time.Sleep(time.Second) {
		same(t, "machines in service", len(c.pool(t)), 2)
	}
	said, err := c.operator(t, time.Minute, "status")
	if err == nil {
		t.Errorf("without a database, all is well:\n%s", said)
	}
	d.start(t)
	began := time.Now()
	c.status(t)
	c.figure(t, "whole again %.1f s after the database was back", time.Since(began).Seconds())
	same(t, "the machines", instances(), before)
	stop := c.clients(t, 0)
	time.Sleep(10 * time.Second)
	stop("ten seconds of writing after that")
}
