package fakeaws_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/cincbake/cincbake/test/fakeaws"
)

// account calls a fake as an SDK does, as far as the fake looks.
type account struct {
	t      *testing.T
	server *fakeaws.Server
	region string
	key    string // the access key's id
}

func newAccount(t *testing.T, o fakeaws.Options) account {
	t.Helper()
	if o.Images == nil {
		o.Images = []fakeaws.Image{{Name: "debian-13-amd64-1", Owner: "136693071363", Created: "2026-11-01T12:00:00.000Z"}}
	}
	s := fakeaws.New(o)
	t.Cleanup(s.Close)
	return account{t, s, "eu-west-1", "AKIAEXAMPLE"}
}

func (a account) in(region string) account {
	a.region = region
	return a
}

func (a account) request(ctx context.Context, service, action string, params []string) *http.Request {
	values := url.Values{"Action": {action}, "Version": {"2016-11-15"}}
	for i := 0; i < len(params); i += 2 {
		values.Set(params[i], params[i+1])
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.server.URL, strings.NewReader(values.Encode()))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+a.key+"/20261126/"+a.region+"/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	return r
}

// answer is what came back.
type answer struct {
	t      *testing.T
	status int
	text   string
}

func (a account) try(action string, params ...string) answer {
	a.t.Helper()
	return a.send(a.request(a.t.Context(), "ec2", action, params))
}

func (a account) send(r *http.Request) answer {
	a.t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return answer{a.t, response.StatusCode, string(text)}
}

// must calls what must go well.
func (a account) must(action string, params ...string) answer {
	a.t.Helper()
	got := a.try(action, params...)
	if got.status != http.StatusOK {
		a.t.Fatalf("%s: %s", action, got.text)
	}
	return got
}

// refused calls what must be answered with an error of that code.
func (a account) refused(code, action string, params ...string) {
	a.t.Helper()
	if got := a.try(action, params...).all("Code"); len(got) != 1 || got[0] != code {
		a.t.Errorf("%s %q: %q, want %s", action, params, got, code)
	}
}

// all returns the texts of the elements of a name.
func (a answer) all(name string) []string {
	var texts []string
	for _, match := range regexp.MustCompile("<"+name+">([^<]*)</"+name+">").FindAllStringSubmatch(a.text, -1) {
		texts = append(texts, match[1])
	}
	return texts
}

