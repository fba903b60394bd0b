package etcd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/secrets"
)

// Client talks to one member through etcd's JSON gateway. The official client would bring gRPC and triple the agent's size
// for these six calls.
type Client struct {
	http *http.Client
	url  string // https://address:port
}

// NewClient returns a client of a node's member, authenticated as the machine that the secrets belong to. It dials the address,
// since names are known to a machine only once it has joined, and knows the member by its name.
func NewClient(n cluster.Node, s secrets.Scoped) (Client, error) {
	return newClient(fmt.Sprintf("https://%s:%d", n.Address, cluster.PortEtcdClient), n.Name, s)
}

// ClientOf returns a client of a member of the quorum, at the address that it advertises.
func ClientOf(m Member, s secrets.Scoped) (Client, error) {
	if len(m.ClientURLs) == 0 {
		return Client{}, fmt.Errorf("etcd's member %s never started", m.ID)
	}
	return newClient(m.ClientURLs[0], m.Name, s)
}

func newClient(url, name string, s secrets.Scoped) (Client, error) {
	tls, err := s.ClientTLS()
	if err != nil {
		return Client{}, err
	}
	tls.ServerName = name
	dial := net.Dialer{Timeout: connectTimeout}
	return Client{url: url, http: &http.Client{Transport: &http.Transport{DialContext: dial.DialContext, TLSClientConfig: tls, DisableKeepAlives: true}}}, nil
}

// callTimeout bounds one call: a linearizable read of a healthy cluster takes milliseconds, an election about a second.
const callTimeout = 3 * time.Second

// connectTimeout bounds the connection. A machine that is off does not even refuse one, and after a power loss of all of
// them the others must not wait long for it: without its answer they go by what is on their own disks.
const connectTimeout = 500 * time.Millisecond

// Members returns the member list as a quorum has it: a linearizable read, which fails without a quorum.
func (c Client) Members(ctx context.Context) (Quorum, error) { return c.members(ctx, true) }

// OwnMembers returns the member list as this one member has it, which may be old. It answers without a quorum too.
func (c Client) OwnMembers(ctx context.Context) (Quorum, error) { return c.members(ctx, false) }

func (c Client) members(ctx context.Context, linearizable bool) (Quorum, error) {
	var out struct {
		Header struct {
			ClusterID string `json:"cluster_id"`
		}
		Members []struct {
			ID         string
			Name       string
			PeerURLs   []string `json:"peerURLs"`
			ClientURLs []string `json:"clientURLs"`
		}
	}
	if err := c.call(ctx, "/v3/cluster/member/list", map[string]any{"linearizable": linearizable}, &out); err != nil {
		return Quorum{}, err
	}
	q := Quorum{}
	var err error
	if q.ClusterID, err = hexID(out.Header.ClusterID); err != nil {
		return Quorum{}, err
	}
	for _, m := range out.Members {
		id, err := hexID(m.ID)
		if err != nil {
			return Quorum{}, err
		}
		q.Members = append(q.Members, Member{ID: id, Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs})
	}
	return q, nil
}

// Add adds a member by its peer URL.
func (c Client) Add(ctx context.Context, peerURL string) error {
	return c.call(ctx, "/v3/cluster/member/add", map[string]any{"peerURLs": []string{peerURL}}, nil)
}

// Remove removes a member. etcd refuses when the quorum would be lost by it.
func (c Client) Remove(ctx context.Context, id string) error {
	number, err := decimalID(id)
	if err != nil {
		return err
	}
	return c.call(ctx, "/v3/cluster/member/remove", map[string]any{"ID": number}, nil)
}

// Update gives a member another peer URL.
func (c Client) Update(ctx context.Context, id, peerURL string) error {
	number, err := decimalID(id)
	if err != nil {
		return err
	}
	return c.call(ctx, "/v3/cluster/member/update", map[string]any{"ID": number, "peerURLs": []string{peerURL}}, nil)
}

// Key is a key as it was read. Created names this very key: one that is made again after it was deleted has another.
type Key struct {
	Value   string
	Created string
}

// Get returns a key, read with a quorum, and whether there is such a key.
func (c Client) Get(ctx context.Context, name string) (key Key, found bool, err error) {
	var out struct {
		Kvs []struct {
			Value   []byte
			Created string `json:"create_revision"`
		}
	}
	if err := c.call(ctx, "/v3/kv/range", map[string]any{"key": []byte(name)}, &out); err != nil {
		return Key{}, false, err
	}
	if len(out.Kvs) == 0 {
		return Key{}, false, nil
	}
	return Key{Value: string(out.Kvs[0].Value), Created: out.Kvs[0].Created}, true, nil
}

