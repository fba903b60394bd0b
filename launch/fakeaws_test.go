package launch

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/internal/sdk"
	"github.com/cincbake/cincbake/test/fakeaws"
	"github.com/cincbake/cincbake/test/fakeaws/rights"
)

const region = "eu-west-1"

// The access keys. The test's own may do everything; the others may do what their roles may.
const (
	anyone   = "AKIAEXAMPLE"
	launcher = "AKIALAUNCH"
	operator = "AKIAOPERATE"
)

// wired is a cluster in an account that is asked by the real clients, over the wire, as whoever launches it.
type wired struct {
	*Fleet
	server *fakeaws.Server
	anyone Services
	// operated is the fleet as whoever operates it has it.
	operated *Fleet
}

func newWired(t *testing.T) wired {
	t.Helper()
	return newWiredWith(t, cluster.Managed, fakeaws.Options{Boot: 30 * time.Second})
}

// services are the real clients, with an access key.
func services(server *fakeaws.Server, key string) Services {
	return servicesWithin(server, key, time.Minute)
}

// servicesWithin are clients that give up a try of a call after so long.
func servicesWithin(server *fakeaws.Server, key string, try time.Duration) Services {
	settings := aws.Config{
		// A connection per call: one that was given up at a deadline may otherwise take the next call along.
		HTTPClient: sdk.ReadOnly(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.DisableKeepAlives = true }).WithTimeout(try)),
		Region:     region, BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider(key, "secret", ""),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			})
		},
	}
	return Services{
		ec2.NewFromConfig(settings), autoscaling.NewFromConfig(settings), elasticloadbalancingv2.NewFromConfig(settings), ssm.NewFromConfig(settings), iam.NewFromConfig(settings), servicequotas.NewFromConfig(settings), sts.NewFromConfig(settings),
	}
}

func newWiredWith(t *testing.T, topology cluster.Topology, o fakeaws.Options) wired {
	t.Helper()
	server := fakeaws.New(o)
	t.Cleanup(server.Close)
	all := services(server, anyone)
	client := all.EC2.(*ec2.Client)
	subnets, err := client.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{})
	if err != nil {
		t.Fatal(err)
	}
	// What the examples name, and what there is instead.
	names := []string{
		"t3.small", "m6i.large",
		"subnet-0a1b2c3d4e5f60718", *subnets.Subnets[0].SubnetId, "subnet-1b2c3d4e5f6071829", *subnets.Subnets[1].SubnetId,
		"subnet-2c3d4e5f607182930", *subnets.Subnets[2].SubnetId,
		"arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/prod/0123456789abcdef", server.AddTargetGroup(region, fakeaws.TargetGroup{Name: "prod"}),
	}
	for i, role := range cluster.Roles() {
		server.AddInstanceProfile("prod-" + string(role))
		group, err := client.CreateSecurityGroup(t.Context(), &ec2.CreateSecurityGroupInput{GroupName: aws.String(string(role)), Description: aws.String("its machines")})
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("sg-00000000000000a%02d", i+1), *group.GroupId)
	}
	w := wired{
		&Fleet{Cluster: resolve(t, strings.NewReplacer(names...).Replace(specOf(t, topology))), Poll: 5 * time.Millisecond, Services: services(server, launcher)},
		server, all, nil,
	}
	operated := *w.Fleet
	operated.Services = services(server, operator)
	w.operated = &operated
	w.limit(t)
	return w
}

// limit holds those who launch and operate the cluster to what it says by now.
func (w wired) limit(t *testing.T) {
	t.Helper()
	rights.Limit(t, w.server, fakeaws.Caller{Key: launcher}, "launch", w.Cluster)
	rights.Limit(t, w.server, fakeaws.Caller{Key: operator}, "operate", w.Cluster)
}

// promote makes a new API image, and points the channel to it.
func (w wired) promote(generation int) (id string) { return w.promoteFor(cluster.RoleAPI, generation) }

func (w wired) promoteFor(role cluster.Role, generation int) (id string) {
	image := fakeaws.Image{Name: fmt.Sprintf("%s-%d", role, generation)}
	image.Tags = fakeaws.Tags{
		cluster.TagCluster: "prod", cluster.TagRole: string(role), cluster.TagRecipe: w.Cluster.Recipe(role).Digest(), cluster.TagContent: fmt.Sprintf("sha256:%064x", generation),
	}
	id = w.server.SeedImages(region, image)[0]
	w.server.SetParameter(region, cluster.ChannelParameter("prod", role, "stable"), id)
	return id
}

