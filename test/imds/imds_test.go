//go:build unix

package imds

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/test/fakeaws"
)

func TestTokens(t *testing.T) {
	a := newAccount(t)
	template := a.template(nil)
	one, other := a.run(template), a.run(template)
	from := one.card.Address
	const get, put, data = http.MethodGet, http.MethodPut, "/latest/meta-data/instance-id"
	for _, test := range []struct {
		name, method, path string
		headers            []string
		status             int
	}{
		{"no token", get, data, nil, 401},
		{"version 1 of a version that is older than tokens", get, "/2009-04-04/meta-data/instance-id", nil, 401},
		{"somebody else's token", get, data, []string{tokenHeader, a.token(other.card.Address)}, 401},
		{"a made-up token", get, data, []string{tokenHeader, "token"}, 401},
		{"its own", get, data, []string{tokenHeader, a.token(from)}, 200},
		{"no time to live", put, "/latest/api/token", nil, 400},
		{"none at all", put, "/latest/api/token", []string{ttlHeader, "0"}, 400},
		{"more than six hours", put, "/latest/api/token", []string{ttlHeader, "21601"}, 400},
		{"six hours", put, "/latest/api/token", []string{ttlHeader, "21600"}, 200},
		{"through a proxy", put, "/latest/api/token", []string{ttlHeader, "60", "X-Forwarded-For", "10.0.0.1"}, 403},
		{"a token that is read", get, "/latest/api/token", []string{tokenHeader, a.token(from)}, 404},
		{"something that is written", http.MethodPost, data, []string{tokenHeader, a.token(from)}, 405},
	} {
		if got := a.ask(from, test.method, test.path, test.headers...); got.status != test.status {
			t.Errorf("%s: %d, want %d", test.name, got.status, test.status)
		}
	}
	// Without this header, AWS's SDK for Go takes no token.
	a.same("the time to live", a.ask(from, put, "/latest/api/token", ttlHeader, "21600").header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds"), "21600")
	if stranger := a.ask(netip.MustParseAddr("192.0.2.1"), get, data); stranger.status != http.StatusNotFound {
		t.Errorf("somebody who is no instance: %+v", stranger)
	}

	old := a.token(from)
	a.service.now = func() time.Time { return time.Now().Add(time.Minute) }
	if got := a.ask(from, get, data, tokenHeader, old); got.status != http.StatusUnauthorized {
		t.Errorf("a token after its time: %+v", got)
	}
}

// What the service says of an instance is what the account says.
func TestTree(t *testing.T) {
	a := newAccount(t)
	i := a.run(a.template(nil))
	from := i.card.Address
	known := a.running(i.ID)
	name := "ip-" + strings.ReplaceAll(from.String(), ".", "-") + ".eu-west-1.compute.internal"
	const card = "/latest/meta-data/network/interfaces/macs/"
	for path, want := range map[string]string{
		"/latest/meta-data/instance-id":                        i.ID,
		"/2021-03-23/meta-data/instance-id":                    i.ID,
		"/2009-04-04/meta-data/instance-id":                    i.ID,
		"/latest/meta-data/ami-id":                             a.image,
		"/latest/meta-data/instance-type":                      "m6i.large",
		"/latest/meta-data/local-ipv4":                         *known.PrivateIpAddress,
		"/latest/meta-data/local-hostname":                     name,
		"/latest/meta-data/placement/availability-zone":        *known.Placement.AvailabilityZone,
		"/latest/meta-data/placement/region":                   region,
		"/latest/meta-data/tags/instance/Name":                 "prod api",
		"/latest/meta-data/tags/instance/cincbake:role":        "api",
		"/latest/meta-data/iam/security-credentials/":          "prod-api",
		"/latest/meta-data/network/interfaces/macs/":           i.card.MAC.String() + "/",
		card + i.card.MAC.String() + "/interface-id":           *known.NetworkInterfaces[0].NetworkInterfaceId,
		card + i.card.MAC.String() + "/subnet-id":              *known.SubnetId,
		card + i.card.MAC.String() + "/local-ipv4s":            from.String(),
		card + i.card.MAC.String() + "/security-group-ids":     *known.SecurityGroups[0].GroupId,
		card + i.card.MAC.String() + "/vpc-ipv4-cidr-block":    "172.31.0.0/16",
		"/latest/user-data":                                    userData,
		"/latest":                                              "dynamic/\nmeta-data/\nuser-data",
		"/latest/dynamic/instance-identity":                    "document",
		"/2020-10-27/meta-data/tags/instance/Name":             "", // later versions have them
		"/2030-01-01/meta-data/instance-id":                    "",
		"/latest/meta-data/instance-id/":                       "",
		"/latest/meta-data/instance":                           "",
		"/latest/meta-data/autoscaling/target-lifecycle-state": "",
	} {
		a.same(path, a.read(from, path), want)
	}
	if got := lines(a.read(from, "/")); !slices.Contains(got, "latest") || !slices.Contains(got, "2021-03-23") {
		t.Errorf("versions: %q", got)
	}
	if got := lines(a.read(from, "/latest/meta-data/")); !slices.Contains(got, "tags/") || !slices.Contains(got, "mac") || !slices.IsSorted(got) {
		t.Errorf("what there is: %q", got)
	}
	if !i.card.Network.Contains(i.card.Gateway()) || !i.card.Subnet.Contains(from) {
		t.Errorf("the card is %+v", i.card)
	}

	var document struct{ AccountID, InstanceID, Region, AvailabilityZone, ImageID, PrivateIP string }
	a.ok(json.Unmarshal([]byte(a.read(from, "/latest/dynamic/instance-identity/document")), &document))
	a.same("identity", document, struct{ AccountID, InstanceID, Region, AvailabilityZone, ImageID, PrivateIP string }{
		fakeaws.Account, i.ID, region, i.Zone, a.image, from.String(),
	})

	// Tags are the account's at this moment.
	_, err := a.ec2().CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{i.ID}, Tags: []types.Tag{{Key: aws.String("Name"), Value: aws.String("later")}}})
	a.ok(err)
	a.same("a tag that was changed", a.read(from, "/latest/meta-data/tags/instance/Name"), "later")

	a.service.Remove(i.ID)
	if gone := a.ask(from, http.MethodGet, "/latest/meta-data/instance-id"); gone.status != http.StatusNotFound {
		t.Errorf("after it is removed: %+v", gone)
	}
}

