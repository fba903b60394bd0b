//go:build integration

package cinc

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/secrets"
)

// startPostgres starts a real server and returns how the databases' owner reaches it, and the superuser.
func startPostgres(t *testing.T) (owner, super Database) {
	t.Helper()
	missing := func(what string) {
		if os.Getenv("CINCBAKE_REQUIRE") == "1" {
			t.Fatal(what)
		}
		t.Skip(what)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	account, err := user.Lookup("postgres")
	if len(found) == 0 || err != nil || os.Getuid() != 0 {
		missing("a real PostgreSQL takes root and: apt-get install postgresql")
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	dir, err := os.MkdirTemp("", "cincbake-ledger-") //nolint:usetesting // t.TempDir is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	_, port, _ := net.SplitHostPort(address)
	bin, data := found[len(found)-1], filepath.Join(dir, "data")
	as := func(name string, arguments ...string) *exec.Cmd {
		c := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(bin, name), arguments...)
		c.Dir = dir
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		return c
	}
	if out, err := as("initdb", "-D", data, "-A", "trust", "-U", "super", "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	var log bytes.Buffer
	running := as("postgres", "-D", data, "-k", dir, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off")
	running.Stdout, running.Stderr = &log, &log
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = running.Process.Signal(syscall.SIGQUIT)
		_ = running.Wait()
	})
	super = Database{Owner: "super", address: address}
	for deadline := time.Now().Add(20 * time.Second); super.Reachable(t.Context()) != nil; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%v\n%s", super.Reachable(t.Context()), log.String())
		}
	}
	if _, err := super.ask(t.Context(), templateDatabase, "create role cinc_owner login createdb createrole"); err != nil {
		t.Fatal(err)
	}
	return Database{Owner: "cinc_owner", address: address, password: secrets.New("unused")}, super
}

