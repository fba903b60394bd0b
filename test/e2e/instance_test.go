//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/launch/iam"
	"github.com/cincbake/cincbake/operate"
	"github.com/cincbake/cincbake/test/fakeaws"
	"github.com/cincbake/cincbake/test/fakeaws/rights"
	"github.com/cincbake/cincbake/test/imds"
)

// cloudName names the suites' clusters on AWS.
const cloudName = "cloud"

// searchPassword is what the account's search is asked with.
const searchPassword = "planted-password-of-the-search"

// TestInstances is what AWS's machines do by themselves: AMIs are baked, promoted and launched in a fake account by the commands
// that one types, and its autoscaling groups start machines from them that boot by cloud-init's own Ec2 datasource. They
// learn who they are from the metadata service, get their secrets from Secrets Manager by their role, find each other by tags,
// and say to their groups that they are ready. The database is the cluster's own, the search is the account's.
func TestInstances(t *testing.T) {
	c := newCloud(t, "heartbeat-1", "postgres-1", "postgres-2", "api")
	c.writeSpec(t, 1, ownDatabase, c.accountSearch)
	c.tell(t, []chapter{
		{"AMIs are baked, recorded and promoted", testCloudBake},
		{"groups launch machines that get ready", testCloudLaunch},
		{"what cloud-init found", testCloudInit},
		{"what the machines asked for", testCloudCalls},
		{"the machines are a cluster", testCloudWhole},
		{"a metadata service that is ten seconds late", testCloudLate},
		{"an account that has too many calls", testCloudThrottled},
		{"the API pool grows", testCloudGrow},
		{"an image is rolled out, and no client notices", testCloudRollout},
		{"a bad image ends the rollout at its first machine, and goes", testCloudBadImage},
		{"no secret is where none may be", testCloudSecrets},
	})
}

// chapter is a part of a suite's story, which goes on from the one before.
type chapter struct {
	name string
	run  func(*testing.T, *cloud)
}

func (c *cloud) tell(t *testing.T, story []chapter) {
	t.Helper()
	t.Cleanup(func() { t.Logf("figures:\n  %s", strings.Join(c.figures, "\n  ")) })
	for _, part := range story {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, c) }) {
			t.Fatalf("the story ends here")
		}
	}
}

// accountSearch is the account's, which it starts.
func (c *cloud) accountSearch(t *testing.T, _ []string) string {
	t.Helper()
	listener := c.vpc.listen(t, net.JoinHostPort(vpcPrefix().Addr().String(), "0"))
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c.write(t, "search.pem", string(serveSearch(t, listener, searchPassword)))
	c.env = append(c.env, "CINCBAKE_SEARCH_PASSWORD="+searchPassword)
	return fmt.Sprintf("opensearch: {external: {url: \"https://%s\", nodes: 1}}\ncaCertificates: [search.pem]", listener.Addr())
}

// A tier is how a spec has it, in the account's subnets.
type tier func(t *testing.T, subnets []string) string

// ownDatabase is one of the cluster's own.
func ownDatabase(_ *testing.T, subnets []string) string {
	return fmt.Sprintf(`postgres: {version: 13, instanceType: m6i.large, volume: {size: 8}, nodes: [{subnet: %s}, {subnet: %s}]}
heartbeat: {subnet: %s, instanceType: m6i.large}`, subnets[0], subnets[1], subnets[2])
}

