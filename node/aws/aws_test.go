package aws

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
	"github.com/cincbake/cincbake/test/fakeaws"
)

// A machine knows itself by the metadata service, however late that is, and by version 2 of it alone.
func TestSelf(t *testing.T) {
	m := newMachine(t, "postgres-1")
	m.metadata.from = time.Now().Add(1500 * time.Millisecond)
	self, err := m.platform.Discovery(m.r, m.node("postgres-1")).Self(t.Context())
	m.ok(err)
	m.same("self", self.Name+" "+self.Address.String(), "postgres-1 "+m.metadata.tree["local-ipv4"])
	before := len(m.metadata.calls)
	_, err = m.platform.Discovery(m.r, m.node("postgres-1")).Self(t.Context())
	m.ok(err)
	m.same("what it asks again", len(m.metadata.calls), before)
}

func TestSelfOfAnother(t *testing.T) {
	for _, test := range []struct{ node, tag, value string }{
		{"postgres-1", cluster.TagCluster, "other"}, {"postgres-1", cluster.TagNode, "postgres-2"}, {"postgres-1", cluster.TagRole, "api"}, {"api", cluster.TagNode, "api-1"},
	} {
		m := newMachine(t, test.node)
		m.metadata.set("tags/instance/"+test.tag, test.value)
		_, err := m.platform.Discovery(m.r, m.node(test.node)).Self(t.Context())
		var refusal *role.Refusal
		if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, test.value) || refusal.Hint == "" {
			t.Errorf("%s, %s=%s: %v", test.node, test.tag, test.value, err)
		}
	}
}

func TestNodes(t *testing.T) {
	m := newMachine(t, "postgres-1")
	tags := func(pairs ...string) map[string]string {
		all := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			all[pairs[i]] = pairs[i+1]
		}
		return all
	}
	other := m.run(tags(cluster.TagCluster, "prod", cluster.TagRole, "postgres", cluster.TagNode, "postgres-2"))
	m.run(tags(cluster.TagCluster, "staging", cluster.TagRole, "postgres", cluster.TagNode, "postgres-1"))
	m.run(tags(cluster.TagCluster, "prod", cluster.TagRole, "bake"))
	gone := m.run(tags(cluster.TagCluster, "prod", cluster.TagRole, "heartbeat", cluster.TagNode, "heartbeat-1"))
	_, err := m.ec2().TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{*gone.InstanceId}})
	m.ok(err)
	want := []string{"postgres-1 " + m.metadata.tree["local-ipv4"], "postgres-2 " + *other.PrivateIpAddress}
	for range pageSize { // more than a page
		one := m.run(tags(cluster.TagCluster, "prod", cluster.TagRole, "api"))
		want = append(want, "api/"+*one.InstanceId+" "+*one.PrivateIpAddress)
	}
	m.server.Inject(fakeaws.Throttle("DescribeInstances", 2))
	looked := len(m.server.Calls("DescribeInstances"))
	nodes, err := m.platform.Discovery(m.r, m.node("postgres-1")).Nodes(t.Context())
	m.ok(err)
	var got []string
	for _, n := range nodes {
		got = append(got, n.Name+" "+n.Address.String())
	}
	slices.Sort(want)
	slices.Sort(got)
	m.same("nodes", got, want)
	// A page is long, and the SDK asks for it again where a busy machine let it close the connection too early: it closes a
	// request's body when the answer's head is there, and the transport, which may look for the body's end later than that,
	// takes the error that it gets then for a broken connection.
	throttled, pages := 0, map[string]bool{}
	for _, call := range m.server.Calls("DescribeInstances")[looked:] {
		if call.Fault != "" {
			throttled++
			continue
		}
		pages[call.Params.String("NextToken")] = true
	}
	m.same("throttled calls", throttled, 2)
	m.same("pages", len(pages), 2)
}

// A machine that waits for its peers looks twice a second; EC2 is asked far less often.
func TestNodesCountForAMoment(t *testing.T) {
	m := newMachine(t, "postgres-1")
	found := m.platform.Discovery(m.r, m.node("postgres-1"))
	looked := len(m.server.Calls("DescribeInstances"))
	look := func() (names []string) {
		t.Helper()
		nodes, err := found.Nodes(t.Context())
		m.ok(err)
		for _, n := range nodes {
			names = append(names, n.Name)
		}
		nodes[0].Name = "spoilt by who asked"
		return names
	}
	for range 10 {
		m.same("nodes", look(), []string{"postgres-1"})
	}
	m.same("calls", len(m.server.Calls("DescribeInstances"))-looked, 1)
	m.run(map[string]string{cluster.TagCluster: "prod", cluster.TagRole: "postgres", cluster.TagNode: "postgres-2"})
	m.platform.counts = 50 * time.Millisecond
	found = m.platform.Discovery(m.r, m.node("postgres-1"))
	m.same("a new one", look(), []string{"postgres-1", "postgres-2"})
	m.run(map[string]string{cluster.TagCluster: "prod", cluster.TagRole: "heartbeat", cluster.TagNode: "heartbeat-1"})
	time.Sleep(100 * time.Millisecond)
	m.same("after its time", look(), []string{"heartbeat-1", "postgres-1", "postgres-2"})
}

