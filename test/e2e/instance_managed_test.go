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
	"path/filepath"
	"slices"
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

// accountDatabase stands for RDS: a PostgreSQL of a version that Cinc Server accepts, which the account's network leads to, with TLS
// and passwords hashed with md5.
type accountDatabase struct {
	tree    string // the Debian that has it
	dir     string // within that, PostgreSQL's own
	port    string // on the host's loopback device
	address string // in the account's network
	program *exec.Cmd
	log     bytes.Buffer // safe to read when the program has ended
}

// databasePassword is its owner's.
const databasePassword = "planted-password-of-the-database"

// newAccountDatabase starts a database. Its Debian is made once, and kept.
func newAccountDatabase(t *testing.T, c *cloud) *accountDatabase {
	t.Helper()
	d := &accountDatabase{tree: keptTree(t, c.home, "tree-database", func(root string) [][]string {
		return [][]string{{"mmdebstrap", "--quiet", "--variant=apt", "--include=postgresql-13", "bullseye", root}}
	})}
	made, err := d.within("mktemp", "--directory", "/var/lib/postgresql/e2e.XXXXXX").Output()
	if err != nil {
		t.Fatal(err)
	}
	d.dir = strings.TrimSpace(string(made))
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Join(d.tree, d.dir)) })
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := free.Addr().String()
	_ = free.Close()
	_, d.port, _ = net.SplitHostPort(at)
	d.address = c.vpc.forward(t, at)
	_, own := issue(t, vpcPrefix().Addr().AsSlice())
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"own.pem": {Type: "CERTIFICATE", Bytes: own.Certificate[0]}, "own.key": {Type: "PRIVATE KEY", Bytes: key}} {
		write := d.within("sh", "-c", "umask 077; cat > "+d.dir+"/"+name)
		write.Stdin = bytes.NewReader(pem.EncodeToMemory(block))
		if out, err := write.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	initdb := d.within(postgresPrograms+"initdb", "--pgdata="+d.dir+"/data", "--auth-local=trust", "--auth-host=md5", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	t.Cleanup(func() { d.stop(t) })
	d.start(t)
	return d
}

const postgresPrograms = "/usr/lib/postgresql/13/bin/"

// within is a command in the database's Debian, by its user.
func (d *accountDatabase) within(argv ...string) *exec.Cmd {
	const enter = `mount --bind /dev "$TREE/dev" && mount -t proc proc "$TREE/proc" && exec chroot --userspec=postgres "$TREE" "$@"`
	command := exec.Command("unshare", append([]string{"--mount", "--propagation", "private", "sh", "-c", enter, "sh"}, argv...)...) //nolint:noctx // what stays ends with the suite
	command.Env = []string{"TREE=" + d.tree, "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	return command
}

// administrator is psql, as PostgreSQL's superuser.
func (d *accountDatabase) administrator(args ...string) *exec.Cmd {
	return d.within(append([]string{"psql", "--host=" + d.dir, "--port=" + d.port, "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--dbname=template1"}, args...)...)
}

func (d *accountDatabase) start(t *testing.T) {
	t.Helper()
	argv := []string{postgresPrograms + "postgres", "-D", d.dir + "/data", "-k", d.dir, "-p", d.port}
	for _, setting := range []string{
		"listen_addresses=127.0.0.1", "ssl=on", "ssl_cert_file=" + d.dir + "/own.pem", "ssl_key_file=" + d.dir + "/own.key", "password_encryption=md5", "max_connections=600",
	} {
		argv = append(argv, "-c", setting)
	}
	d.program = d.within(argv...)
	d.program.Stdout, d.program.Stderr = &d.log, &d.log
	if err := d.program.Start(); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		out, err := d.administrator("--command=select 1").CombinedOutput()
		if err == nil {
			return
		}
		if time.Now().After(limit) {
			d.stop(t)
			t.Fatalf("the account's database does not start: %v\n%s\n%s", err, out, d.log.String())
		}
	}
}

// stop ends the database at once, with its clients' connections.
func (d *accountDatabase) stop(t *testing.T) {
	t.Helper()
	if d.program == nil || d.program.ProcessState != nil {
		return
	}
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
	command := d.administrator()
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