// one returns the text of the first of them.
func (a answer) one(name string) string {
	a.t.Helper()
	texts := a.all(name)
	if len(texts) == 0 {
		a.t.Fatalf("no <%s> in %s", name, a.text)
	}
	return texts[0]
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// run runs an instance of the first image.
func (a account) run(more ...string) string {
	a.t.Helper()
	image := a.must("DescribeImages").one("imageId")
	return a.must("RunInstances", append([]string{"ImageId", image, "InstanceType", "m6i.large", "MinCount", "1", "MaxCount", "1"}, more...)...).one("instanceId")
}

func (a account) state(id string) string {
	a.t.Helper()
	return regexp.MustCompile("<instanceState>.*?<name>(.*?)</name>").FindStringSubmatch(a.must("DescribeInstances", "InstanceId.1", id).text)[1]
}

func (a account) states(id string, times int) (list []string) {
	a.t.Helper()
	for range times {
		list = append(list, a.state(id))
	}
	return list
}

func TestWhoIsAsked(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	a.refused("InvalidAction", "CreateVpc")
	a.in("mars-north-1").refused("UnknownEndpoint", "DescribeRegions")
	r := a.request(t.Context(), "ec2", "DescribeRegions", nil)
	r.Header.Del("Authorization")
	if got := a.send(r); got.status != http.StatusUnauthorized || got.one("Code") != "AuthFailure" {
		t.Errorf("without a signature: %d %s", got.status, got.text)
	}
	if got := a.send(a.request(t.Context(), "braket", "X", nil)); got.one("Code") != "UnknownEndpoint" {
		t.Errorf("an unknown service: %s", got.text)
	}
	if got := a.send(a.request(t.Context(), "sts", "GetCallerIdentity", nil)); got.one("Account") != fakeaws.Account {
		t.Errorf("who am I: %s", got.text)
	}
	same(t, "regions", a.must("DescribeRegions").all("regionName"), fakeaws.Regions())
	same(t, "zones", a.must("DescribeAvailabilityZones").all("zoneName"), []string{"eu-west-1a", "eu-west-1b", "eu-west-1c"})
	a.refused("DryRunOperation", "DescribeRegions", "DryRun", "true")
	var calls []string
	for _, c := range a.server.Calls("DescribeRegions") {
		calls = append(calls, c.String())
	}
	same(t, "recorded", calls, []string{"ec2 mars-north-1 DescribeRegions: UnknownEndpoint", "ec2 eu-west-1 DescribeRegions", "ec2 eu-west-1 DescribeRegions: DryRunOperation"})
}

func TestAnInstanceTakesItsTime(t *testing.T) {
	a := newAccount(t, fakeaws.Options{Polls: 2})
	group := a.must("CreateSecurityGroup", "GroupName", "g", "GroupDescription", "d").one("groupId")
	id := a.run("SecurityGroupId.1", group, "BlockDeviceMapping.1.DeviceName", "/dev/xvda", "BlockDeviceMapping.1.Ebs.Encrypted", "true",
		"TagSpecification.1.ResourceType", "volume", "TagSpecification.1.Tag.1.Key", "k", "TagSpecification.1.Tag.1.Value", "v")
	a.refused("IncorrectInstanceState", "CreateImage", "InstanceId", id, "Name", "early")
	same(t, "starting", a.states(id, 3), []string{"pending", "pending", "running"})
	volume := a.must("DescribeVolumes", "Filter.1.Name", "tag:k", "Filter.1.Value.1", "v")
	same(t, "its volume", []string{volume.one("encrypted"), volume.one("volumeType"), volume.one("instanceId")}, []string{"true", "gp3", id})
	a.must("StopInstances", "InstanceId.1", id)
	same(t, "stopping", a.states(id, 3), []string{"stopping", "stopping", "stopped"})
	a.must("StartInstances", "InstanceId.1", id)
	same(t, "starting again", a.states(id, 3), []string{"pending", "pending", "running"})
	same(t, "its status", a.must("DescribeInstanceStatus", "InstanceId.1", id).all("status"), []string{"ok", "ok"})
	a.refused("DependencyViolation", "DeleteSecurityGroup", "GroupId", group)
	a.refused("VolumeInUse", "DeleteVolume", "VolumeId", volume.one("volumeId"))
	a.must("TerminateInstances", "InstanceId.1", id)
	same(t, "ending", a.states(id, 3), []string{"shutting-down", "shutting-down", "terminated"})
	a.must("DeleteSecurityGroup", "GroupId", group)
	if left := a.server.Resources(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	a.refused("InvalidInstanceID.NotFound", "StopInstances", "InstanceId.1", "i-0")
	a.refused("InvalidParameterValue", "DescribeInstances", "Filter.1.Name", "colour", "Filter.1.Value.1", "blue")
}

func TestWhatDoesNotRun(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	image := a.must("DescribeImages").one("imageId")
	for _, test := range []struct {
		code   string
		change []string
	}{
		{"InvalidAMIID.NotFound", []string{"ImageId", "ami-0"}},
		{"InvalidParameterValue", []string{"InstanceType", "m7g.large"}}, // another processor
		{"InvalidParameterValue", []string{"InstanceType", "large"}},
		{"InvalidKeyPair.NotFound", []string{"KeyName", "nobody's"}},
		{"InvalidGroup.NotFound", []string{"SecurityGroupId.1", "sg-0"}},
		{"InvalidSubnetID.NotFound", []string{"SubnetId", "subnet-0"}},
		{"InvalidUserData.Malformed", []string{"UserData", "not base64"}},
		{"InvalidParameterValue", []string{"UserData", base64.StdEncoding.EncodeToString(make([]byte, 16385))}},
		{"InvalidBlockDeviceMapping", []string{"BlockDeviceMapping.1.DeviceName", "/dev/xvda", "BlockDeviceMapping.1.Ebs.VolumeSize", "1"}},
	} {
		a.refused(test.code, "RunInstances", append([]string{"ImageId", image, "InstanceType", "m6i.large", "MinCount", "1", "MaxCount", "1"}, test.change...)...)
	}
	if left := a.server.Resources(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	a.run("UserData", base64.StdEncoding.EncodeToString(make([]byte, 16384)))
}

func TestImages(t *testing.T) {
	moment := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	a := newAccount(t, fakeaws.Options{Now: func() time.Time { return moment }, Images: []fakeaws.Image{
		{Name: "debian-13-amd64-1", Owner: "136693071363"}, {Name: "debian-13-amd64-2", Owner: "666666666666", Deprecated: "2026-11-01T00:00:00.000Z"}, {Name: "debian-13-arm64-1", Owner: "136693071363", Arch: "arm64"},
	}})
	found := func(params ...string) []string { return a.must("DescribeImages", params...).all("name") }
	same(t, "all", found(), []string{"debian-13-amd64-1", "debian-13-arm64-1"})
	same(t, "the deprecated too", len(found("IncludeDeprecated", "true")), 3)
	same(t, "by owner and name", found("Owner.1", "136693071363", "Filter.1.Name", "name", "Filter.1.Value.1", "debian-13-amd64-*", "IncludeDeprecated", "true"), []string{"debian-13-amd64-1"})
	same(t, "by processor", found("Filter.1.Name", "architecture", "Filter.1.Value.1", "arm64"), []string{"debian-13-arm64-1"})
	first := a.must("DescribeImages", "MaxResults", "1")
	same(t, "page by page", append(first.all("name"), found("MaxResults", "1", "NextToken", first.one("nextToken"))...), []string{"debian-13-amd64-1", "debian-13-arm64-1"})
	a.refused("AuthFailure", "DeregisterImage", "ImageId", first.one("imageId"))

	instance := a.run("BlockDeviceMapping.1.DeviceName", "/dev/xvda", "BlockDeviceMapping.1.Ebs.Encrypted", "true")
	tags := []string{"Tag.1.Key", "k", "Tag.1.Value", "v"}
	image := a.must("CreateImage", "InstanceId", instance, "Name", "mine", "TagSpecification.1.ResourceType", "snapshot", "TagSpecification.1.Tag.1.Key", "k", "TagSpecification.1.Tag.1.Value", "v").one("imageId")
	snapshot := a.must("DescribeSnapshots", "Owner.1", "self", "Filter.1.Name", "tag-key", "Filter.1.Value.1", "k").one("snapshotId")
	a.refused("InvalidAMIName.Duplicate", "CreateImage", "InstanceId", instance, "Name", "mine")
	a.refused("InvalidAMIName.Malformed", "CreateImage", "InstanceId", instance, "Name", "a:b:c")
	a.must("CreateTags", append(tags, "ResourceId.1", image)...)
	a.refused("InvalidSnapshot.NotFound", "CreateTags", append(tags, "ResourceId.1", image, "ResourceId.2", "snap-0")...)
	same(t, "who has the tag", a.must("DescribeTags", "Filter.1.Name", "key", "Filter.1.Value.1", "k").all("resourceType"), []string{"image", "snapshot"})

	away := a.in("eu-central-1")
	from := []string{"SourceRegion", "eu-west-1", "SourceImageId", image, "CopyImageTags", "true", "ClientToken", "once"}
	copied := away.must("CopyImage", append(from, "Name", "mine")...).one("imageId")
	same(t, "asked again", away.must("CopyImage", append(from, "Name", "mine")...).one("imageId"), copied)
	if i := a.server.Image("eu-central-1", copied); i.Tags["k"] != "v" || !i.Devices[0].EBS.Encrypted {
		t.Errorf("the copy is %+v", i)
	}
	same(t, "its snapshot's tags", away.must("DescribeSnapshots").all("key"), []string(nil))

	a.refused("InvalidParameter", "ModifyImageAttribute", "ImageId", image, "LaunchPermission.Add.1.UserId", "444455556666")
	a.refused("InvalidParameter", "ModifySnapshotAttribute", "SnapshotId", snapshot, "CreateVolumePermission.Add.1.UserId", "444455556666")
	a.refused("InvalidParameterValue", "ModifyImageAttribute", "ImageId", image, "ImdsSupport.Value", "v1.0")
	a.must("ModifyImageAttribute", "ImageId", image, "ImdsSupport.Value", "v2.0")
	same(t, "tokens", a.must("DescribeImageAttribute", "ImageId", image, "Attribute", "imdsSupport").one("value"), "v2.0")
	a.refused("InvalidParameterValue", "EnableImageDeprecation", "ImageId", image, "DeprecateAt", "2026-11-25T12:00:00Z")
	a.must("EnableImageDeprecation", "ImageId", image, "DeprecateAt", "2026-11-27T12:00:00Z")

	a.must("EnableImageDeregistrationProtection", "ImageId", image)
	a.refused("OperationNotPermitted", "DeregisterImage", "ImageId", image)
	a.must("DisableImageDeregistrationProtection", "ImageId", image)
	a.refused("InvalidSnapshot.InUse", "DeleteSnapshot", "SnapshotId", snapshot)
	a.must("DeregisterImage", "ImageId", image)
	again := a.must("RegisterImage", "Name", "again", "Architecture", "x86_64", "RootDeviceName", "/dev/xvda", "BlockDeviceMapping.1.DeviceName", "/dev/xvda", "BlockDeviceMapping.1.Ebs.SnapshotId", snapshot).one("imageId")
	a.must("DeregisterImage", "ImageId", again)
	a.must("DeleteSnapshot", "SnapshotId", snapshot)
	a.must("TerminateInstances", "InstanceId.1", instance)
	var left []string
	for _, r := range a.server.Resources() {
		left = append(left, r.Kind+" in "+r.Region+" of "+r.Of)
	}
	same(t, "what is left", left, []string{"image in eu-central-1 of ", "snapshot in eu-central-1 of " + copied})
}

func TestKeys(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	for _, kind := range []string{"ed25519", "rsa"} {
		key := a.must("CreateKeyPair", "KeyName", kind, "KeyType", kind)
		signer, err := ssh.ParsePrivateKey([]byte(strings.ReplaceAll(key.one("keyMaterial"), "&#xA;", "\n")))
		if err != nil {
			t.Fatal(err)
		}
		same(t, kind, ssh.FingerprintSHA256(signer.PublicKey()), key.one("keyFingerprint"))
	}
	a.refused("InvalidKeyPair.Duplicate", "CreateKeyPair", "KeyName", "rsa")
	a.refused("InvalidParameterValue", "CreateKeyPair", "KeyName", "x", "KeyType", "dsa")
	same(t, "keys", a.must("DescribeKeyPairs").all("keyName"), []string{"ed25519", "rsa"})
	a.must("DeleteKeyPair", "KeyName", "rsa")
	a.must("DeleteKeyPair", "KeyName", "rsa")
	same(t, "keys", a.must("DescribeKeyPairs").all("keyName"), []string{"ed25519"})
}

func TestFaults(t *testing.T) {
	codes := func(a account, action string) (list []string) {
		for _, c := range a.server.Calls(action) {
			list = append(list, c.Code)
		}
		return list
	}
	create := func(a account, name string) answer {
		return a.try("CreateKeyPair", "KeyName", name, "KeyType", "ed25519")
	}
	keys := func(a account) int { return len(a.must("DescribeKeyPairs").all("keyName")) }
	for _, test := range []struct {
		fault fakeaws.Fault
		codes []string
		keys  int
	}{
		{fakeaws.Throttle("CreateKeyPair", 2), []string{"RequestLimitExceeded", "RequestLimitExceeded", ""}, 1},
		{fakeaws.Deny("CreateKeyPair"), []string{"UnauthorizedOperation", "UnauthorizedOperation", "UnauthorizedOperation"}, 0},
		{fakeaws.Deny("CreateKeyPair").After(2), []string{"", "", "UnauthorizedOperation"}, 2},
		{fakeaws.Deny("CreateKeyPair").In("us-east-1"), []string{"", "", ""}, 3},
		{fakeaws.Refuse("CreateKeyPair", "KeyPairLimitExceeded", "too many"), []string{"KeyPairLimitExceeded", "KeyPairLimitExceeded", "KeyPairLimitExceeded"}, 0},
		{fakeaws.Lose("CreateKeyPair", 1), []string{"InternalError", "", ""}, 3},
	} {
		a := newAccount(t, fakeaws.Options{})
		a.server.Inject(test.fault)
		for _, name := range []string{"a", "b", "c"} {
			create(a, name)
		}
		same(t, test.fault.Name, codes(a, "CreateKeyPair"), test.codes)
		same(t, test.fault.Name+": keys", keys(a), test.keys)
		a.server.Mend()
		same(t, test.fault.Name+": mended", create(a, "d").status, http.StatusOK)
	}
}

func TestNoAnswer(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	a.server.Inject(fakeaws.Hang("DescribeRegions", 1))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	response, err := http.DefaultClient.Do(a.request(ctx, "ec2", "DescribeRegions", nil))
	if err == nil {
		response.Body.Close()
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it answered: %v", err)
	}
	a.must("DescribeRegions")
}

func TestStall(t *testing.T) {
	a := newAccount(t, fakeaws.Options{Polls: 1})
	id := a.run()
	a.states(id, 2)
	a.server.Inject(fakeaws.Stall("StopInstances"))
	a.must("StopInstances", "InstanceId.1", id)
	same(t, "it never stops", a.states(id, 4), []string{"stopping", "stopping", "stopping", "stopping"})
	for _, r := range a.server.Resources() {
		if r.Kind == "instance" && r.State != "stopping" {
			t.Errorf("time passed, and it stopped: %v", r)
		}
	}
	a.must("TerminateInstances", "InstanceId.1", id)
	same(t, "it ends all the same", a.states(id, 2), []string{"shutting-down", "terminated"})
}

// machines take as long as the test wants.
type machines struct {
	up  chan error
	mu  sync.Mutex
	did []string
}

func (m *machines) note(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.did = append(m.did, what)
}

func (m *machines) Start(i fakeaws.Instance, key string) (string, error) {
	m.note("start with " + strings.Fields(key)[0] + " and " + string(i.UserData))
	return "127.0.0.9", <-m.up
}
func (m *machines) Stop(string) error         { m.note("stop"); return nil }
func (m *machines) Restart(string) error      { m.note("restart"); return nil }
func (m *machines) Terminate(string) error    { m.note("terminate"); return nil }
func (m *machines) Capture(_, _ string) error { m.note("capture"); return nil }

func TestMachines(t *testing.T) {
	m := &machines{up: make(chan error)}
	a := newAccount(t, fakeaws.Options{Machines: m})
	a.must("CreateKeyPair", "KeyName", "k", "KeyType", "ed25519")
	with := []string{"KeyName", "k", "UserData", base64.StdEncoding.EncodeToString([]byte("hello"))}
	id := a.run(with...)
	same(t, "while it starts", a.states(id, 3), []string{"pending", "pending", "pending"})
	m.up <- nil
	a.server.Resources() // waits
	same(t, "its address", a.must("DescribeInstances").one("ipAddress"), "127.0.0.9")
	a.must("StopInstances", "InstanceId.1", id)
	a.server.Resources()
	a.must("CreateImage", "InstanceId", id, "Name", "mine")
	a.must("TerminateInstances", "InstanceId.1", id)
	a.server.Resources()
	same(t, "what the machine did", m.did, []string{"start with ssh-ed25519 and hello", "stop", "capture", "terminate"})

	broken := a.run(with...)
	m.up <- errors.New("no room")
	a.server.Resources()
	text := a.must("DescribeInstances", "InstanceId.1", broken)
	same(t, "one that does not start", []string{text.one("message"), a.state(broken)}, []string{"no room", "terminated"})
}
