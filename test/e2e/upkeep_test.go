//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/lab"
	"github.com/cincbake/cincbake/lab/drill"
	"github.com/cincbake/cincbake/secrets"
)

// TestUpkeep does to a whole cluster what its operators do in a year: they replace every machine by newer images, renew the
// certificates and the CA, and restore a backup onto fresh machines. Clients work meanwhile. It takes about half an hour, and is no
// part of the end-to-end suite.
func TestUpkeep(t *testing.T) {
	b := newBench(t)
	t.Cleanup(func() { t.Logf("figures:\n  %s", strings.Join(b.figures, "\n  ")) })
	for _, part := range []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		{"a spec with every tier", testTiersSpec},
		{"eleven machines become a cluster", testTiersUp},
		{"every machine is replaced under clients' eyes", testUpkeepRollout},
		{"running machines take new certificates over", testUpkeepRotate},
		{"running machines take a new CA over", testUpkeepAuthority},
		{"a backup brings everything back on fresh machines", testUpkeepRestore},
		{"down leaves nothing behind", testTiersDown},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, b) }) {
			t.Fatalf("the story ends here")
		}
	}
}

// askAllTheTime asks the clients' address how the service is, until the function that it returns is called. A question that
// fails is asked again for as long as retry, as a client does with one that changes nothing; what fails then has failed.
func askAllTheTime(t *testing.T, retry time.Duration) (answers func() (asked int, failures []error)) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	var (
		asking   sync.WaitGroup
		asked    int
		failures []error
	)
	l := tiers(t)
	asking.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
			err := pong(context.WithoutCancel(ctx), l)
			for end := time.Now().Add(retry); err != nil && time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
				err = pong(context.WithoutCancel(ctx), l)
			}
			asked++
			if err != nil {
				failures = append(failures, fmt.Errorf("%s: %w", time.Now().Format(time.TimeOnly), err))
			}
		}
	})
	return func() (int, []error) {
		stop()
		asking.Wait()
		return asked, failures
	}
}

// testUpkeepRollout replaces every machine while all kinds of clients work.
func testUpkeepRollout(t *testing.T, b *bench) {
	answers := askAllTheTime(t, 5*time.Second)
	report := filepath.Join(t.TempDir(), "report")
	o := b.try(t, 20*time.Minute, "lab", "drill", "rollout", "--images", b.images, "--report", report)
	asked, failures := answers()
	b.figure(t, "%.0f s, exit code %d; %d questions, %d failed for more than five seconds\n%s", o.took.Seconds(), o.code, asked, len(failures), o.stdout)
	for _, err := range failures {
		t.Error(err)
	}
	unharmed(t, report, o)
}

// testUpkeepRotate replaces every leaf certificate while clients write and ask all the time.
func testUpkeepRotate(t *testing.T, b *bench) {
	b.rotate(t, "leaves", "leaves")
	if o := b.try(t, time.Minute, "secrets", "rotate", "cinc.bookshelfSecret"); o.code != 5 || !strings.Contains(o.stderr, "--allow-outage") {
		t.Errorf("what takes an outage was not refused with the way to have one: %d, %s", o.code, o.stderr)
	}
}

// testUpkeepAuthority replaces the CA in its three steps, and with each every certificate, while clients work.
func testUpkeepAuthority(t *testing.T, b *bench) {
	_, before := b.load(t)
	for step, more := range [][]string{nil, {"--continue"}, {"--continue"}} {
		b.rotate(t, fmt.Sprintf("the CA, step %d of 3", step+1), append([]string{"ca"}, more...)...)
	}
	if _, after := b.load(t); after.Trusted() != after.CA.Certificate || after.CA.Certificate == before.CA.Certificate {
		t.Error("the old CA is not gone after the third step")
	}
}

// rotate replaces secrets on running machines while clients write to the database and to the API, and ask how the service is.
// None of their requests may fail for more than five seconds, and then every program serves what is in the bundle.
func (b *bench) rotate(t *testing.T, what string, args ...string) {
	t.Helper()
	const patience = 5 * time.Second
	l := tiers(t)
	resolved, before := b.load(t)
	trusted := before.Trusted() // as clients have it before each step of the CA, see docs/security.md
	sql := b.writers(t, patience, &drill.Postgres{
		Cluster: resolved, CA: trusted, Password: before.Postgres.Owner, Dial: l.Dial, DialFrom: l.DialFrom,
	})
	api := b.writers(t, patience, &drill.Chef{
		Cluster: resolved, CA: trusted, Key: before.Cinc.Superuser.Private, Dial: l.Dial,
	})
	answers := askAllTheTime(t, patience)
	o := b.must(t, 15*time.Minute, slices.Concat([]string{"secrets", "rotate"}, args, []string{"--apply", "--lab"})...)
	asked, failures := answers()
	api(what + ", requests to the API")
	sql(what + ", rows in the database")
	b.figure(t, "%s: %d questions during a rotation of %.0f s, %d failed for more than five seconds", what, asked, o.took.Seconds(), len(failures))
	for _, err := range failures {
		t.Error(err)
	}
	_, after := b.load(t)
	if after.Nodes["postgres-1"].Certificate == before.Nodes["postgres-1"].Certificate {
		t.Errorf("%s: postgres-1's certificate in the bundle is the old one", what)
	}
	serveTheirs(t, what, l, resolved, after)
}

