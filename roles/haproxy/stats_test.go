package haproxy

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestServing(t *testing.T) {
	const header = "# pxname,svname,scur,status,\n"
	// Recorded from haproxy 3.0.11 with one server that is well, one that answers 500, one that is drained, and one that is off.
	recorded, err := os.ReadFile("testdata/stat.csv")
	if err != nil {
		t.Fatal(err)
	}
	nobody := map[string]int{}
	for _, row := range []struct {
		name, stats string
		want        Served
		err         string
	}{
		{"recorded", string(recorded), Served{[]string{"api-1"}, nobody}, ""},
		{"about to fall", header + "api,api-2,0,UP 1/2,\napi,api-1,0,UP,\napi,api-3,0,DOWN 1/2,\n", Served{[]string{"api-1", "api-2"}, nobody}, ""},
		{"nobody", header + "api,api-1,0,DOWN,\napi,BACKEND,9,UP,\napi-any,api-1,0,UP,\n", Served{[]string{}, nobody}, ""},
		{"sessions", header + "https,FRONTEND,7,OPEN,\napi,api-1,2,DRAIN (agent),\napi-any,api-1,3,UP,\n", Served{[]string{}, map[string]int{"api-1": 5}}, ""},
		{"cut off", header + "api\n", Served{}, `haproxy's statistics are cut off at ["api"]`},
		{"no number", header + "api,api-1,many,UP,\n", Served{}, `haproxy's statistics: sessions of api-1: strconv.Atoi: parsing "many": invalid syntax`},
		{"nothing", "", Served{}, "haproxy's statistics are empty"},
		{"no statistics", "Permission denied\n", Served{}, "haproxy's statistics lack # pxname"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := serving(strings.NewReader(row.stats))
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
			if (err == nil) != (row.err == "") || err != nil && err.Error() != row.err {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestServingAsksTheSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	if _, err := Serving(t.Context(), socket); err == nil {
		t.Error("nobody listens, and it answered")
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if question, _ := bufio.NewReader(conn).ReadString('\n'); question == "show stat\n" {
			_, _ = conn.Write([]byte("# pxname,svname,scur,status\napi,api-1,0,UP\n\n"))
		}
	}()
	got, err := Serving(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Served{[]string{"api-1"}, map[string]int{}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestThePreambleOpensTheSocket(t *testing.T) {
	if !strings.Contains(preamble, "stats socket "+Socket+" ") {
		t.Error("haproxy listens elsewhere than at " + Socket)
	}
}
