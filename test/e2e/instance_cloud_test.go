//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/lab/machine"
	"github.com/cincbake/cincbake/test/fakeaws"
	"github.com/cincbake/cincbake/test/imds"
)

// cloud is a fake account whose autoscaling groups start machines: each boots from what was captured when its AMI was made, and
// knows nothing but what the metadata service and the account tell it. Only two files in a machine are the test's own: one says
// where AWS's endpoints are, since the names of the real ones lead elsewhere, and one stands for the hypervisor.
type cloud struct {
	*amazonBench
	nodes    []string // its slots, and api for the pool
	host     machine.Host
	vpc      *vpc
	metadata *imds.Service
	endpoint string // of the account, as machines reach it
	balancer *balancer
	work     string

	mu       sync.Mutex
	policies map[string][]byte // by the machines' role
	trees    map[string]string // by AMI
	all      map[string]*cloudMachine
	disks    map[string]string                                     // loop devices, by volume
	upon     map[string]func(context.Context, *cloudMachine) error // by node: what happens right before its next machine is switched on
	problems []error
}

var _ fakeaws.Machines = (*cloud)(nil)

const cloudRegion = "eu-west-1"

// newCloud starts an account with a network, for a cluster of some nodes.
func newCloud(t *testing.T, nodes ...string) *cloud {
	t.Helper()
	b := newWorkbench(t)
	tree := debianTree(t, b.home)
	host, err := machine.ThisHost()
	if err != nil {
		t.Fatal(err)
	}
	if plugins := os.Getenv("PACKER_PLUGIN_PATH"); plugins != "" {
		b.env = append(b.env, "PACKER_PLUGIN_PATH="+plugins)
	}
	c := &cloud{
		amazonBench: &amazonBench{bench: b, role: "api", machines: newAmazonMachines(t, tree)}, nodes: nodes, host: host, work: t.TempDir(),
		policies: map[string][]byte{}, trees: map[string]string{}, all: map[string]*cloudMachine{}, disks: map[string]string{}, upon: map[string]func(context.Context, *cloudMachine) error{},
	}
	t.Cleanup(func() { c.end(t) })
	c.machines.boot = true
	c.vpc = newVPC(t)
	c.aws = fakeaws.New(fakeaws.Options{Polls: 1, Images: publicImages(), Machines: c, Register: 8 * time.Second, WarmUp: 10 * time.Second})
	t.Cleanup(c.aws.Close)
	at, err := url.Parse(c.aws.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.endpoint = "http://" + c.vpc.forward(t, at.Host)
	c.metadata = imds.New(c.aws)
	listener := c.vpc.listen(t, metadataAddress+":80")
	ctx := t.Context()
	c.vpc.work.Go(func() { _ = c.metadata.Serve(ctx, listener) }) // until the listener is closed
	c.env = append(c.env, "AWS_ACCESS_KEY_ID="+commandKey, "AWS_SECRET_ACCESS_KEY="+amazonSecret, "AWS_SESSION_TOKEN=", "AWS_PROFILE=", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_ENDPOINT_URL="+c.aws.URL, "AWS_POLL_DELAY_SECONDS=1")
	return c
}

// end takes away what the account's own end did not.
func (c *cloud) end(t *testing.T) {
	for id, m := range c.all {
		if err := m.PowerOff(context.Background(), c.host); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		if err := m.Remove(); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	for _, device := range c.disks {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil { //nolint:noctx // it ends at once
			t.Errorf("losetup --detach %s: %v\n%s", device, err, out)
		}
	}
	for _, err := range c.problems {
		t.Error(err)
	}
}

// roles are those of its machines, api first.
func (c *cloud) roles() []string {
	roles := []string{"api"}
	for _, node := range c.nodes {
		if role, _, slot := strings.Cut(node, "-"); slot && !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
	}
	return roles
}

// ec2 is the operator's client.
func (c *cloud) ec2() *ec2.Client {
	return ec2.New(ec2.Options{Region: cloudRegion, BaseEndpoint: &c.aws.URL, Credentials: c.credentials()})
}

// scaling is the operator's client of the groups.
func (c *cloud) scaling() *autoscaling.Client {
	return autoscaling.New(autoscaling.Options{Region: cloudRegion, BaseEndpoint: &c.aws.URL, Credentials: c.credentials()})
}

func (*cloud) credentials() aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider("AKIAOPERATOR", "secret", "")
}

// Start starts an instance: a machine of the cluster if a group launched it, one that bakes otherwise.
func (c *cloud) Start(i fakeaws.Instance, key string) (string, error) {
	if !ofGroup(i) {
		return c.machines.Start(i, key)
	}
	m, err := c.boot(context.Background(), i)
	if err != nil {
		err = fmt.Errorf("instance %s: %w", i.ID, err)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.problems = append(c.problems, err)
		return "", err
	}
	return m.card.Address.String(), nil
}

func ofGroup(i fakeaws.Instance) bool { return i.Tags["aws:autoscaling:groupName"] != "" }

// boot lays an instance out as AWS would, and switches it on.
func (c *cloud) boot(ctx context.Context, i fakeaws.Instance) (*cloudMachine, error) {
	card, err := c.metadata.Add(ctx, i)
	if err != nil {
		return nil, err
	}
	c.vpc.plug(card)
	if err := c.aws.Limit(fakeaws.Caller{Key: imds.KeyOf(i.ID), Instance: i.ID, Policies: [][]byte{c.policies[i.Tags[cluster.TagRole]]}}); err != nil {
		return nil, err
	}
	m := &cloudMachine{Machine: machine.Machine{Unit: "cincbake-e2e-" + i.ID, Dir: filepath.Join(c.work, i.ID)}, instance: i, card: card}
	c.mu.Lock()
	m.Tree = c.trees[i.Image]
	upon := c.upon[m.name()]
	delete(c.upon, m.name())
	c.mu.Unlock()
	if m.Tree == "" {
		return nil, fmt.Errorf("nothing was captured of AMI %s", i.Image)
	}
	if m.volume, m.disk, err = c.volumeOf(ctx, i); err != nil {
		return nil, err
	}
	settings := "[Manager]\nDefaultEnvironment=AWS_ENDPOINT_URL=" + c.endpoint + "\n"
	err = errors.Join(
		m.Prepare(func(dir string) error { return os.Mkdir(dir, 0o700) }), m.DropSeed(), // the lab's way of telling a machine who it is
		m.Put("etc/systemd/system.conf.d/endpoint.conf", []byte(settings), 0o644),
	)
	if err != nil {
		return nil, err
	}
	if upon != nil {
		if err := upon(ctx, m); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	c.all[i.ID] = m
	c.mu.Unlock()
	return m, m.start(ctx, c.host, c.vpc.Path)
}

// volumeOf finds the data volume of an instance's slot, and makes it a device of this host. What is on it stays from machine to
// machine.
func (c *cloud) volumeOf(ctx context.Context, i fakeaws.Instance) (volume, device string, err error) {
	node := i.Tags[cluster.TagNode]
	if node == "" {
		return "", "", nil
	}
	out, err := c.ec2().DescribeVolumes(ctx, &ec2.DescribeVolumesInput{Filters: []types.Filter{{Name: aws.String("tag:" + cluster.TagNode), Values: []string{node}}}})
	if err != nil || len(out.Volumes) == 0 {
		return "", "", err
	}
	volume = aws.ToString(out.Volumes[0].VolumeId)
	c.mu.Lock()
	defer c.mu.Unlock()
	if device := c.disks[volume]; device != "" {
		return volume, device, nil
	}
	file := filepath.Join(c.work, volume)
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, int64(aws.ToInt32(out.Volumes[0].Size))<<30)); err != nil { // it takes only the room that is written to
		return "", "", err
	}
	said, err := exec.CommandContext(ctx, "losetup", "--find", "--show", file).Output()
	if err != nil {
		return "", "", fmt.Errorf("losetup: %w", err)
	}
	c.disks[volume] = strings.TrimSpace(string(said))
	return volume, c.disks[volume], nil
}

// Stop is the power button of a machine that bakes.
func (c *cloud) Stop(id string) error { return c.machines.Stop(id) }

// Restart starts a machine that bakes again.
func (c *cloud) Restart(id string) error { return c.machines.Restart(id) }

// Terminate takes a machine away; its volume stays. AWS presses the power button first, and pulls the plug when that does not help.
func (c *cloud) Terminate(id string) error {
	c.mu.Lock()
	m := c.all[id]
	c.mu.Unlock()
	if m == nil {
		return c.machines.Terminate(id)
	}
	c.balancer.drain(id)
	c.mu.Lock()
	delete(c.all, id)
	c.mu.Unlock()
	defer c.metadata.Remove(id)
	if err := m.Shutdown(context.Background(), c.host); err != nil {
		if err := m.PowerOff(context.Background(), c.host); err != nil {
			return err
		}
	}
	return m.Remove()
}

// Capture keeps what an AMI is made of, for those that boot from it.
func (c *cloud) Capture(id, image string) error {
	tree := filepath.Join(c.work, image)
	err := c.machines.mounted(c.machines.of(id), func(root string) error {
		if out, err := exec.Command("cp", "--archive", root, tree).CombinedOutput(); err != nil { //nolint:noctx // as long as it takes
			return fmt.Errorf("copy what is in %s: %w\n%s", image, err, out)
		}
		return nil
	})
	c.mu.Lock()
	c.trees[image] = tree
	c.mu.Unlock()
	return errors.Join(err, c.machines.Capture(id, image))
}

// machine returns the one of a node, like postgres-1 or api; nil: there is none now.
func (c *cloud) machine(node string) *cloudMachine {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.all {
		if name, _, _ := strings.Cut(m.name(), "/"); name == node {
			return m
		}
	}
	return nil
}

// instance returns the machine that an instance is; nil: there is none.
func (c *cloud) instance(id string) *cloudMachine {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[id]
}

// running are all machines of the cluster.
func (c *cloud) running() []*cloudMachine {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.all))
}