// An instance has what its template gives it, and 404 for the rest.
func TestTreeOfLess(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*types.RequestLaunchTemplateData)
		lacks  string
	}{
		"without a profile": {func(d *types.RequestLaunchTemplateData) { d.IamInstanceProfile = nil }, "/latest/meta-data/iam/security-credentials/"},
		"without user data": {func(d *types.RequestLaunchTemplateData) { d.UserData = nil }, "/latest/user-data"},
		"with tags off": {func(d *types.RequestLaunchTemplateData) {
			d.MetadataOptions.InstanceMetadataTags = types.LaunchTemplateInstanceMetadataTagsStateDisabled
		}, "/latest/meta-data/tags/instance/Name"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t)
			i := a.run(a.template(test.change))
			a.same(test.lacks, a.read(i.card.Address, test.lacks), "")
			a.same("instance-id", a.read(i.card.Address, "/latest/meta-data/instance-id"), i.ID)
		})
	}
	t.Run("switched off", func(t *testing.T) {
		a := newAccount(t)
		i := a.run(a.template(func(d *types.RequestLaunchTemplateData) {
			d.MetadataOptions.HttpEndpoint = types.LaunchTemplateInstanceMetadataEndpointStateDisabled
		}))
		if got := a.ask(i.card.Address, http.MethodPut, "/latest/api/token", ttlHeader, "60"); got.status != http.StatusForbidden {
			t.Errorf("it answers %+v", got)
		}
	})
}

func TestTarget(t *testing.T) {
	a := newAccount(t)
	i := a.group("group", a.template(nil))
	a.same("a new member", a.read(i.card.Address, "/latest/meta-data/autoscaling/target-lifecycle-state"), "InService")
	a.same("its group", a.read(i.card.Address, "/latest/meta-data/tags/instance/aws:autoscaling:groupName"), "group")
	for state, want := range map[string]string{"Pending:Wait": "InService", "InService": "InService", "Terminating:Wait": "Terminated", "Standby": "Standby", "": ""} {
		a.same(state, target(state), want)
	}
}

func TestLate(t *testing.T) {
	a := newAccount(t)
	template := a.template(nil)
	i, other := a.run(template), a.run(template)
	a.service.Late(i.ID, 10*time.Second)
	booted := time.Now().Add(time.Hour) // whenever that is
	a.service.now = func() time.Time { return booted }
	if got := a.ask(i.card.Address, http.MethodPut, "/latest/api/token", ttlHeader, "60"); !got.silent {
		t.Errorf("before its time: %+v", got)
	}
	a.token(other.card.Address)
	booted = booted.Add(10 * time.Second)
	a.token(i.card.Address)
	var statuses []int
	for _, r := range a.service.Requests(i.ID) {
		statuses = append(statuses, r.Status)
	}
	a.same("what was recorded", statuses, []int{0, 200})
	a.same("of both", len(a.service.Requests("")), 3)
}

// taken is a listener that keeps what it accepted.
type taken struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (l *taken) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, c)
	return c, err
}

// A token goes as far as the instance's hop limit says.
func TestHops(t *testing.T) {
	a := newAccount(t)
	i := a.run(a.template(func(d *types.RequestLaunchTemplateData) { d.MetadataOptions.HttpPutResponseHopLimit = aws.Int32(3) }))
	home := netip.MustParseAddr("127.0.0.1") // where this test asks from
	a.service.hosts[home] = a.service.hosts[i.card.Address]
	plain, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	a.ok(err)
	listener := &taken{Listener: plain}
	ctx := t.Context()
	go func() { _ = a.service.Serve(ctx, listener) }()

	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+plain.Addr().String()+"/latest/api/token", nil)
	a.ok(err)
	r.Header.Set(ttlHeader, "60")
	answer, err := http.DefaultClient.Do(r)
	a.ok(err)
	defer answer.Body.Close()
	a.same("status", answer.StatusCode, http.StatusOK)

	listener.mu.Lock()
	defer listener.mu.Unlock()
	raw, err := listener.conns[0].(syscall.Conn).SyscallConn()
	a.ok(err)
	var hops int
	var failed error
	a.ok(raw.Control(func(fd uintptr) { hops, failed = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_TTL) }))
	a.ok(failed)
	a.same("hops", hops, 3)
}
