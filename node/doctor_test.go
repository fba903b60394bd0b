package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

// patient is a machine that is well, as far as the test does not make it ill. Nobody answers it.
func patient(t *testing.T) (doctor, *through) {
	t.Helper()
	m := booted(t, "heartbeat-1")
	m.Entries[role.ContentDigestFile] = step.Entry{Kind: step.KindFile, Content: []byte("sha256:abc\n")}
	machine, err := Load(m)
	if err != nil {
		t.Fatal(err)
	}
	facts := cluster.Facts{BootID: "b", Addresses: []netip.Addr{machine.Self.Address}}
	return doctor{
		host: m, machine: machine, in: machine.inputs(facts), now: time.Now(),
		free: func(string) (int, error) { return 50, nil },
	}, m
}

// What is not well fails under its own name and says what to do, and what is well does not.
func TestDoctor(t *testing.T) {
	systemd := func(failed string) func(step.Command) (step.Output, error) {
		return func(step.Command) (step.Output, error) { return step.Output{Stdout: []byte(failed)}, nil }
	}
	// before sets the clock to days and a minute before the certificate's end
	before := func(d *doctor, days int) {
		certificate, err := d.in.Secrets.Leaf.X509()
		if err != nil {
			t.Fatal(err)
		}
		d.now = certificate.NotAfter.AddDate(0, 0, -days).Add(-time.Minute)
	}
	tests := []struct {
		name string
		ill  func(*doctor, *through)
		want map[string]string // the mark of each check that is not ok
		says string
	}{
		{"well, but alone", func(*doctor, *through) {}, nil, ""},
		{"a boot that waits", func(_ *doctor, m *through) {
			put(t, m.Recorder, StatusFile, cluster.Status{BootID: "b", Result: cluster.ResultWaiting, Phase: "join", Reason: "alone", Hint: "start the others"})
		}, map[string]string{"boot": "FAIL"}, "waiting in phase join: alone"},
		{"a refresh that failed", func(_ *doctor, m *through) {
			put(t, m.Recorder, StatusFile, cluster.Status{BootID: "b", Result: cluster.ResultReady, Refresh: "not running: etcd.service"})
		}, map[string]string{"refresh": "FAIL"}, "etcd.service"},
		{"a full data disk", func(d *doctor, _ *through) {
			d.free = func(dir string) (int, error) { return map[string]int{"/": 5, "/data": 4}[dir], nil }
		}, map[string]string{"space on /data": "FAIL"}, "4 % free"},
		{"no data directory", func(d *doctor, _ *through) {
			d.free = func(dir string) (int, error) {
				if dir == "/" {
					return 9, nil
				}
				return 0, errors.New("/data: no such file or directory")
			}
		}, map[string]string{"space on /data": "FAIL"}, "no such file"},
		{"another address", func(d *doctor, _ *through) {
			d.in.Facts.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.7")}
		}, map[string]string{"address": "FAIL"}, "192.0.2.7"},
		{"a certificate with six days left", func(d *doctor, _ *through) { before(d, 6) }, map[string]string{"certificate": "FAIL"}, "6 days"},
		{"a certificate with twenty days left", func(d *doctor, _ *through) { before(d, 20) }, map[string]string{"certificate": "warn"}, "20 days"},
		{"a failed unit", func(_ *doctor, m *through) {
			m.Answer = systemd("chrony.service loaded failed failed chrony\n")
		}, map[string]string{"units": "FAIL"}, "chrony.service"},
		{"an image that was never sealed", func(_ *doctor, m *through) {
			delete(m.Entries, role.ContentDigestFile)
		}, map[string]string{"image": "FAIL"}, role.ContentDigestFile},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d, m := patient(t)
			m.Answer = systemd("")
			test.ill(&d, m)
			findings, err := d.examine(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got, said := map[string]string{}, ""
			for _, f := range findings {
				if f.Check == "etcd quorum" || f.Check == "clock" && f.Mark() == "warn" { // nothing runs here, and two peers are silent
					continue
				}
				if f.Detail == "" || !f.OK && f.Hint == "" {
					t.Errorf("%s says nothing, or not what to do: %+v", f.Check, f)
				}
				if f.Mark() != "ok" {
					got[f.Check], said = f.Mark(), said+f.Detail
				}
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" || !strings.Contains(said, test.says) {
				t.Errorf("said %q (-want +got):\n%s", said, diff)
			}
		})
	}
}

// A probe is not tried before the boot has come to it: the spec's own program is one.
func TestDoctorProbesNothingEarly(t *testing.T) {
	d, _ := patient(t)
	for _, test := range []struct {
		status cluster.Status
		want   int
	}{
		{cluster.Status{Result: cluster.ResultWaiting, Phase: "join"}, 0},
		{cluster.Status{Result: cluster.ResultWaiting, Phase: "ready"}, 1},
		{cluster.Status{Result: cluster.ResultReady, Phase: "ready"}, 1},
	} {
		if got := d.probes(t.Context(), test.status); len(got) != test.want {
			t.Errorf("%s in %s: %d probes, want %d", test.status.Result, test.status.Phase, len(got), test.want)
		}
	}
}