// group is an instance of a node's autoscaling group that is to stay, and its state; of several, one that is not in service, if
// any is not. To ask is what lets the account go on.
func (c *cloud) group(t *testing.T, node string) (instance, state string) {
	t.Helper()
	out, err := c.scaling().DescribeAutoScalingGroups(t.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{"cincbake-" + cloudName + "-" + node}})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range out.AutoScalingGroups {
		for _, i := range g.Instances {
			if now := string(i.LifecycleState); !strings.HasPrefix(now, "Terminating") && (state == "" || state == "InService") {
				instance, state = aws.ToString(i.InstanceId), now
			}
		}
	}
	return instance, state
}

// until waits until something holds of the account or its machines. When it does not, everything is told that may say why.
func (c *cloud) until(t *testing.T, within time.Duration, what string, nodes []string, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > within {
			var told strings.Builder
			for _, node := range nodes {
				instance, state := c.group(t, node)
				fmt.Fprintf(&told, "%s: %s is %s\n", node, instance, state)
				if m := c.machine(node); m != nil && state != "InService" {
					told.WriteString(m.diagnosis(c.host))
				}
			}
			c.mu.Lock()
			problems := errors.Join(c.problems...)
			c.mu.Unlock()
			t.Fatalf("%s: not within %v; %v\n%s", what, within, problems, told.String())
		}
		time.Sleep(250 * time.Millisecond)
	}
	return time.Since(began)
}