func TestOneOfManyGetsTheLock(t *testing.T) {
	database, super := startPostgres(t)
	for round := range 20 {
		var got, busy int
		var mu sync.Mutex
		var holder *Lock
		var wait sync.WaitGroup
		for i := range 6 {
			wait.Go(func() {
				lock, err := database.Lock(t.Context(), "api-"+strconv.Itoa(i+1))
				mu.Lock()
				defer mu.Unlock()
				var other *Busy
				switch {
				case err == nil:
					got, holder = got+1, lock
				case errors.As(err, &other):
					busy++
				default:
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if got != 1 || busy != 5 {
			t.Fatalf("round %d: %d got the lock and %d were told to wait", round, got, busy)
		}
		holder.Release(t.Context(), true)
		if _, err := super.ask(t.Context(), templateDatabase, "drop database "+ledgerDatabase+" with (force)"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestALostLockEndsTheWork(t *testing.T) {
	database, super := startPostgres(t)
	lock, err := database.Lock(t.Context(), "api-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Write(t.Context(), WorkBootstrap); err != nil {
		t.Fatal(err)
	}
	lock.Keep()
	guarded, release := lock.Guard(t.Context())
	defer release()
	if _, err := database.Lock(t.Context(), "api-2"); err == nil || !strings.Contains(err.Error(), "api-1 is about to make the databases") {
		t.Fatalf("a held lock: %v", err)
	}
	time.Sleep(2*beatPause + beatPause/2)
	if guarded.Err() != nil {
		t.Fatal("a lock that is kept was lost")
	}
	// As a failover does.
	if _, err := super.ask(t.Context(), ledgerDatabase, "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	<-guarded.Done()
	if took := time.Since(began); took > 3*beatPause || !errors.Is(context.Cause(guarded), ErrLockLost) {
		t.Errorf("after %v: %v", took, context.Cause(guarded))
	}
	lock.Release(t.Context(), false)
	if _, err := database.Lock(t.Context(), "api-2"); err == nil || !strings.Contains(err.Error(), "api-1 broke off") {
		t.Errorf("a successor does not wait: %v", err)
	}
	back, err := database.Lock(t.Context(), "api-1")
	if err != nil {
		t.Fatalf("the machine that broke off knows what it runs, and need not wait: %v", err)
	}
	back.Release(t.Context(), true)
	next, err := database.Lock(t.Context(), "api-2")
	if err != nil {
		t.Fatalf("given back in good order: %v", err)
	}
	next.Release(t.Context(), true)
}

// A machine that stands still keeps its connections: the kernel answers for it.
func TestALockIsTakenFromWhoStandsStill(t *testing.T) {
	database, _ := startPostgres(t)
	frozen, err := database.Lock(t.Context(), "api-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := frozen.Write(t.Context(), WorkBootstrap); err != nil {
		t.Fatal(err)
	}
	if _, err := database.Lock(t.Context(), "api-2"); err == nil || !strings.Contains(err.Error(), "api-1 is about to make the databases") {
		t.Fatalf("got %v", err)
	}
	time.Sleep(settle)
	if _, err := database.Lock(t.Context(), "api-2"); err == nil || !strings.Contains(err.Error(), "api-1 stands still") {
		t.Fatalf("got %v", err)
	}
	var successor *Lock
	for deadline := time.Now().Add(5 * time.Second); successor == nil; time.Sleep(50 * time.Millisecond) {
		if successor, err = database.Lock(t.Context(), "api-2"); err != nil && time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	frozen.Keep() // it thaws
	guarded, release := frozen.Guard(t.Context())
	defer release()
	select {
	case <-guarded.Done():
	case <-time.After(5 * time.Second):
		t.Error("the thawed machine does not notice that its lock is gone")
	}
	frozen.Release(t.Context(), false)
	ledger, err := database.readLedger(t.Context())
	if err != nil || ledger.Holder != "api-2" || ledger.Ended || !ledger.Began {
		t.Errorf("ledger %+v, %v", ledger, err)
	}
	successor.Release(t.Context(), true)
}

func TestLook(t *testing.T) {
	database, _ := startPostgres(t)
	bundle := "-----BEGIN PUBLIC KEY-----\nb3Vycw==\n-----END PUBLIC KEY-----\n"
	other := "-----BEGIN PUBLIC KEY-----\nb3RoZXI=\n-----END PUBLIC KEY-----\n"
	do := func(where string, statements ...string) {
		t.Helper()
		for _, statement := range statements {
			if _, err := database.ask(t.Context(), where, statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	expect := func(why string, want Contents) {
		t.Helper()
		got, err := database.Look(t.Context(), bundle)
		if err != nil {
			t.Fatalf("%s: %v", why, err)
		}
		got.Ledger.Quiet = 0
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", why, diff)
		}
	}
	expect("nothing", Contents{})
	do(templateDatabase, "create database bifrost template template0", "create database opscode_chef template template0")
	expect("databases without tables", Contents{Databases: []string{"bifrost", "opscode_chef"}})
	do(databaseChef,
		"create table users (id text, username text)",
		"create table keys (id text, key_name text, public_key text)",
		"create table orgs (id text)")
	expect("tables", Contents{Databases: []string{"bifrost", "opscode_chef"}})
	do(databaseChef, "insert into users values ('1', 'pivotal')", "insert into keys values ('1', 'default', '"+other+"')", "insert into orgs values ('1'), ('2')")
	expect("another key", Contents{Databases: []string{"bifrost", "opscode_chef"}, Superuser: true, OtherKeys: []string{"default"}, Organizations: 2})
	do(databaseChef, "insert into keys values ('1', 'cincbake', '"+bundle+"')")
	lock, err := database.Lock(t.Context(), "api-1")
	if err != nil {
		t.Fatal(err)
	}
	lock.Release(t.Context(), true)
	if err := database.finish(t.Context(), "15.10.91"); err != nil {
		t.Fatal(err)
	}
	expect("ours", Contents{
		Databases: []string{"bifrost", "opscode_chef"}, Superuser: true, OurKey: true, OtherKeys: []string{"default"}, Organizations: 2,
		Ledger: Ledger{Holder: "api-1", Work: string(WorkJoin), Address: "127.0.0.1", Ended: true, Began: true, Made: true, Version: "15.10.91"},
	})
	if err := database.clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("cleared", Contents{Ledger: Ledger{Holder: "api-1", Work: string(WorkJoin), Address: "127.0.0.1", Ended: true, Began: true, Made: true, Version: "15.10.91"}})
}
