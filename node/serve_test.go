package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

// A delivery is answered over the connection that it came by, and from the next connection on the agent shows the new
// certificate.
func TestServeGoesOnWithNewSecrets(t *testing.T) {
	const address = "127.0.0.33"
	_, r, _ := seeded(t, "heartbeat-1")
	for i := range r.Nodes {
		if r.Nodes[i].Name == "heartbeat-1" {
			r.Nodes[i].Address = netip.MustParseAddr(address)
		}
	}
	bundle, err := secrets.Generate(r, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	first := encodedFor(t, bundle, r, "heartbeat-1")
	host := step.NewRecorder()
	put(t, host, cloudinit.DocumentPath, cloudinit.Document{
		Format: cloudinit.DocumentFormat, Node: "heartbeat-1", Recipe: r.Recipe(cluster.RoleHeartbeat).Digest(), Secrets: secrets.Digest(first), Cluster: *r,
	})
	put(t, host, role.RecipeFile, r.Recipe(cluster.RoleHeartbeat))
	put(t, host, StatusFile, cluster.Status{Format: statusFormat, BootID: "b", Result: cluster.ResultReady})
	host.Entries[cloudinit.SecretsPath] = step.Entry{Kind: step.KindFile, Content: first}
	host.Entries["/proc/sys/kernel/random/boot_id"] = step.Entry{Kind: step.KindFile, Content: []byte("b\n")}
	host.Entries["/proc/meminfo"] = step.Entry{Kind: step.KindFile, Content: []byte("MemTotal: 1024 kB\n")}

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Agent{Host: host, Out: io.Discard}.Serve(ctx) }()

	operator, err := bundle.OperatorTLS()
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method string, body []byte) (answer string, shown string, err error) {
		request, err := http.NewRequestWithContext(t.Context(), method, fmt.Sprintf("https://%s:%d/v1/secrets", address, cluster.PortAgent), bytes.NewReader(body))
		if err != nil {
			return "", "", err
		}
		client := http.Client{Transport: &http.Transport{TLSClientConfig: operator, DisableKeepAlives: true}, Timeout: 5 * time.Second}
		response, err := client.Do(request)
		if err != nil {
			return "", "", err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", response.Status, text)
		}
		return string(text), serial(response.TLS), err
	}
	// until tries again while nobody listens: when the agent begins, and between two rounds.
	until := func(what string, holds func() (bool, error)) {
		t.Helper()
		var last error
		for range 200 {
			ok, err := holds()
			if ok {
				return
			}
			last = err
			if role.Pause(t.Context(), 25*time.Millisecond) != nil {
				break
			}
		}
		t.Fatalf("%s: %v", what, last)
	}
	var before string
	until("the agent answers", func() (bool, error) {
		_, shown, err := ask(http.MethodGet, nil)
		before = shown
		return err == nil, err
	})
	for round := range 2 {
		rotate(t, bundle, r, "leaves")
		answer, _, err := ask(http.MethodPut, encodedFor(t, bundle, r, "heartbeat-1"))
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if answer == "" {
			t.Errorf("round %d: no answer", round)
		}
		until("the new certificate", func() (bool, error) {
			_, shown, err := ask(http.MethodGet, nil)
			return err == nil && shown != before, err
		})
		_, before, err = ask(http.MethodGet, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it goes on serving")
	}
}

func serial(state *tls.ConnectionState) string {
	return state.PeerCertificates[0].SerialNumber.String()
}
