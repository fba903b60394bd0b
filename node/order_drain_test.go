package node

import (
	"io"
	"net"
	"net/netip"
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