// writeSpec writes the cluster's file: a pool of so many API nodes at first, and other tiers. How many API nodes there may be is
// in the database's settings too, and stays as it is.
func (c *cloud) writeSpec(t *testing.T, pool int, tiers ...tier) {
	t.Helper()
	subnets, err := c.ec2().DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{})
	if err != nil {
		t.Fatal(err)
	}
	groups, err := c.ec2().DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{})
	if err != nil {
		t.Fatal(err)
	}
	cinc, _ := c.standins(t)
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c.aws.AddBucket(cloudRegion, "records")
	group := aws.ToString(groups.SecurityGroups[0].GroupId)
	var profiles, guards []string
	for _, role := range c.roles() {
		c.aws.AddInstanceProfile(cloudName + "-" + role)
		profiles = append(profiles, role+": "+cloudName+"-"+role)
		guards = append(guards, role+": ["+group+"]")
	}
	target := c.aws.AddTargetGroup(cloudRegion, fakeaws.TargetGroup{Name: cloudName})
	c.balancer = newBalancer(t, c, target)
	var places, others []string
	for _, subnet := range subnets.Subnets[:3] {
		places = append(places, aws.ToString(subnet.SubnetId))
	}
	for _, one := range tiers {
		others = append(others, one(t, places))
	}
	c.write(t, "cluster.yaml", fmt.Sprintf(`apiVersion: cincbake/v1
kind: Cluster
name: %s
platform: aws
region: %s
domain: chef.example.com
image: {os: debian-13}
network: {prefix: %s, subnets: [%s]}
cinc:
  version: 15.10.91
  package: {file: %s}
lb: nlb
api: {min: %d, max: 4, instanceType: m6i.large}
%s
secrets: {file: secrets.json}
aws:
  bucket: records
  key: arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-00000000aaaa
  instanceProfiles: {%s}
  securityGroups: {%s}
  targetGroups: [%q]
`, cloudName, cloudRegion, vpcPrefix().Masked(), strings.Join(places, ", "), cinc, pool, strings.Join(others, "\n"), strings.Join(profiles, ", "), strings.Join(guards, ", "), target))
}

// limit holds everybody to the policies that cincbake iam writes: each machine to its role's, and whoever runs commands to all
// of those that are for commands.
func (c *cloud) limit(t *testing.T) {
	t.Helper()
	_, r := c.resolved(t)
	operator := fakeaws.Caller{Key: commandKey}
	for _, role := range []string{iam.Bake, iam.Promote, iam.Launch, iam.Operate, iam.Secrets} {
		operator.Policies = append(operator.Policies, rights.Policy(t, r, role))
	}
	if err := c.aws.Limit(operator); err != nil {
		t.Fatal(err)
	}
	for _, role := range c.roles() {
		c.policies[role] = rights.Policy(t, r, role)
	}
}

func testCloudBake(t *testing.T, c *cloud) {
	c.must(t, time.Minute, "init", "--templates", c.dir)
	c.must(t, time.Minute, "validate")
	c.limit(t)
	c.adapt(t, 60)
	began := time.Now()
	c.baked = map[string]image{}
	// One at a time: what stands for instances that bake has one group of processes for all, and init waits for its own to end.
	for _, made := range ask[[]image](t, c.bench, 15*time.Minute, c.args(append(c.roles()[1:], "--parallel", "1")...)...) {
		c.baked[made.Role] = made
		c.figure(t, "%s: baked in %.1f s", made.Role, made.Seconds)
	}
	c.figure(t, "%d AMIs, one after the other: %.1f s", len(c.baked), time.Since(began).Seconds())
	for _, role := range c.roles() {
		id := c.baked[role].Image
		c.must(t, time.Minute, "images", "push", id, "--images", c.images)
		// A trial boots a tree of files or a disk, and an AMI is neither here.
		c.must(t, time.Minute, "images", "promote", id, "stable", "--images", "ec2", "--untried")
	}
}

func testCloudLaunch(t *testing.T, c *cloud) {
	c.must(t, time.Minute, "secrets", "init")
	c.must(t, time.Minute, "secrets", "push")
	began := time.Now()
	c.must(t, 3*time.Minute, "launch", "apply")
	c.inService(t, 8*time.Minute, c.nodes...)
	c.figure(t, "all machines in service %.1f s after launch apply began", time.Since(began).Seconds())
	for _, node := range c.nodes {
		c.ready(t, node)
	}
}