func TestSecrets(t *testing.T) {
	m := newMachine(t, "heartbeat-1")
	store := cloudinit.SecretStoreOf(m.r, m.node("heartbeat-1"))
	if _, err := m.platform.Secrets(t.Context(), store); err == nil || !strings.Contains(err.Error(), "cincbake secrets push") {
		t.Errorf("before they are pushed: %v", err)
	}
	for _, name := range []string{store.Name, "cincbake/prod/postgres-1"} {
		_, err := m.secrets().CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String("its own"), KmsKeyId: aws.String("alias/ours")})
		m.ok(err)
	}
	text, err := m.platform.Secrets(t.Context(), store)
	m.ok(err)
	m.same("the text", string(text), "its own")
	another := store
	another.Name = "cincbake/prod/postgres-1"
	if _, err := m.platform.Secrets(t.Context(), another); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("another role's: %v", err)
	}
	store.Kind = "elsewhere"
	if _, err := m.platform.Secrets(t.Context(), store); err == nil {
		t.Error("an unknown store was asked")
	}
}

// nitro answers as a machine where udev names volumes, after a look or two.
func nitro(volume string, looks int) func(step.Command) (step.Output, error) {
	return func(c step.Command) (step.Output, error) {
		if c.Argv[2] == "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"+strings.Replace(volume, "-", "", 1) {
			if looks--; looks < 0 {
				return step.Output{}, nil
			}
		}
		return step.Output{}, &step.ExitError{Argv: c.Argv, Status: 1}
	}
}

func TestDisk(t *testing.T) {
	m := newMachine(t, "postgres-1")
	self := m.node("postgres-1")
	m.volume("postgres-2")
	var refusal *role.Refusal
	if _, err := m.platform.Disk(t.Context(), m.r, self); !errors.As(err, &refusal) {
		t.Errorf("without a volume: %v", err)
	}
	id := m.volume("postgres-1")
	m.host.Answer = nitro(id, 2)
	for range 2 { // the second boot finds it attached
		got, err := m.platform.Disk(t.Context(), m.r, self)
		m.ok(err)
		m.same("the device", got, "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"+strings.Replace(id, "-", "", 1))
	}
	m.same("calls", len(m.server.Calls("AttachVolume")), 1)
	m.host.Answer = func(c step.Command) (step.Output, error) {
		if c.Argv[2] == "/dev/xvdf" {
			return step.Output{}, nil
		}
		return step.Output{}, &step.ExitError{Argv: c.Argv, Status: 1}
	}
	got, err := m.platform.Disk(t.Context(), m.r, self)
	m.ok(err)
	m.same("the device on Xen", got, "/dev/xvdf")
	m.volume("postgres-1")
	if _, err := m.platform.Disk(t.Context(), m.r, self); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "2 volumes") {
		t.Errorf("two volumes: %v", err)
	}
	none, err := m.platform.Disk(t.Context(), m.r, m.node("heartbeat-1"))
	m.ok(err)
	m.same("a slot without a volume", none, "")
}

// A volume that another machine has is refused as long as that is not on its way out.
func TestDiskInUse(t *testing.T) {
	m := newMachine(t, "postgres-1")
	self, id := m.node("postgres-1"), m.volume("postgres-1")
	m.host.Answer = nitro(id, 0)
	old := m.run(nil)
	for {
		_, err := m.ec2().AttachVolume(t.Context(), &ec2.AttachVolumeInput{VolumeId: &id, InstanceId: old.InstanceId, Device: aws.String("/dev/sdf")})
		if err == nil {
			break
		}
		t.Fatal(err)
	}
	for _, stop := range []bool{false, true} {
		if stop {
			_, err := m.ec2().StopInstances(t.Context(), &ec2.StopInstancesInput{InstanceIds: []string{*old.InstanceId}})
			m.ok(err)
		}
		var refusal *role.Refusal
		if _, err := m.platform.Disk(t.Context(), m.r, self); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, *old.InstanceId) {
			t.Fatalf("in use: %v", err)
		}
	}
	m.same("calls", len(m.server.Calls("AttachVolume")), 1)
	_, err := m.ec2().TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{*old.InstanceId}})
	m.ok(err)
	_, err = m.platform.Disk(t.Context(), m.r, self)
	m.ok(err)
	seen, err := m.ec2().DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{VolumeIds: []string{id}})
	m.ok(err)
	m.same("where it is", aws.ToString(seen.Volumes[0].Attachments[0].InstanceId), m.instance)
}

