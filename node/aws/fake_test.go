package aws

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	scalingtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/step"
	"github.com/cincbake/cincbake/test/fakeaws"
	"github.com/cincbake/cincbake/test/fakeaws/rights"
)

// metadataService is an instance metadata service of version 2: without a token it answers nothing.
type metadataService struct {
	mu    sync.Mutex
	tree  map[string]string // by path below meta-data
	from  time.Time         // it answers from then on
	calls []string
	// launched is when the instance was; zero: long ago.
	launched time.Time
	// missing is how often the path at gap is not there.
	missing int
	gap     string
}

func (m *metadataService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, r.Method+" "+r.URL.Path)
	if time.Now().Before(m.from) {
		panic(http.ErrAbortHandler)
	}
	if r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" {
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds"))
		_, _ = io.WriteString(w, "token")
		return
	}
	if r.Header.Get("X-Aws-Ec2-Metadata-Token") != "token" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/latest/meta-data/")
	text, ok := m.tree[path]
	if path == m.gap && m.missing > 0 {
		m.missing--
		ok = false
	}
	if r.URL.Path == "/latest/dynamic/instance-identity/document" {
		text, ok = fmt.Sprintf(`{"region": "eu-west-1", "pendingTime": %q}`, m.launched.Format(time.RFC3339)), true
	}
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_, _ = io.WriteString(w, text)
}

func (m *metadataService) set(path, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tree[path] = text
}

// machine is a machine of a cluster in a fake account, which its agent knows from the metadata service alone. It may do what its
// role may.
type machine struct {
	*testing.T
	server   *fakeaws.Server
	config   aws.Config // the operator's
	metadata *metadataService
	host     *step.Recorder
	platform *Platform
	r        *cluster.Resolved
	image    string
	instance string
	role     cluster.Role
	tags     map[string]string // those that launching gives it
}

// newMachine makes the machine of the node called name.
func newMachine(t *testing.T, name string) *machine {
	t.Helper()
	spec, err := cluster.Load("../../cluster/example/self-hosted-aws.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r, err := spec.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{T: t, server: fakeaws.New(fakeaws.Options{}), metadata: &metadataService{tree: map[string]string{}}, host: step.NewRecorder(), r: r}
	t.Cleanup(m.server.Close)
	metadata := httptest.NewServer(m.metadata)
	metadata.Config.ErrorLog = nil
	t.Cleanup(metadata.Close)
	for key, value := range map[string]string{
		"AWS_ENDPOINT_URL": m.server.URL, "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.URL, "AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none",
		"AWS_PROFILE": "", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "",
	} {
		t.Setenv(key, value)
	}
	m.config = aws.Config{Region: "eu-west-1", BaseEndpoint: &m.server.URL, Credentials: credentials.NewStaticCredentialsProvider("AKIAOPERATOR", "secret", "")}
	m.image = m.server.SeedImages("eu-west-1", fakeaws.Image{Name: "image"})[0]
	node := m.node(name)
	m.role = node.Role
	tags := map[string]string{cluster.TagCluster: r.Name, cluster.TagRole: string(node.Role)}
	if node.Slot > 0 {
		tags[cluster.TagNode] = name
	}
	m.tags = tags
	m.become(m.run(tags), tags)
	m.platform = New(m.host)
	m.platform.pause = time.Millisecond
	return m
}

// become makes the metadata service that of an instance.
func (m *machine) become(instance types.Instance, tags map[string]string) {
	m.instance = *instance.InstanceId
	rights.Limit(m, m.server, fakeaws.Caller{Key: "ASIAMACHINE", Instance: m.instance}, string(m.role), m.r)
	m.metadata.set("instance-id", m.instance)
	m.metadata.set("local-ipv4", aws.ToString(instance.PrivateIpAddress))
	m.metadata.set("iam/security-credentials/", "role")
	m.metadata.set("iam/security-credentials/role", fmt.Sprintf(
		`{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIAMACHINE","SecretAccessKey":"secret","Token":"session","Expiration":%q}`,
		time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	for key, value := range tags {
		m.metadata.set("tags/instance/"+key, value)
	}
}

func (m *machine) node(name string) cluster.Node {
	m.Helper()
	node, err := m.r.Node(name)
	m.ok(err)
	return node
}

func (m *machine) ok(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

func (m *machine) same(what string, got, want any) {
	m.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		m.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (m *machine) ec2() *ec2.Client { return ec2.NewFromConfig(m.config) }

// run starts an instance with tags, and waits until it runs.
func (m *machine) run(tags map[string]string) types.Instance {
	m.Helper()
	out, err := m.ec2().RunInstances(m.Context(), &ec2.RunInstancesInput{
		ImageId: &m.image, InstanceType: types.InstanceTypeM6iLarge, MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeInstance, Tags: list(tags)}},
	})
	m.ok(err)
	for {
		seen, err := m.ec2().DescribeInstances(m.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{*out.Instances[0].InstanceId}})
		m.ok(err)
		if i := seen.Reservations[0].Instances[0]; i.State.Name == types.InstanceStateNameRunning {
			return i
		}
	}
}

func list(tags map[string]string) []types.Tag {
	var all []types.Tag
	for key, value := range tags {
		all = append(all, types.Tag{Key: &key, Value: &value})
	}
	return all
}

// volume makes a volume with the tags of a slot, where the machine is.
func (m *machine) volume(name string) string {
	m.Helper()
	seen, err := m.ec2().DescribeInstances(m.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{m.instance}})
	m.ok(err)
	out, err := m.ec2().CreateVolume(m.Context(), &ec2.CreateVolumeInput{
		AvailabilityZone: seen.Reservations[0].Instances[0].Placement.AvailabilityZone, Size: aws.Int32(10), Encrypted: aws.Bool(true), KmsKeyId: aws.String("alias/ours"),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeVolume, Tags: list(map[string]string{cluster.TagCluster: m.r.Name, cluster.TagNode: name})}},
	})
	m.ok(err)
	return *out.VolumeId
}