// reloadTime is how long a program that was told may take to serve its new certificate.
const reloadTime = 15 * time.Second

// serveTheirs fails unless every program serves the certificate that the bundle has for it. A file tells nothing of that: the
// program may never have read it.
func serveTheirs(t *testing.T, what string, l *lab.Lab, resolved *cluster.Resolved, bundle *secrets.Bundle) {
	t.Helper()
	ports := map[cluster.Role][]int{
		cluster.RolePostgres:   {cluster.PortPostgres, cluster.PortPatroni, cluster.PortEtcdClient, cluster.PortAgent},
		cluster.RoleHeartbeat:  {cluster.PortEtcdClient, cluster.PortAgent},
		cluster.RoleOpenSearch: {cluster.PortOpenSearch, cluster.PortAgent},
		cluster.RoleAPI:        {cluster.PortHTTPS, cluster.PortAgent},
		cluster.RoleLB:         {cluster.PortAgent},
	}
	deadline, looked := time.Now().Add(reloadTime), 0
	for _, node := range resolved.Nodes {
		for _, port := range ports[node.Role] {
			pair := bundle.Nodes[node.Name]
			if port == cluster.PortHTTPS {
				pair = *bundle.Front
			}
			block, _ := pem.Decode([]byte(pair.Certificate))
			address := netip.AddrPortFrom(node.Address, uint16(port)) //nolint:gosec // a port
			err := serves(t.Context(), l, node.Name, address, block.Bytes)
			for err != nil && time.Now().Before(deadline) {
				time.Sleep(200 * time.Millisecond)
				err = serves(t.Context(), l, node.Name, address, block.Bytes)
			}
			if looked++; err != nil {
				t.Errorf("%s: %s, port %d: %v", what, node.Name, port, err)
			}
		}
	}
	if looked < len(resolved.Nodes) {
		t.Errorf("%s: only %d ports of %d machines were looked at", what, looked, len(resolved.Nodes))
	}
}

// serves looks which certificate a node's program serves, from that node: its firewall lets few others come. Whether the program
// would let the asker in does not matter.
func serves(ctx context.Context, l *lab.Lab, node string, address netip.AddrPort, want []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := l.DialFrom(ctx, node, "tcp", address.String())
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it has said what it had to say
	if end, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(end); err != nil {
			return err
		}
	}
	if address.Port() == cluster.PortPostgres {
		if err := requestTLS(conn); err != nil {
			return err
		}
	}
	var served []byte
	err = tls.Client(conn, &tls.Config{
		ServerName: tiersDomain, InsecureSkipVerify: true, //nolint:gosec // the very certificate is compared
		VerifyPeerCertificate: func(chain [][]byte, _ [][]*x509.Certificate) error {
			served = chain[0]
			return nil
		},
	}).HandshakeContext(ctx)
	switch {
	case served == nil:
		return fmt.Errorf("it serves no certificate: %w", err)
	case !bytes.Equal(served, want):
		return errors.New("it serves another certificate than the bundle's")
	}
	return nil
}

// requestTLS asks PostgreSQL to go on in TLS, which it says yes to with a letter.
func requestTLS(conn net.Conn) error {
	if _, err := conn.Write([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}); err != nil {
		return err
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return err
	}
	if answer[0] != 'S' {
		return fmt.Errorf("asked for TLS, PostgreSQL answers %q", answer[0])
	}
	return nil
}

// testUpkeepRestore destroys everything and begins anew from the backup.
func testUpkeepRestore(t *testing.T, b *bench) {
	b.must(t, 5*time.Minute, "backup", "--lab")
	const count = "select count(*) from written"
	rows := b.sql(t, "cincbake", count)
	b.must(t, 2*time.Minute, "lab", "down")
	b.must(t, time.Minute, "restore", "--latest", "--lab")
	o := b.must(t, 8*time.Minute, "lab", "up", "--images", b.images)
	b.figure(t, "whole %.1f s after lab up, from the backup", o.took.Seconds())
	if got := b.sql(t, "cincbake", count); got != rows || rows == "0" {
		t.Errorf("%s rows came back, there were %s", got, rows)
	}
	if keys := b.sql(t, "opscode_chef", "select key_name from keys join users using (id) where username = 'pivotal'"); keys != "cincbake" {
		t.Errorf("pivotal's keys are %q", keys)
	}
	b.must(t, 5*time.Minute, "reindex", "--lab")
	if err := pong(t.Context(), tiers(t)); err != nil {
		t.Error(err)
	}
}
