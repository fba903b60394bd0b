package lb

import (
	"bufio"
	"net"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
)

// answering is haproxy's socket, which says the same to everybody.
func answering(t *testing.T, stats string) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(conn).ReadString('\n')
			_, _ = conn.Write([]byte("# pxname,svname,scur,status\n" + stats))
			_ = conn.Close()
		}
	}()
	return socket
}

func TestBalancer(t *testing.T) {
	// Loopback's address is the one that every machine has, 192.0.2.1 one that none has.
	own, others := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1")
	for _, row := range []struct {
		name, stats string
		vip         netip.Addr
		want        *cluster.Balancer
	}{
		{"holds the address", "api,api-1,2,UP\napi,api-2,0,UP\n", own, &cluster.Balancer{HoldsVIP: true, Up: []string{"api-1", "api-2"}, Sessions: map[string]int{"api-1": 2}}},
		{"stands by", "api,api-1,0,DOWN\napi,api-2,0,UP\n", others, &cluster.Balancer{Up: []string{"api-2"}, Sessions: map[string]int{}}},
		{"degraded", "api,api-1,0,DOWN\napi-any,api-1,0,UP\n", own, &cluster.Balancer{HoldsVIP: true, Up: []string{}, Sessions: map[string]int{}, Degraded: true}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := balancer(t.Context(), answering(t, row.stats), row.vip)
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := balancer(t.Context(), filepath.Join(t.TempDir(), "admin.sock"), own); got != nil {
		t.Errorf("without haproxy: %+v", got)
	}
}
