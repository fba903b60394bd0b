package node

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
)

// peerTimeout bounds one question to a peer: a machine that is up answers within milliseconds.
const peerTimeout = 2 * time.Second

// connectTimeout bounds the connection: a machine that is off does not even refuse one, and whoever boots beside it, as
// after a power loss of all of them, must not wait long to learn that.
const connectTimeout = 500 * time.Millisecond

// askPeers asks the agent of every machine that forms a cluster with this one, all at once, what its machine holds.
func askPeers(ctx context.Context, in role.Inputs) (cluster.Peers, error) {
	own, err := in.Secrets.ClientTLS()
	if err != nil {
		return nil, err
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	peers := cluster.Peers{}
	for _, n := range in.Cluster.Partners(in.Self) {
		wait.Go(func() {
			peer := cluster.Peer{Node: n}
			if err := observe(ctx, clientFor(n, own), n, &peer.Observation); err != nil {
				peer.Error = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			peers[n.Name] = peer
		})
	}
	wait.Wait()
	return peers, nil
}

// clientFor asks one peer, by its name, which every certificate has: where addresses are found later, none has one.
func clientFor(n cluster.Node, own *tls.Config) *http.Client {
	named := own.Clone()
	named.ServerName = n.Name
	dial := net.Dialer{Timeout: connectTimeout}
	return &http.Client{Timeout: peerTimeout, Transport: &http.Transport{DialContext: dial.DialContext, TLSClientConfig: named, DisableKeepAlives: true}}
}

func observe(ctx context.Context, client *http.Client, n cluster.Node, into *cluster.Observation) error {
	if !n.Address.IsValid() {
		return fmt.Errorf("no machine called %s is found", n.Name)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, observationURL(n), nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("no answer from %s", n.Address) // the url and the library's wording help nobody in a status
	}
	defer response.Body.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		said := failure{Error: response.Status}
		_ = json.Unmarshal(text, &said) // what is no JSON leaves the status
		return fmt.Errorf("%s answered: %s", n.Address, said.Error)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", n.Address, err)
	}
	if into.Node != n.Name {
		return fmt.Errorf("%s answered as %s", n.Address, into.Node)
	}
	return nil
}

func observationURL(n cluster.Node) string {
	return fmt.Sprintf("https://%s:%d/v1/observation", n.Address, cluster.PortAgent)
}
