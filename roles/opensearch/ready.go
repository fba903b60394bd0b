package opensearch

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/step"
)

// noCluster is what a node answers for the cluster's id before it has one.
const noCluster = "_na_"

// answerTimeout bounds one question to a node that may be busy starting.
const answerTimeout = 10 * time.Second

// client asks one search node as Cinc Server's user: what is well for it is well for Cinc.
type client struct {
	url      string
	password secrets.Secret
	http     *http.Client
}

// newClient returns a client of a search node, which is dialled at an address and known by its name.
func newClient(in role.Inputs, name string, at netip.Addr) (client, error) {
	if in.Secrets.OpenSearch == nil {
		return client{}, fmt.Errorf("%s has no passwords of the search cluster in its secrets", in.Self.Name)
	}
	config, err := in.Secrets.ClientTLS()
	if err != nil {
		return client{}, err
	}
	config.ServerName = name
	config.MinVersion = tls.VersionTLS12 // Java's, whatever it is told to speak
	config.Certificates = nil            // the password says who asks
	return client{
		url:      "https://" + net.JoinHostPort(at.String(), strconv.Itoa(cluster.PortOpenSearch)),
		password: in.Secrets.OpenSearch.Cinc,
		http:     &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}, Timeout: answerTimeout},
	}, nil
}

// get reads a JSON answer.
func (c client) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, nil)
	if err != nil {
		return err
	}
	request.SetBasicAuth(role.SearchUser, c.password.Reveal())
	answer, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // read only
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, answer.Status)
	}
	return json.Unmarshal(body, into)
}

// readiness asks whether the node is in a cluster that can serve, and writes down which one.
func readiness(ctx context.Context, files step.Files, in role.Inputs) error {
	own, err := base.Address(in)
	if err != nil {
		return err
	}
	c, err := newClient(in, in.Self.Name, own)
	if err != nil {
		return err
	}
	return c.ready(ctx, files, in)
}

func (c client) ready(ctx context.Context, files step.Files, in role.Inputs) error {
	uuid, err := c.membership(ctx, answerTimeout)
	if err != nil {
		return noClusterYet(in, err)
	}
	// Written down before the index is whole: from here on the peers may lose their disks, and none may form anew.
	if err := markFormed(files, uuid); err != nil {
		return err
	}
	// How whole the index is is the cluster's state and not this machine's: see its status.
	if _, err := c.health(ctx); err != nil {
		return err
	}
	return nil
}

// noClusterYet explains a node without a cluster by what its OpenSearch says and what the peers' agents last said.
func noClusterYet(in role.Inputs, cause error) error {
	if len(in.Peers) == 0 {
		return cause
	}
	said := cause.Error()
	if notRunning(cause) {
		said = "it does not answer yet"
	}
	w := words()
	w.Without += " (" + said + ")"
	return w.NotYet(in, cause)
}

// notRunning tells whether nobody listened.
func notRunning(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}

// membership returns the cluster_uuid of the cluster that the node is in. An answer alone proves nothing: a node without a
// cluster answers too, and one that lost its cluster answers with what it last had.
func (c client) membership(ctx context.Context, limit time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var root struct {
		ClusterUUID string `json:"cluster_uuid"`
	}
	if err := c.get(ctx, "/", &root); err != nil {
		return "", err
	}
	if root.ClusterUUID == "" || root.ClusterUUID == noCluster {
		return "", errors.New("the node belongs to no cluster yet")
	}
	h, err := c.health(ctx)
	if err != nil {
		return "", err
	}
	if !h.DiscoveredMaster {
		return "", errors.New("the node knows no manager of its cluster")
	}
	return root.ClusterUUID, nil
}

// health is what a node says of its cluster by its own lights, without asking the manager.
type health struct {
	Status           string `json:"status"`
	Nodes            int    `json:"number_of_nodes"`
	DiscoveredMaster bool   `json:"discovered_master"`
}

func (c client) health(ctx context.Context) (h health, err error) {
	err = c.get(ctx, "/_cluster/health?local=true", &h)
	return h, err
}