// A peer whose clock is far from this machine's is noticed, in both directions; one that is right is not.
func TestDoctorComparesClocks(t *testing.T) {
	for _, test := range []struct {
		ahead time.Duration
		ok    bool
	}{{0, true}, {3 * time.Second, true}, {time.Hour, false}, {-8 * time.Second, false}} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(test.ahead).UTC().Format(http.TimeFormat))
		}))
		t.Cleanup(server.Close)
		client := server.Client()
		transport := client.Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.ServerName = "example.com" // the name in the test server's certificate
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		}
		client.Transport = transport
		got, err := offset(t.Context(), client, cluster.Node{Name: "p", Address: netip.MustParseAddr("127.0.9.31")})
		if err != nil {
			t.Fatal(err)
		}
		if diff := got - test.ahead; diff.Abs() > 1500*time.Millisecond {
			t.Errorf("ahead by %v, measured %v", test.ahead, got)
		}
		if f := (clocks{asked: 1, ahead: map[string]time.Duration{"p": got}}).judge(); f.OK != test.ok {
			t.Errorf("ahead by %v: %+v", test.ahead, f)
		}
	}
}

// Peers are asked by name, since where addresses are found no certificate has one. A peer whose certificate does not hold at
// this machine's time tells that the clock is wrong, though nothing else can be heard of it.
func TestDoctorHearsClocks(t *testing.T) {
	_, r, _ := seeded(t, "heartbeat-1")
	_, certified, _ := seeded(t, "heartbeat-1")
	for i, address := range []string{"127.0.9.41", "127.0.9.42", "127.0.9.43"} { // none is in a certificate
		r.Nodes[i].Address = netip.MustParseAddr(address)
	}
	for _, test := range []struct {
		name  string
		made  time.Duration // when the certificates were, from now
		peers []string      // who answers
		mark  string
		says  string
	}{
		{"a peer that is right", 0, []string{"postgres-1"}, "ok", "postgres-1 is ahead by"},
		{"certificates that have ended", -secrets.LeafLifetime - 24*time.Hour, []string{"postgres-1"}, "FAIL", "certificate of postgres-1 has ended"},
		{"certificates that are not valid yet", 1000 * time.Hour, []string{"postgres-1", "postgres-2"}, "FAIL", "not yet valid"},
		{"nobody", 0, nil, "warn", "none of 2 peers answered"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bundle, err := secrets.Generate(certified, time.Now().Add(test.made))
			if err != nil {
				t.Fatal(err)
			}
			scoped := func(name string) secrets.Scoped {
				s, err := secrets.DecodeScoped(encodedFor(t, bundle, r, name))
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			for _, n := range r.Nodes {
				if slices.Contains(test.peers, n.Name) {
					show(t, n, scoped(n.Name))
				}
			}
			self, err := r.Node("heartbeat-1")
			if err != nil {
				t.Fatal(err)
			}
			f, err := doctor{in: role.Inputs{Cluster: r, Self: self, Secrets: scoped(self.Name)}}.clock(t.Context())
			if err != nil || f.Mark() != test.mark || !strings.Contains(f.Detail, test.says) {
				t.Errorf("%s: %s (%v), want %s about %q", f.Mark(), f.Detail, err, test.mark, test.says)
			}
		})
	}
}

// show answers at a node's address with its certificate, whoever asks.
func show(t *testing.T, n cluster.Node, s secrets.Scoped) {
	t.Helper()
	config, err := s.ServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	config.ClientAuth, config.VerifyConnection = tls.NoClientCert, nil
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", fmt.Sprintf("%s:%d", n.Address, cluster.PortAgent))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	_ = server.Listener.Close()
	server.Listener, server.TLS, server.Config.ErrorLog = listener, config, log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
}

// acting is a role with a probe that does more than look.
type acting struct {
	role.Role
	acted *bool
}

func (a acting) Ready(role.Inputs) []role.Probe {
	return []role.Probe{{Title: "hook", Acts: true, Run: func(context.Context, step.Host) error { *a.acted = true; return nil }}}
}

// What a probe does beside looking is done once, by the boot: it may run at this very moment.
func TestDoctorDoesNotAct(t *testing.T) {
	d, _ := patient(t)
	acted := false
	d.machine.Role = acting{d.machine.Role, &acted}
	for _, result := range []cluster.Result{cluster.ResultRunning, cluster.ResultReady} {
		if found := d.probes(t.Context(), cluster.Status{Result: result, Phase: "ready"}); len(found) != 0 || acted {
			t.Errorf("%s: found %+v, acted: %v", result, found, acted)
		}
	}
}