// Delete deletes a key unless it has been made anew since it was read.
func (c Client) Delete(ctx context.Context, name string, created string) error {
	return c.call(ctx, "/v3/kv/txn", map[string]any{
		"compare": []any{map[string]any{"result": "EQUAL", "target": "CREATE", "key": []byte(name), "create_revision": created}},
		"success": []any{map[string]any{"request_delete_range": map[string]any{"key": []byte(name)}}},
	}, nil)
}

// Status is what one member says about itself.
type Status struct {
	ClusterID string
	MemberID  string
	Leader    string
}

// Status asks the member about itself. It answers without a quorum too.
func (c Client) Status(ctx context.Context) (Status, error) {
	var out struct {
		Header struct {
			ClusterID string `json:"cluster_id"`
			MemberID  string `json:"member_id"`
		}
		Leader string
	}
	if err := c.call(ctx, "/v3/maintenance/status", struct{}{}, &out); err != nil {
		return Status{}, err
	}
	var s Status
	var errs [3]error
	s.ClusterID, errs[0] = hexID(out.Header.ClusterID)
	s.MemberID, errs[1] = hexID(out.Header.MemberID)
	s.Leader, errs[2] = hexID(out.Leader)
	return s, errors.Join(errs[:]...)
}

// Agreed tells whether the cluster has agreed on its version, a few seconds after its first election. Before that it
// reports 3.0, and clients that ask, like Patroni, fall back to an interface that no longer exists.
func (c Client) Agreed(ctx context.Context) (bool, error) {
	var out struct {
		Cluster string `json:"etcdcluster"`
	}
	err := c.send(ctx, http.MethodGet, "/version", nil, &out)
	return out.Cluster != "" && out.Cluster != "not_decided" && !strings.HasPrefix(out.Cluster, "3.0."), err
}

// Transfer asks the member, which must be the leader, to hand leadership over.
func (c Client) Transfer(ctx context.Context, to string) error {
	number, err := decimalID(to)
	if err != nil {
		return err
	}
	return c.call(ctx, "/v3/maintenance/transfer-leadership", map[string]any{"targetID": number}, nil)
}

func (c Client) call(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return c.send(ctx, http.MethodPost, path, body, out)
}

func (c Client) send(ctx context.Context, method, path string, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		var failure struct{ Message string }
		if json.Unmarshal(text, &failure) != nil || failure.Message == "" {
			failure.Message = response.Status
		}
		return fmt.Errorf("etcd at %s: %s: %s", c.url, path, failure.Message)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// hexID turns the gateway's decimal ids into what etcd's own tools print. An id of 0 is left out by the gateway.
func hexID(decimal string) (string, error) {
	if decimal == "" {
		return "", nil
	}
	number, err := strconv.ParseUint(decimal, 10, 64)
	if err != nil {
		return "", fmt.Errorf("etcd answered id %q: %w", decimal, err)
	}
	return strconv.FormatUint(number, 16), nil
}

func decimalID(hex string) (string, error) {
	number, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		return "", fmt.Errorf("member id %q: %w", hex, err)
	}
	return strconv.FormatUint(number, 10), nil
}

// followTimeout bounds the question whether a member follows. One that would be a leader worth having answers in milliseconds.
const followTimeout = 500 * time.Millisecond

// Yield makes the member called to the leader, if the local member is the leader now and that one is seen to follow it. While a
// transfer is under way a leader takes no writes, and to a member that is off or stands still it is so for a whole election.
func Yield(ctx context.Context, local Client, to string, reach func(Member) (Client, error)) error {
	status, err := local.Status(ctx)
	if err != nil || status.Leader != status.MemberID {
		return err
	}
	quorum, err := local.Members(ctx)
	if err != nil {
		return err
	}
	for _, m := range quorum.Members {
		if m.Name != to {
			continue
		}
		heir, err := reach(m)
		if err != nil {
			return err
		}
		if err := heir.follows(ctx, m.ID, status.Leader); err != nil {
			return err
		}
		return local.Transfer(ctx, m.ID)
	}
	return nil
}

// follows returns nil if the member lives, is the one of that id, and knows that leader.
func (c Client) follows(ctx context.Context, id, leader string) error {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	status, err := c.Status(ctx)
	if err == nil && (status.MemberID != id || status.Leader != leader) {
		err = fmt.Errorf("etcd at %s is member %s under leader %s, not member %s under %s", c.url, status.MemberID, status.Leader, id, leader)
	}
	return err
}