// ready looks at a machine that its group has taken, and returns how long its boot took.
func (c *cloud) ready(t *testing.T, node string) {
	t.Helper()
	m := c.machine(node)
	status, err := m.status(t.Context(), c.host)
	if err != nil || status.Result != cluster.ResultReady {
		t.Errorf("%s: its group has it in service, and it says %+v, %v", node, status, err)
	}
	var rows []string
	for _, phase := range status.Phases {
		rows = append(rows, fmt.Sprintf("%s %.1f/%.1f", phase.Name, phase.Seconds, phase.Waited))
	}
	c.figure(t, "%s: ready %.1f s after power-on; seconds/waited: %s", m.name(), status.Updated.Sub(m.began).Seconds(), strings.Join(rows, ", "))

	out, err := c.ec2().DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{m.instance.ID}})
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string]string{}
	for _, tag := range out.Reservations[0].Instances[0].Tags {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	same(t, "the content of "+node, tags[cluster.TagContent], c.baked[m.instance.Tags[cluster.TagRole]].ContentDigest)
	completed := 0
	for _, call := range c.aws.Calls("CompleteLifecycleAction") {
		if call.Params.String("InstanceId") == m.instance.ID && call.Code == "" {
			completed++
			same(t, "the hook of "+node, []string{call.Params.String("AutoScalingGroupName"), call.Params.String("LifecycleHookName"), call.Params.String("LifecycleActionResult")},
				[]string{"cincbake-" + cloudName + "-" + node, "cincbake-ready", "CONTINUE"})
		}
	}
	same(t, "how often "+node+" completed it", completed, 1)
}

// testCloudInit looks at what cloud-init made of the metadata service.
func testCloudInit(t *testing.T, c *cloud) {
	for _, node := range c.nodes {
		m := c.machine(node)
		same(t, "what cloud-init came to on "+node, m.cloudInit(t, c.host), cloudInit{Datasource: "DataSourceEc2Local"})
		c.sealed(t, m)
		same(t, node+"'s cloud", m.must(t, c.host, "cat", "/run/cloud-init/cloud-id"), "aws")
		same(t, node+"'s instance", m.must(t, c.host, "cat", "/var/lib/cloud/data/instance-id"), m.instance.ID)
		if got := m.must(t, c.host, "ip", "-brief", "-4", "address", "show", "ens5"); !strings.Contains(got, m.card.Address.String()+"/") {
			t.Errorf("%s: its address is %q, and the account says %s", node, got, m.card.Address)
		}
		tokens, asked := 0, c.metadata.Requests(m.instance.ID)
		for _, r := range asked {
			if r.Status == http.StatusUnauthorized {
				t.Errorf("%s asked without a token: %s", node, r)
			}
			if r.Method == http.MethodPut {
				tokens++
			}
		}
		c.figure(t, "%s: %d questions to the metadata service, %d for a token", node, len(asked), tokens)
	}
}

// sealed checks that a machine needs no metadata service any more: cloud-init is switched off for later boots.
func (c *cloud) sealed(t *testing.T, m *cloudMachine) {
	t.Helper()
	var said string
	var err error
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); time.Sleep(250 * time.Millisecond) {
		if said, err = m.run(t.Context(), c.host, "test", "-e", "/etc/cloud/cloud-init.disabled"); err == nil {
			return
		}
	}
	unit, _ := m.run(t.Context(), c.host, "systemctl", "--no-pager", "status", "cincbake-scrub.service")
	t.Errorf("%s: cloud-init stays on: %v %s\n%s", m.name(), err, said, unit)
}