// An attachment whose answer was lost is found, not made twice.
func TestDiskAfterLostAnswer(t *testing.T) {
	m := newMachine(t, "postgres-1")
	id := m.volume("postgres-1")
	m.host.Answer = nitro(id, 0)
	m.server.Inject(fakeaws.Lose("AttachVolume", 1))
	_, err := m.platform.Disk(t.Context(), m.r, m.node("postgres-1"))
	m.ok(err)
}

func TestReady(t *testing.T) {
	for _, name := range []string{"api", "postgres-1"} {
		m := newMachine(t, name)
		self := m.node(name)
		m.group(self)
		m.ok(m.platform.Alive(t.Context(), m.r, self))
		m.same("heartbeats of "+name, len(m.server.Calls("RecordLifecycleActionHeartbeat")), min(self.Slot, 1))
		m.server.Inject(fakeaws.Throttle("CompleteLifecycleAction", 1))
		for range 2 { // a boot again finds nothing that holds it
			m.ok(m.platform.Ready(t.Context(), m.r, self, "sha256:new"))
		}
		_, state := m.member(m.r.GroupName(self))
		m.same("the state of "+name, state, "InService")
		seen, err := m.ec2().DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{m.instance}})
		m.ok(err)
		m.same("the tag", tagOf(seen.Reservations[0].Instances[0], cluster.TagContent), "sha256:new")
	}
}

// Autoscaling holds an instance only a while after it runs: until then it says that nothing does, or nothing at all.
func TestReadyTooEarly(t *testing.T) {
	m := newMachine(t, "heartbeat-1")
	self := m.node("heartbeat-1")
	m.group(self)
	m.metadata.set("tags/instance/"+tagGroup, m.r.GroupName(self))
	m.metadata.launched, m.metadata.gap, m.metadata.missing = time.Now(), "autoscaling/target-lifecycle-state", 2
	early := fakeaws.Refuse("CompleteLifecycleAction", "ValidationError", "No active Lifecycle Action found with instance ID "+m.instance)
	early.Times = 2
	m.server.Inject(early)
	m.ok(m.platform.Ready(t.Context(), m.r, self, ""))
	m.same("calls", len(m.server.Calls("CompleteLifecycleAction")), 3)
	_, state := m.member(m.r.GroupName(self))
	m.same("the state", state, "InService")
}

// A boot of a machine that was launched long ago does not wait for a hook, which let it pass then.
func TestReadyAgain(t *testing.T) {
	m := newMachine(t, "heartbeat-1")
	self := m.node("heartbeat-1")
	m.group(self)
	m.metadata.set("tags/instance/"+tagGroup, m.r.GroupName(self))
	m.metadata.launched = time.Now().Add(-holdTime)
	for range 2 {
		m.ok(m.platform.Ready(t.Context(), m.r, self, ""))
	}
	m.same("calls", len(m.server.Calls("CompleteLifecycleAction")), 2)
}

// Out of a group nobody is told, and a tag that is right stays.
func TestReadyWithoutGroup(t *testing.T) {
	m := newMachine(t, "postgres-1")
	m.metadata.set("tags/instance/"+cluster.TagContent, "sha256:same")
	for _, content := range []string{"sha256:same", ""} {
		m.ok(m.platform.Ready(t.Context(), m.r, m.node("postgres-1"), content))
	}
	m.ok(m.platform.Alive(t.Context(), m.r, m.node("postgres-1")))
	m.same("calls", len(m.server.Calls("CompleteLifecycleAction"))+len(m.server.Calls("RecordLifecycleActionHeartbeat"))+len(m.server.Calls("CreateTags")), 0)
}

// What is not allowed fails the boot, with what it was about.
func TestReadyDenied(t *testing.T) {
	m := newMachine(t, "postgres-1")
	self := m.node("postgres-1")
	m.group(self)
	m.server.Inject(fakeaws.Deny("CompleteLifecycleAction"))
	m.server.Inject(fakeaws.Deny("CreateTags"))
	err := m.platform.Ready(t.Context(), m.r, self, "sha256:new")
	for _, says := range []string{"autoscaling group", "tag this instance"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v says nothing of %q", err, says)
		}
	}
}

func TestLater(t *testing.T) {
	old, fresh := types.Instance{LaunchTime: aws.Time(time.Unix(1, 0))}, types.Instance{LaunchTime: aws.Time(time.Unix(2, 0))}
	if !later(fresh, old) || later(old, fresh) {
		t.Error("the older instance of a slot counts")
	}
}