// group puts the machine into an autoscaling group of its own, behind the hook: the group starts another instance, which the
// machine becomes.
func (m *machine) group(self cluster.Node) {
	m.Helper()
	data := &types.RequestLaunchTemplateData{
		ImageId: &m.image, InstanceType: types.InstanceTypeM6iLarge,
		TagSpecifications: []types.LaunchTemplateTagSpecificationRequest{{ResourceType: types.ResourceTypeInstance, Tags: list(m.tags)}},
	}
	template, err := m.ec2().CreateLaunchTemplate(m.Context(), &ec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("template"), LaunchTemplateData: data})
	m.ok(err)
	subnets, err := m.ec2().DescribeSubnets(m.Context(), &ec2.DescribeSubnetsInput{})
	m.ok(err)
	name := m.r.GroupName(self)
	_, err = m.scaling().CreateAutoScalingGroup(m.Context(), &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: &name, MinSize: aws.Int32(1), MaxSize: aws.Int32(1), VPCZoneIdentifier: subnets.Subnets[0].SubnetId,
		LaunchTemplate: &scalingtypes.LaunchTemplateSpecification{LaunchTemplateId: template.LaunchTemplate.LaunchTemplateId, Version: aws.String("1")},
		LifecycleHookSpecificationList: []scalingtypes.LifecycleHookSpecification{{
			LifecycleHookName: aws.String(cluster.ReadyHook), LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_LAUNCHING"), HeartbeatTimeout: aws.Int32(900),
		}},
	})
	m.ok(err)
	id, state := m.member(name)
	m.same("the state before", state, "Pending:Wait")
	seen, err := m.ec2().DescribeInstances(m.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	m.ok(err)
	m.become(seen.Reservations[0].Instances[0], nil)
	m.metadata.set("autoscaling/target-lifecycle-state", "InService")
}

func (m *machine) scaling() *autoscaling.Client { return autoscaling.NewFromConfig(m.config) }

// member is the group's one instance and its state.
func (m *machine) member(group string) (id, state string) {
	m.Helper()
	out, err := m.scaling().DescribeAutoScalingGroups(m.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{group}})
	m.ok(err)
	i := out.AutoScalingGroups[0].Instances[0]
	return *i.InstanceId, string(i.LifecycleState)
}

func (m *machine) secrets() *secretsmanager.Client { return secretsmanager.NewFromConfig(m.config) }