// testCloudCalls looks at what machines asked the account for: their own secret and volume, and their peers.
func testCloudCalls(t *testing.T, c *cloud) {
	read := map[string]int{}
	for _, call := range c.aws.Calls("GetSecretValue") {
		if call.Code == "" {
			read[call.Params.String("SecretId")]++
		}
	}
	want := map[string]int{}
	for _, node := range c.nodes {
		want["cincbake/"+cloudName+"/"+node] = 1
	}
	for name, times := range read { // pushing reads what is there already, which was nothing
		if want[name] == 0 || times != 1 {
			t.Errorf("secret %s was read %d times", name, times)
		}
	}
	same(t, "secrets that were read", read, want)
	attached := map[string]string{}
	for _, call := range c.aws.Calls("AttachVolume") {
		if call.Code == "" {
			attached[call.Params.String("InstanceId")] = call.Params.String("VolumeId")
		}
	}
	wanted := map[string]string{}
	for _, node := range []string{"postgres-1", "postgres-2"} {
		m := c.machine(node)
		wanted[m.instance.ID] = m.volume
		if !strings.Contains(m.must(t, c.host, "cat", "/proc/self/mountinfo"), " "+nitroPath(m.volume)+" ") {
			t.Errorf("%s: its volume is nowhere", node)
		}
	}
	same(t, "volumes that machines attached", attached, wanted)
	if !slices.ContainsFunc(c.aws.Calls("DescribeInstances"), func(call fakeaws.Call) bool {
		return len(call.Params.List("Filter")) > 0 && call.Params.List("Filter")[0].String("Name") == "tag:"+cluster.TagCluster
	}) {
		t.Error("nobody looked for peers by tags")
	}
	for _, call := range c.aws.Calls("") {
		if call.Code == "AccessDenied" || call.Code == "UnauthorizedOperation" || call.Code == "AuthFailure" {
			t.Errorf("denied: %s", call)
		}
	}
}

// testCloudWhole asks the cluster how it is, from within the network.
func testCloudWhole(t *testing.T, c *cloud) {
	roles := map[string]int{}
	for _, n := range c.status(t) {
		if n.Status.Database != nil {
			roles[n.Status.Database.Role]++
		}
		if q := n.Status.Quorum; q != nil && q.Members != 3 {
			t.Errorf("%s: etcd has %d members", n.Node.Name, q.Members)
		}
	}
	same(t, "databases", roles, map[string]int{"primary": 1, "sync_standby": 1})
	if said, err := c.operator(t, time.Minute, "launch", "status"); err != nil {
		t.Errorf("launch status: %v\n%s", err, said)
	}
	c.sql(t, "create table kept (value int); insert into kept values (42)")
}

// primary is the node whose database is primary.
func (c *cloud) primary(t *testing.T) string {
	t.Helper()
	for _, n := range c.status(t) {
		if n.Primary() {
			return n.Node.Name
		}
	}
	t.Fatal("nobody is primary")
	return ""
}

// status is what the machines say of themselves.
func (c *cloud) status(t *testing.T) []operate.NodeStatus {
	t.Helper()
	said, err := c.operator(t, 6*time.Minute, "status", "--until-whole", "5m", "-o", "json")
	if err != nil {
		for _, node := range c.nodes {
			t.Log(c.machine(node).diagnosis(c.host))
		}
		t.Fatalf("%v\n%s", err, said)
	}
	return decode[status](t, said).Nodes
}

// sql runs a statement on the primary.
func (c *cloud) sql(t *testing.T, statement string) string {
	t.Helper()
	return c.machine(c.primary(t)).must(t, c.host, "runuser", "--user", "postgres", "--",
		"psql", "--host=/run/postgresql", "--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--command="+statement)
}

