package node

import (
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/cinc"
	"github.com/cincbake/cincbake/step"
)

func TestAgentCheck(t *testing.T) {
	for _, row := range []struct {
		address string // one for each machine
		drained bool
		want    string
	}{{"127.0.0.9", false, "ready\n"}, {"127.0.0.10", true, "drain\n"}} {
		e := &endpoint{host: step.NewRecorder(), machine: Machine{Self: cluster.Node{Name: "api-1", Role: cluster.RoleAPI, Address: netip.MustParseAddr(row.address)}}}
		if err := cinc.Drain(e.host, row.drained); err != nil {
			t.Fatal(err)
		}
		if err := e.answerAgentCheck(t.Context()); err != nil {
			t.Fatal(err)
		}
		conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", net.JoinHostPort(row.address, "9441"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		_ = conn.Close()
		if err != nil || string(got) != row.want {
			t.Errorf("drained %v: the balancer is told %q, want %q (%v)", row.drained, got, row.want, err)
		}
	}
}

// hard is a listener of which a connection can't be taken at first.
type hard struct {
	net.Listener
	failures int
}

func (h *hard) Accept() (net.Conn, error) {
	if h.failures--; h.failures >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return h.Listener.Accept()
}

// A machine that runs out of files for a moment answers the balancers again, until its endpoint closes.
func TestAgentCheckGoesOn(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e, ended := &endpoint{host: step.NewRecorder()}, make(chan struct{})
	go func() {
		defer close(ended)
		e.answerEach(t.Context(), &hard{listener, 2})
	}()
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || string(got) != "ready\n" {
		t.Errorf("after two failures the balancer is told %q (%v)", got, err)
	}
	_ = listener.Close()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("it goes on after its listener was closed")
	}
}
