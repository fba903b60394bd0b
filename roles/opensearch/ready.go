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
	"strconv"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/base"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
)

// noCluster is what a node answers for the cluster's id before it has one.
const noCluster = "_na_"

// client asks one search node as Cinc Server's user: what is well for it is well for Cinc.
type client struct {
	url      string
	password secrets.Secret
	http     *http.Client
}

func newClient(in role.Inputs) (client, error) {
	if in.Secrets.OpenSearch == nil {
		return client{}, fmt.Errorf("%s has no passwords of the search cluster in its secrets", in.Self.Name)
	}
	own, err := base.Address(in)
	if err != nil {
		return client{}, err
	}
	config, err := in.Secrets.ClientTLS()
	if err != nil {
		return client{}, err
	}
	config.MinVersion = tls.VersionTLS12 // Java's, whatever it is told to speak
	config.Certificates = nil            // the password says who asks
	return client{
		url:      "https://" + net.JoinHostPort(own.String(), strconv.Itoa(cluster.PortOpenSearch)),
		password: in.Secrets.OpenSearch.Cinc,
		http:     &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}, Timeout: 10 * time.Second},
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

// readiness asks whether the node is in a cluster that can serve. An answer alone proves nothing: a node without a cluster
// answers too, and one that lost its cluster answers with what it last had.
func readiness(ctx context.Context, in role.Inputs) error {
	c, err := newClient(in)
	if err != nil {
		return err
	}
	return c.ready(ctx)
}

func (c client) ready(ctx context.Context) error {
	var root struct {
		ClusterUUID string `json:"cluster_uuid"`
	}
	if err := c.get(ctx, "/", &root); err != nil {
		return err
	}
	if root.ClusterUUID == "" || root.ClusterUUID == noCluster {
		return errors.New("the node belongs to no cluster yet")
	}
	var health struct {
		Status           string `json:"status"`
		DiscoveredMaster bool   `json:"discovered_master"`
	}
	if err := c.get(ctx, "/_cluster/health?local=true", &health); err != nil {
		return err
	}
	if !health.DiscoveredMaster {
		return errors.New("the node knows no manager of its cluster")
	}
	if health.Status != "green" && health.Status != "yellow" {
		return fmt.Errorf("the cluster's health is %s", health.Status)
	}
	return nil
}
