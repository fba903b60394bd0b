package lab

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/lab/machine"
)

func TestFront(t *testing.T) {
	database := testCluster()
	direct := testCluster()
	direct.Nodes = append(direct.Nodes, cluster.Node{Name: "api-1", Role: cluster.RoleAPI, Slot: 1, Address: netip.MustParseAddr("10.20.0.21")})
	balanced := testCluster()
	balanced.Nodes = direct.Nodes
	balanced.LB = &cluster.LB{Kind: cluster.LBNodes, VIP: netip.MustParseAddr("10.20.0.10")}
	for name, row := range map[string]struct {
		c    *cluster.Resolved
		want string
	}{"a database alone": {database, ""}, "API nodes alone": {direct, "10.20.0.21:443"}, "behind balancers": {balanced, "10.20.0.10:443"}} {
		t.Run(name, func(t *testing.T) {
			if got, serves := front(row.c); got != row.want || serves != (row.want != "") {
				t.Errorf("got %q, %v", got, serves)
			}
		})
	}
}

func TestPublish(t *testing.T) {
	if _, err := machine.ThisHost(); err != nil {
		t.Skip(err)
	}
	l := testLab(t, "demo")
	sleeper := func(string) []string { return []string{"sleep", "600"} }
	if _, err := l.settle(testConfig()); err != nil {
		t.Fatal(err)
	}
	if listen, err := l.Publish(t.Context(), "CA", sleeper); err != nil || listen != "" {
		t.Fatalf("a cluster without an API is at %q: %v", listen, err)
	}

	r, err := l.load()
	if err != nil {
		t.Fatal(err)
	}
	r.Cluster.LB = &cluster.LB{Kind: cluster.LBNodes, VIP: netip.MustParseAddr("10.20.0.10")}
	if err := l.save(r); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.unpublish(context.Background()); err != nil {
			t.Error(err)
		}
	})
	publish := func() string {
		t.Helper()
		listen, err := l.Publish(t.Context(), "CA", sleeper)
		if err != nil || listen == "" {
			t.Fatalf("it is at %q: %v", listen, err)
		}
		if now, err := l.Published(); err != nil || now != listen {
			t.Errorf("it is said to be at %q, not %q: %v", now, listen, err)
		}
		return listen
	}
	first := publish()
	before, _, err := l.forwarding()
	if err != nil || before.To != "10.20.0.10:443" {
		t.Fatalf("%+v, %v", before, err)
	}
	if publish() != first {
		t.Error("the address changed")
	}
	if again, _, err := l.forwarding(); err != nil || again != before {
		t.Errorf("a second program was started: %+v, %v", again, err)
	}
	if text, err := os.ReadFile(l.CAFile()); err != nil || string(text) != "CA" {
		t.Errorf("clients trust %q: %v", text, err)
	}

	// The CA is for everyone on this host, and so the folders above it let pass; what machines hold is for root alone.
	for path, want := range map[string]os.FileMode{l.CAFile(): 0o644, l.dir(): 0o711, l.machinesDir(): 0o700, l.recordFile(): 0o600, l.forwardingFile(): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s is %v, not %v: %v", path, info, want, err)
		}
	}

	if err := l.unpublish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now, err := l.Published(); err != nil || now != "" {
		t.Errorf("what was ended is at %q: %v", now, err)
	}
	if publish() != first {
		t.Error("the new program listens elsewhere, though the address is free")
	}
}

// Where another lab listens already, the next port is taken; where this one did before, clients may have noted.
func TestPublicAddresses(t *testing.T) {
	got := publicAddresses("127.0.0.1:8450")
	if diff := cmp.Diff([]string{"127.0.0.1:8450", "127.0.0.1:8443", "127.0.0.1:8444"}, got[:3]); diff != "" {
		t.Error(diff)
	}
	taken, err := listenOn(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := listenOn(t.Context(), "", taken.Addr().String(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	if _, err := listenOn(t.Context(), taken.Addr().String(), free.Addr().String()); err == nil {
		t.Error("an address was taken twice")
	}
}

func TestForwardEndsWithTheLab(t *testing.T) {
	l := testLab(t, "gone")
	listener, err := listenOn(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- l.Forward(t.Context(), listener, "10.20.0.10:443") }()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("somebody answered")
	}
	if err := <-ended; err == nil {
		t.Error("it goes on without a lab")
	}
	if err := l.Forward(t.Context(), listener, "chef.example.com:443"); err == nil {
		t.Error("a name was taken, which would be looked up on the host")
	}
}

func TestJoin(t *testing.T) {
	pair := func() (outer, inner net.Conn) {
		t.Helper()
		listener, err := listenOn(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		if outer, err = (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String()); err != nil {
			t.Fatal(err)
		}
		if inner, err = listener.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = outer.Close() })
		return outer, inner
	}
	client, inClient := pair()
	server, inServer := pair()
	joined := make(chan struct{})
	go func() { join(t.Context(), inClient, inServer); close(joined) }()

	// The client has said all, and still gets its answer: half of a connection may end before the other.
	if _, err := client.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	if err := client.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(server); err != nil || !bytes.Equal(got, []byte("question")) {
		t.Fatalf("the server got %q: %v", got, err)
	}
	if _, err := server.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	server.Close()
	if got, err := io.ReadAll(client); err != nil || !bytes.Equal(got, []byte("answer")) {
		t.Errorf("the client got %q: %v", got, err)
	}
	<-joined
}