// testCloudLate replaces a machine while the metadata service is deaf to the new one for ten seconds, and takes the tag off
// it that says what it is.
func testCloudLate(t *testing.T, c *cloud) {
	const by = 10 * time.Second
	m := c.replace(t, "heartbeat-1", func(ctx context.Context, m *cloudMachine) error {
		c.metadata.Late(m.instance.ID, by)
		_, err := c.ec2().DeleteTags(ctx, &ec2.DeleteTagsInput{Resources: []string{m.instance.ID}, Tags: []types.Tag{{Key: aws.String(cluster.TagContent)}}})
		return err
	})
	c.ready(t, "heartbeat-1")
	seen := m.cloudInit(t, c.host)
	same(t, "the datasource", seen.Datasource, "DataSourceEc2Local")
	for _, problem := range seen.Problems {
		if !strings.HasPrefix(problem, "warning: ") { // that it asked in vain, and went on
			t.Errorf("cloud-init: %s", problem)
		}
	}
	asked := c.metadata.Requests(m.instance.ID)
	first := slices.IndexFunc(asked, func(r imds.Request) bool { return r.Status == http.StatusOK })
	if first < 1 || asked[first].Time.Sub(asked[0].Time) < by {
		t.Errorf("question %d of %d was the first with an answer", first+1, len(asked))
	}
	c.sealed(t, m)
	tagged := slices.ContainsFunc(c.aws.Calls("CreateTags"), func(call fakeaws.Call) bool {
		return slices.Equal(call.Params.Strings("ResourceId"), []string{m.instance.ID}) && call.Params.Tags("Tag")[cluster.TagContent] != ""
	})
	if !tagged {
		t.Error("the machine did not say what it is")
	}
}

// throttled are the calls that are refused while a machine boots, and how often.
func throttled() map[string]int {
	return map[string]int{"GetSecretValue": 3, "DescribeInstances": 4, "DescribeVolumes": 3, "AttachVolume": 2, "CompleteLifecycleAction": 3}
}

// testCloudThrottled replaces a replica while the account refuses calls, and looks for what its volume held.
func testCloudThrottled(t *testing.T, c *cloud) {
	replica := "postgres-2"
	if c.primary(t) == replica {
		replica = "postgres-1"
	}
	before := c.machine(replica)
	m := c.replace(t, replica, func(context.Context, *cloudMachine) error {
		for action, times := range throttled() {
			c.aws.Inject(fakeaws.Throttle(action, times))
		}
		return nil
	})
	struck := map[string]int{}
	for _, call := range c.aws.Calls("") {
		if call.Fault == "throttle" {
			struck[call.Action]++
		}
	}
	same(t, "what was refused", struck, throttled())
	c.ready(t, replica)
	c.sealed(t, m)
	same(t, "the slot's volume", m.volume, before.volume)
	same(t, "the slot's address", m.card.Address.String(), before.card.Address.String())
	same(t, "what was written before", c.sql(t, "select value from kept"), "42")
}

// testCloudSecrets looks for secrets where everybody may look.
func testCloudSecrets(t *testing.T, c *cloud) {
	type pair struct{ Key string }
	bundle := decode[struct {
		CA, Operator         pair
		Nodes                map[string]pair
		Postgres, OpenSearch map[string]string
	}](t, c.text(t, "secrets.json"))
	planted := []plant{{name: "the search's password", value: []byte(searchPassword)}, {name: "the database's password", value: []byte(databasePassword)}}
	key := func(name string, p pair) {
		lines := strings.Split(p.Key, "\n")
		if len(lines) < 3 {
			t.Fatalf("the bundle has another form: %s is no key", name)
		}
		planted = append(planted, plant{name: name, value: []byte(lines[1])}) // a line in its middle
	}
	key("the CA's key", bundle.CA)
	key("the operator's key", bundle.Operator)
	for name, p := range bundle.Nodes {
		key("the key of "+name, p)
	}
	for name, value := range bundle.Postgres {
		planted = append(planted, plant{name: "the password " + name, value: []byte(value)})
	}
	none := func(plant) bool { return false }
	c.bench.mu.Lock()
	search(t, planted, "what the commands printed", c.spoken.Bytes(), none)
	c.bench.mu.Unlock()
	for _, node := range c.nodes {
		m := c.machine(node)
		search(t, planted, "the user data of "+node, m.instance.UserData, none)
		unpacked := m.must(t, c.host, "cat", "/etc/cincbake/node.json") // what the user data hold, maybe compressed
		search(t, planted, "the node document of "+node, []byte(unpacked), none)
		for key, value := range m.instance.Tags {
			search(t, planted, "the tag "+key+" of "+node, []byte(value), none)
		}
		below(t, planted, filepath.Join(m.Dir, "layer/upper/var/log"), none)
		below(t, planted, m.Console(), none)
	}
}