// changes are the calls that were made after the first n and that change something.
func (w wired) changes(n int) (list []string) {
	for _, call := range w.server.Calls("")[n:] {
		if !strings.HasPrefix(call.Action, "Describe") && !strings.HasPrefix(call.Action, "Get") && !strings.HasPrefix(call.Action, "Simulate") {
			list = append(list, call.Action)
		}
	}
	return list
}

func TestOverTheWire(t *testing.T) {
	w := newWired(t)
	made := len(w.server.Calls(""))
	first := w.promote(1)
	plan, err := w.Plan(t.Context(), imagesOf(t, w.Fleet))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Preflight(t.Context(), plan); err != nil {
		t.Error(err)
	}
	if changed := w.changes(made); len(changed) > 0 {
		t.Errorf("planning changed something: %v", changed)
	}
	apply(t, w.Fleet)
	before := len(w.server.Calls(""))
	if again := apply(t, w.Fleet); len(again) > 0 || len(w.changes(before)) > 0 {
		t.Errorf("applied again: %v, %v", again, w.changes(before))
	}
	_, land := w.server.Fly()
	t.Cleanup(land)
	rollout := Rollout{Fleet: w.operated, Within: 2 * time.Minute, Rest: time.Second}
	settled := func(image string) {
		t.Helper()
		err := w.await(t.Context(), 2*time.Minute, func(ctx context.Context) (string, error) {
			status, err := w.operated.Status(ctx)
			if err != nil || status.Green() {
				return "", err
			}
			return fmt.Sprintf("%+v", status), nil
		})
		status, _ := w.operated.Status(t.Context())
		if err != nil || status.Groups[0].Image != image {
			t.Errorf("it is not green with %s: %v, %+v", image, err, status)
		}
	}
	settled(first)

	second := w.promote(2)
	apply(t, w.Fleet)
	if err := rollout.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled(second)

	bad := w.promote(3)
	w.server.SpoilImage(bad)
	apply(t, w.Fleet)
	broken := rollout
	broken.Within = 500 * time.Millisecond
	err = broken.Run(t.Context())
	if exit.CodeOf(err) != exit.TimedOut || !strings.Contains(err.Error(), "no machine got ready within 500ms") || !strings.Contains(err.Error(), "cincbake launch rollback api") || strings.Contains(err.Error(), "Cancelling") {
		t.Errorf("a bad image: %v", err)
	}
	state, err := w.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	good := 0
	for _, i := range state.Groups["cincbake-prod-api"].Instances {
		if i.Version == 2 && i.State == "InService" {
			good++
		}
	}
	if good < 1 {
		t.Errorf("the bad image took %d of 2 good machines along: %+v", 2-good, state.Groups)
	}
	back := Rollback{Rollout: rollout}
	back.Roles = []cluster.Role{cluster.RoleAPI}
	steps, err := back.Plan(t.Context())
	if err != nil || len(steps) != 1 || steps[0].To != 2 || steps[0].Image != second {
		t.Fatalf("the way back is %+v, %v", steps, err)
	}
	if err := back.Run(t.Context(), steps); err != nil {
		t.Fatal(err)
	}
	settled(second)
	allowed(t, w.server)
	if len(w.server.Calls("TerminateInstanceInAutoScalingGroup")) == 0 {
		t.Error("the way back waited for the hook of a machine that never gets ready")
	}
	if unused := w.server.Unused(operator); len(unused) > 0 {
		t.Errorf("operating is allowed what it has no need of: %q", unused)
	}
}

func TestPreflightOverTheWire(t *testing.T) {
	w := newWired(t)
	w.promote(1)
	w.server.Forbid("autoscaling:CreateAutoScalingGroup")
	w.server.SetQuota(region, "ec2", "L-1216C47A", 4)
	w.server.Lack("eu-west-1b", "m6i.xlarge")
	w.Cluster.AWS.InstanceProfiles[cluster.RoleAPI] = "gone"
	w.Cluster.AWS.SecurityGroups[cluster.RoleAPI] = []string{"sg-00000000000000fff"}
	w.limit(t)
	plan, err := w.Plan(t.Context(), imagesOf(t, w.Fleet))
	if err != nil {
		t.Fatal(err)
	}
	err = w.Preflight(t.Context(), plan)
	if exit.CodeOf(err) != exit.Missing {
		t.Fatalf("got %v", err)
	}
	for _, part := range []string{
		"sg-00000000000000fff", "m6i.xlarge are not offered in eu-west-1b", "no instance profile gone", "quota is 4", "may not call autoscaling:CreateAutoScalingGroup",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("nothing is said of %q:\n%v", part, err)
		}
	}
}