// inService waits until the groups of some nodes have taken their machines, which a machine's own word brings about alone.
func (c *cloud) inService(t *testing.T, within time.Duration, nodes ...string) time.Duration {
	t.Helper()
	return c.until(t, within, "in service", nodes, func() bool {
		return !slices.ContainsFunc(nodes, func(node string) bool {
			instance, state := c.group(t, node)
			return instance == "" || state != "InService"
		})
	})
}

// replace ends the machine of a node, and waits until its group has another one in service. What happens right before that
// is switched on, upon does.
func (c *cloud) replace(t *testing.T, node string, upon func(context.Context, *cloudMachine) error) *cloudMachine {
	t.Helper()
	old := c.machine(node)
	c.mu.Lock()
	c.upon[node] = upon
	c.mu.Unlock()
	if _, err := c.ec2().TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{old.instance.ID}}); err != nil {
		t.Fatal(err)
	}
	c.until(t, time.Minute, "the old machine's end", []string{node}, func() bool {
		out, err := c.ec2().DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{old.instance.ID}})
		return err == nil && out.Reservations[0].Instances[0].State.Name == types.InstanceStateNameTerminated
	})
	c.inService(t, 5*time.Minute, node)
	fresh := c.machine(node)
	if fresh.instance.ID == old.instance.ID {
		t.Fatalf("%s is the same machine as before", node)
	}
	return fresh
}

// operator runs a cincbake within the network, as from a machine of the operator's there.
func (c *cloud) operator(t *testing.T, limit time.Duration, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	command := exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + c.vpc.Path, filepath.Join(c.home, "bin/cincbake")}, args...)...)
	command.Dir, command.Env = c.dir, append(slices.Clone(c.env), "AWS_ENDPOINT_URL="+c.endpoint)
	var said strings.Builder
	command.Stderr = &said
	out, err := command.Output()
	if err != nil {
		err = fmt.Errorf("cincbake %s: %w\n%s", strings.Join(args, " "), err, said.String())
	}
	return string(out), err
}
