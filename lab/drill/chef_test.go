package drill

import (
	"context"
	"crypto/ed25519"
	cryptorand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/secrets"
)

// fakeChef keeps data bags in memory, and checks that requests are signed by the superuser.
type fakeChef struct {
	t     *testing.T
	root  string
	mu    sync.Mutex
	items map[string]map[string]any // by bag and item
	fails bool
	hides int // so many reads find nothing
}

func (f *fakeChef) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Header.Get("X-Ops-Userid") != "pivotal" || r.Header.Get("X-Ops-Authorization-1") == "" || !strings.Contains(r.Header.Get("X-Ops-Sign"), "1.3") {
		f.t.Errorf("%s is not signed: %v", r.URL.Path, r.Header)
	}
	if r.Host != "chef.example.com" {
		f.t.Errorf("asked for the host %s", r.Host)
	}
	path, ok := strings.CutPrefix(r.URL.Path, f.root+"data")
	if !ok {
		f.t.Errorf("asked for %s", r.URL.Path)
	}
	if f.fails {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	bag, item, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case r.Method == http.MethodPost && bag == "":
		f.items[body["name"].(string)] = map[string]any{}
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodPost:
		f.items[bag][body["id"].(string)] = body
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodPut:
		f.items[bag][item] = body
	case item != "":
		found, ok := f.items[bag][item]
		if f.hides > 0 {
			f.hides--
			ok = false
		}
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(found)
	default:
		list := map[string]string{}
		for name := range f.items[bag] {
			list[name] = "https://…"
		}
		_ = json.NewEncoder(w).Encode(list)
	}
}

// served is a client of a fake server, which listens at the balancers' address as far as the client knows.
func served(t *testing.T, path, root string) (*Chef, *fakeChef) {
	t.Helper()
	c := &cluster.Resolved{
		Name: "prod", Domain: "chef.example.com", LB: &cluster.LB{Kind: cluster.LBNodes, VIP: netip.MustParseAddr("10.20.0.20")},
		Cinc: &cluster.Cinc{}, API: &cluster.API{Max: 1},
		Nodes: []cluster.Node{{Name: "api-1", Role: cluster.RoleAPI, Slot: 1, Address: netip.MustParseAddr("10.20.0.11")}},
	}
	bundle, err := secrets.Generate(c, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeChef{t: t, root: root, items: map[string]map[string]any{}}
	server := httptest.NewUnstartedServer(f)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	certificate, pemText := selfSigned(t, c.Domain)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return &Chef{
		Cluster: c, CA: pemText, Key: bundle.Cinc.Superuser.Private, Path: path,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != "10.20.0.20:443" {
				t.Errorf("connects to %s", address)
			}
			return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
		},
	}, f
}

func selfSigned(t *testing.T, domain string) (tls.Certificate, string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(cryptorand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: domain}, DNSNames: []string{domain},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(cryptorand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestChef(t *testing.T) {
	for _, row := range []struct{ path, root string }{{"", "/"}, {"/organizations/drill", "/organizations/drill/"}} {
		c, f := served(t, row.path, row.root)
		if err := c.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		session := open(t, c)
		for number := range 6 {
			if err := session.Write(t.Context(), Row{1, number}); err != nil {
				t.Fatal(err)
			}
		}
		reads := &ChefReads{Chef: c}
		reading := open(t, reads)
		if err := reading.Write(t.Context(), Row{}); err != nil || reads.Missing() != 0 {
			t.Errorf("reading back: %v", err)
		}
		f.hides = askedAgain // a server may say so of a database that is just away
		if err := reading.Write(t.Context(), Row{}); err != nil || reads.Missing() != 0 {
			t.Errorf("reading what was not there for a moment: %v", err)
		}

		f.fails = true
		if err := session.Write(t.Context(), Row{1, 7}); err == nil {
			t.Error("a write that failed was acknowledged")
		}
		f.fails = false
		again := open(t, c)
		if err := again.Write(t.Context(), Row{1, 9}); err != nil {
			t.Fatal(err)
		}

		want := map[Row]bool{{1, 0}: true, {1, 1}: true, {1, 2}: true, {1, 3}: true, {1, 4}: true, {1, 5}: true, {1, 9}: true}
		rowsAre(t, c, want)

		// The server forgets the last creation and goes back to an older version.
		delete(f.items[c.run], "w1-4")
		f.items[c.run]["w1-from-1"] = map[string]any{"id": "w1-from-1", "version": 3}
		delete(want, Row{1, 4})
		delete(want, Row{1, 5})
		rowsAre(t, c, want)
		if err := reading.Write(t.Context(), Row{}); err == nil || reads.Missing() != 1 {
			t.Errorf("an item that is gone was read: %v", err)
		}
	}
}

// What was written in hours is read in parts, and what cannot be read is not taken for lost.
func TestChefReadsMuch(t *testing.T) {
	c, f := served(t, "", "/")
	if err := c.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[Row]bool{}
	for number := 1; number < 2*120; number += 2 { // an item each
		row := Row{1, number}
		if err := open(t, c).Write(t.Context(), row); err != nil {
			t.Fatal(err)
		}
		want[row] = true
	}
	rowsAre(t, c, want)
	f.fails = true
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if there, err := c.Rows(ctx); err == nil || there != nil {
		t.Errorf("%d rows of a server that answers nothing, %v", len(there), err)
	}
}

func open(t *testing.T, source Source) Session {
	t.Helper()
	session, err := source.Open(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	return session
}

func rowsAre(t *testing.T, store Store, want map[Row]bool) {
	t.Helper()
	got, err := store.Rows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A server that shows another name, or that another CA signed, gets no request.
func TestChefVerifies(t *testing.T) {
	c, _ := served(t, "", "/")
	session := open(t, c)
	_, c.CA = selfSigned(t, "chef.example.com")
	other := open(t, c)
	if err := other.Write(t.Context(), Row{}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("another CA: %v", err)
	}
	c.Cluster.Domain = "other.example.com"
	c.CA = "nothing"
	if _, err := c.Open(t.Context(), 0); err == nil {
		t.Error("a CA that is none was taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := session.Write(ctx, Row{}); err == nil {
		t.Error("a request outlives its context")
	}
}