// A whole cluster with slots is launched, rolled out and brought back by those who may do no more than their roles: interfaces
// and volumes are made and changed, hooks and targets too.
func TestSlotsOverTheWire(t *testing.T) {
	w := newWiredWith(t, cluster.SelfHosted, fakeaws.Options{Boot: 30 * time.Second})
	roles := rolesOf(w.Cluster)
	for _, role := range roles {
		w.promoteFor(role, 1)
	}
	plan, err := w.Plan(t.Context(), imagesOf(t, w.Fleet))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Preflight(t.Context(), plan); err != nil {
		t.Error(err)
	}
	apply(t, w.Fleet)

	w.meddle(t)
	before := len(w.server.Calls(""))
	apply(t, w.Fleet)
	for _, action := range []string{"ModifyNetworkInterfaceAttribute", "PutLifecycleHook", "AttachLoadBalancerTargetGroups", "DetachLoadBalancerTargetGroups"} {
		if !slices.Contains(w.changes(before), action) {
			t.Errorf("applying does not call %s: %v", action, w.changes(before))
		}
	}
	if again := apply(t, w.Fleet); len(again) > 0 {
		t.Errorf("applied again: %+v", again)
	}
	if status, err := w.operated.Status(t.Context()); err != nil || len(status.Groups) != len(w.Cluster.Nodes) {
		t.Errorf("the status is %+v, %v", status, err)
	}
	w.Keep = 1
	for generation := 2; generation <= 4; generation++ {
		for _, role := range roles {
			w.promoteFor(role, generation)
		}
		apply(t, w.Fleet)
	}
	// As the rollout of a slot does.
	for id := range w.server.GroupInstances(region, w.Cluster.GroupName(w.Cluster.NodesOf(cluster.RolePostgres)[0])) {
		if _, err := w.operated.AutoScaling.TerminateInstanceInAutoScalingGroup(t.Context(), &autoscaling.TerminateInstanceInAutoScalingGroupInput{
			InstanceId: &id, ShouldDecrementDesiredCapacity: aws.Bool(false),
		}); err != nil {
			t.Error(err)
		}
	}
	allowed(t, w.server)
	if unused := w.server.Unused(launcher); len(unused) > 0 {
		t.Errorf("launching is allowed, and has no need of: %q", unused)
	}
}

// meddle changes by hand what is to be changed back: the spec's security groups of the databases, the pool's hook, its targets.
func (w wired) meddle(t *testing.T) {
	t.Helper()
	groups := w.Cluster.AWS.SecurityGroups
	groups[cluster.RolePostgres] = append(slices.Clone(groups[cluster.RolePostgres]), groups[cluster.RoleAPI]...)
	api := w.Cluster.GroupName(w.Cluster.NodesOf(cluster.RoleAPI)[0])
	client := w.anyone.AutoScaling.(*autoscaling.Client)
	other := w.server.AddTargetGroup(region, fakeaws.TargetGroup{Name: "other"})
	if _, err := client.PutLifecycleHook(t.Context(), &autoscaling.PutLifecycleHookInput{AutoScalingGroupName: &api, LifecycleHookName: aws.String(cluster.ReadyHook), LifecycleTransition: aws.String(hookTransition), HeartbeatTimeout: aws.Int32(60)}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.AttachLoadBalancerTargetGroups(t.Context(), &autoscaling.AttachLoadBalancerTargetGroupsInput{AutoScalingGroupName: &api, TargetGroupARNs: []string{other}}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.DetachLoadBalancerTargetGroups(t.Context(), &autoscaling.DetachLoadBalancerTargetGroupsInput{AutoScalingGroupName: &api, TargetGroupARNs: w.Cluster.AWS.TargetGroups}); err != nil {
		t.Fatal(err)
	}
}

// allowed checks that nobody was refused a call.
func allowed(t *testing.T, server *fakeaws.Server) {
	t.Helper()
	for _, call := range server.Calls("") {
		if strings.HasPrefix(call.Code, "Unauthorized") || strings.HasPrefix(call.Code, "AccessDenied") {
			t.Errorf("%s may not: %s", call.Key, call)
		}
	}
}
