package secrets

import (
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cluster"
)

// shake runs one handshake over loopback, dialing as host, and returns both sides' errors.
func shake(t *testing.T, server, client *tls.Config, host string) (serverErr, clientErr error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // loopback, closed below
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	server, client = server.Clone(), client.Clone()
	client.ServerName = host
	at := func() time.Time { return now }
	server.Time, client.Time = at, at

	served := make(chan error, 1)
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			served <- err
			return
		}
		defer connection.Close()
		_ = connection.SetDeadline(time.Now().Add(10 * time.Second))
		secured := tls.Server(connection, server)
		if err := secured.HandshakeContext(t.Context()); err != nil {
			served <- err
			return
		}
		_, err = secured.Write([]byte("x"))
		served <- err
	}()
	connection, err := net.Dial("tcp", listener.Addr().String()) //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(10 * time.Second))
	_, clientErr = tls.Client(connection, client).Read(make([]byte, 1)) // TLS 1.3: a refused client learns it when it reads
	_ = connection.Close()
	return <-served, clientErr
}

func TestMutualTLS(t *testing.T) {
	b, r := testBundle(t), testCluster()
	scope := func(b *Bundle, n int) Scoped {
		scoped, err := b.Scope(r.Nodes[n])
		if err != nil {
			t.Fatal(err)
		}
		return scoped
	}
	config := func(config *tls.Config, err error) *tls.Config {
		if err != nil {
			t.Fatal(err)
		}
		return config
	}
	stranger := testBundle(t) // the same names under another CA
	asServer := Scoped{Cluster: "prod", Node: "operator", CA: b.CA.Certificate, Leaf: b.Operator}
	nobody := config(scope(b, 1).ClientTLS())
	nobody.Certificates = nil
	old := config(scope(b, 1).ClientTLS())
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12

	// A CA that also signed for a node of another cluster: only the identity tells them apart.
	ca, err := b.authority()
	if err != nil {
		t.Fatal(err)
	}
	ca.cluster = "test"
	foreign, err := ca.node(cluster.Node{Name: "postgres-1", Address: netip.MustParseAddr("10.20.0.31")}, now)
	if err != nil {
		t.Fatal(err)
	}
	foreigner := Scoped{Cluster: "test", Node: "postgres-1", CA: b.CA.Certificate, Leaf: foreign}

	for _, test := range []struct {
		name           string
		server, client *tls.Config
		host           string
		refused        string // part of either side's error; empty: both are content
	}{
		{"node to node", config(scope(b, 0).ServerTLS()), config(scope(b, 2).ClientTLS()), "10.20.0.31", ""},
		{"node to itself", config(scope(b, 0).ServerTLS()), config(scope(b, 0).ClientTLS()), "127.0.0.1", ""},
		{"operator to node", config(scope(b, 0).ServerTLS()), config(b.OperatorTLS()), "10.20.0.31", ""},
		{"another node answers", config(scope(b, 1).ServerTLS()), config(scope(b, 2).ClientTLS()), "10.20.0.31", "not 10.20.0.31"},
		{"another CA's node answers", config(scope(stranger, 0).ServerTLS()), config(b.OperatorTLS()), "10.20.0.31", "unknown authority"},
		{"another CA's operator dials", config(scope(b, 0).ServerTLS()), config(stranger.OperatorTLS()), "10.20.0.31", "unknown authority"},
		{"nobody dials", config(scope(b, 0).ServerTLS()), nobody, "10.20.0.31", "didn't provide a certificate"},
		{"an old protocol", config(scope(b, 0).ServerTLS()), old, "10.20.0.31", "protocol version"},
		{"the operator answers", config(asServer.ServerTLS()), config(scope(b, 2).ClientTLS()), "10.20.0.31", "certificate"},
		{"another cluster's node dials", config(scope(b, 0).ServerTLS()), config(foreigner.ClientTLS()), "10.20.0.31", "has no part"},
		{"another cluster's node answers", config(foreigner.ServerTLS()), config(scope(b, 1).ClientTLS()), "10.20.0.31", "has no part"},
	} {
		t.Run(test.name, func(t *testing.T) {
			serverErr, clientErr := shake(t, test.server, test.client, test.host)
			if test.refused == "" {
				if serverErr != nil || clientErr != nil {
					t.Fatalf("refused: server %v, client %v", serverErr, clientErr)
				}
				return
			}
			if clientErr == nil {
				t.Fatal("the client was served")
			}
			said := clientErr.Error()
			if serverErr != nil {
				said += "\n" + serverErr.Error()
			}
			if !strings.Contains(said, test.refused) {
				t.Errorf("refused as\n%s\nwant %q", said, test.refused)
			}
		})
	}
}

func TestTLSRefusesAKeyThatIsNotItsOwn(t *testing.T) {
	b := testBundle(t)
	mixed := Scoped{Cluster: "prod", Node: "postgres-1", CA: b.CA.Certificate, Leaf: KeyPair{b.Nodes["postgres-1"].Certificate, b.Nodes["postgres-2"].Key}}
	_, err := mixed.ServerTLS()
	if err == nil || !strings.Contains(err.Error(), "certificate of postgres-1") {
		t.Fatalf("got %v", err)
	}
	for owner, values := range planted(b) {
		if strings.Contains(err.Error(), values[0]) {
			t.Errorf("the error holds a secret of %s", owner)
		}
	}
}
