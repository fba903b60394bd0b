package fakeaws_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/test/fakeaws"
)

// fleet is a group of three, of a template whose version 1 is of the image good, and 2 of bad.
type fleet struct {
	account
	c         *autoscaling.Client
	template  string
	good, bad string
}

func newFleet(t *testing.T, o fakeaws.Options, change func(*autoscaling.CreateAutoScalingGroupInput)) fleet {
	t.Helper()
	began := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	o.Now = func() time.Time { return began }
	f := fleet{account: newAccount(t, o)}
	ctx, client := t.Context(), f.ec2()
	f.c = autoscaling.NewFromConfig(f.sdk())
	images := f.server.SeedImages(f.region, fakeaws.Image{Name: "api-1"}, fakeaws.Image{Name: "api-2"})
	f.good, f.bad = images[0], images[1]
	group := f.must("DescribeSecurityGroups").one("groupId")
	f.template = *ok(client.CreateLaunchTemplate(ctx, &ec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("api"), LaunchTemplateData: wholeTemplate(f.good, group)}))(t).LaunchTemplate.LaunchTemplateId
	ok(client.CreateLaunchTemplateVersion(ctx, &ec2.CreateLaunchTemplateVersionInput{LaunchTemplateId: &f.template, LaunchTemplateData: wholeTemplate(f.bad, group)}))(t)
	in := &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String("api"), MinSize: aws.Int32(1), MaxSize: aws.Int32(6), DesiredCapacity: aws.Int32(3), VPCZoneIdentifier: aws.String(f.subnets()),
		LaunchTemplate: f.version("1"), Tags: []types.Tag{{Key: aws.String("role"), Value: aws.String("api"), PropagateAtLaunch: aws.Bool(true)}, {Key: aws.String("own"), Value: aws.String("1")}},
	}
	if change != nil {
		change(in)
	}
	ok(f.c.CreateAutoScalingGroup(ctx, in))(t)
	return f
}

// subnets are all there are, as groups name them.
func (f fleet) subnets() string {
	var ids []string
	for _, s := range ok(f.ec2().DescribeSubnets(f.t.Context(), &ec2.DescribeSubnetsInput{}))(f.t).Subnets {
		ids = append(ids, *s.SubnetId)
	}
	return strings.Join(ids, ",")
}

func (f fleet) version(number string) *types.LaunchTemplateSpecification {
	return &types.LaunchTemplateSpecification{LaunchTemplateId: &f.template, Version: &number}
}

func (f fleet) group() types.AutoScalingGroup {
	f.t.Helper()
	return ok(f.c.DescribeAutoScalingGroups(f.t.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{"api"}}))(f.t).AutoScalingGroups[0]
}

// states says how many instances are in which state and of which version, like "InService 1: 3".
func (f fleet) states() map[string]int {
	f.t.Helper()
	count := map[string]int{}
	for _, i := range f.group().Instances {
		count[fmt.Sprintf("%s %s", i.LifecycleState, *i.LaunchTemplate.Version)]++
	}
	return count
}

func (f fleet) first() string { return *f.group().Instances[0].InstanceId }

func TestGroups(t *testing.T) {
	f := newFleet(t, fakeaws.Options{}, nil)
	ctx, name := t.Context(), aws.String("api")
	g := f.group()
	zones := map[string]bool{}
	for _, i := range g.Instances {
		zones[*i.AvailabilityZone] = true
	}
	same(t, "the group", []any{f.states(), len(zones), *g.HealthCheckType, len(g.Tags), *g.LaunchTemplate.Version}, []any{map[string]int{"InService 1": 3}, 3, "EC2", 2, "1"})
	one := ok(f.ec2().DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{f.first()}}))(t).Reservations[0].Instances[0]
	var keys []string
	for _, tag := range one.Tags {
		keys = append(keys, *tag.Key)
	}
	same(t, "its instances' tags", keys, []string{"aws:autoscaling:groupName", "aws:ec2launchtemplate:id", "aws:ec2launchtemplate:version", "role"})

	ok(f.c.SetDesiredCapacity(ctx, &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: name, DesiredCapacity: aws.Int32(5)}))(t)
	same(t, "grown", f.states(), map[string]int{"InService 1": 5})
	_, err := f.c.SetDesiredCapacity(ctx, &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: name, DesiredCapacity: aws.Int32(7)})
	fails(t, err, "ValidationError")
	kept := f.first()
	ok(f.c.SetInstanceProtection(ctx, &autoscaling.SetInstanceProtectionInput{AutoScalingGroupName: name, InstanceIds: []string{kept}, ProtectedFromScaleIn: aws.Bool(true)}))(t)
	ok(f.c.UpdateAutoScalingGroup(ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: name, MaxSize: aws.Int32(2), LaunchTemplate: f.version("2")}))(t)
	same(t, "shrunk, without the one that is protected", []any{f.states(), f.first()}, []any{map[string]int{"InService 1": 2}, kept})
	end := f.first()
	ok(f.c.TerminateInstanceInAutoScalingGroup(ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{InstanceId: &end, ShouldDecrementDesiredCapacity: aws.Bool(false)}))(t)
	same(t, "one replaced, by the new version", f.states(), map[string]int{"InService 1": 1, "InService 2": 1})
	ok(f.c.SuspendProcesses(ctx, &autoscaling.SuspendProcessesInput{AutoScalingGroupName: name, ScalingProcesses: []string{"Launch"}}))(t)
	ok(f.ec2().TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{f.first()}}))(t)
	same(t, "one gone", len(f.states()), 1)
	same(t, "suspended", *f.group().SuspendedProcesses[0].ProcessName, "Launch")
	ok(f.c.ResumeProcesses(ctx, &autoscaling.ResumeProcessesInput{AutoScalingGroupName: name}))(t)
	same(t, "both new", f.states(), map[string]int{"InService 2": 2})
	activities := 0
	for p := autoscaling.NewDescribeScalingActivitiesPaginator(f.c, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: name, MaxRecords: aws.Int32(4)}); p.HasMorePages(); {
		for _, a := range ok(p.NextPage(ctx))(t).Activities {
			same(t, *a.Description, a.StatusCode, types.ScalingActivityStatusCodeSuccessful)
			activities++
		}
	}
	same(t, "activities", activities, 12)

	ok(f.c.CreateOrUpdateTags(ctx, &autoscaling.CreateOrUpdateTagsInput{Tags: []types.Tag{{ResourceId: name, ResourceType: aws.String("auto-scaling-group"), Key: aws.String("own"), Value: aws.String("2"), PropagateAtLaunch: aws.Bool(false)}}}))(t)
	ok(f.c.DeleteTags(ctx, &autoscaling.DeleteTagsInput{Tags: []types.Tag{{ResourceId: name, ResourceType: aws.String("auto-scaling-group"), Key: aws.String("role")}}}))(t)
	tags := ok(f.c.DescribeTags(ctx, &autoscaling.DescribeTagsInput{Filters: []types.Filter{{Name: aws.String("auto-scaling-group"), Values: []string{"api"}}}}))(t).Tags
	same(t, "tags", []any{len(tags), *tags[0].Value}, []any{1, "2"})
	found := ok(f.c.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{Filters: []types.Filter{{Name: aws.String("tag:own"), Values: []string{"1"}}}}))(t).AutoScalingGroups
	same(t, "by an old tag", len(found), 0)
	same(t, "limits", *ok(f.c.DescribeAccountLimits(ctx, &autoscaling.DescribeAccountLimitsInput{}))(t).NumberOfAutoScalingGroups, int32(1))
	same(t, "instances", len(ok(f.c.DescribeAutoScalingInstances(ctx, &autoscaling.DescribeAutoScalingInstancesInput{}))(t).AutoScalingInstances), 2)

	_, err = f.c.CreateAutoScalingGroup(ctx, &autoscaling.CreateAutoScalingGroupInput{AutoScalingGroupName: name, MinSize: aws.Int32(0), MaxSize: aws.Int32(0)})
	fails(t, err, "AlreadyExists")
	_, err = f.c.DeleteAutoScalingGroup(ctx, &autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: name})
	fails(t, err, "ResourceInUse")
	ok(f.c.DeleteAutoScalingGroup(ctx, &autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: name, ForceDelete: aws.Bool(true)}))(t)
	_, err = f.c.DeleteAutoScalingGroup(ctx, &autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: name})
	fails(t, err, "ValidationError")
}

func TestGroupHealth(t *testing.T) {
	f := newFleet(t, fakeaws.Options{}, func(in *autoscaling.CreateAutoScalingGroupInput) { in.HealthCheckGracePeriod = aws.Int32(60) })
	ctx, id := t.Context(), f.first()
	target := f.server.AddTargetGroup(f.region, fakeaws.TargetGroup{Name: "api"})
	ok(f.c.AttachTrafficSources(ctx, &autoscaling.AttachTrafficSourcesInput{AutoScalingGroupName: aws.String("api"), TrafficSources: []types.TrafficSourceIdentifier{{Identifier: &target}}}))(t)
	there := func() bool { _, is := f.server.GroupInstances(f.region, "api")[id]; return is }
	say := func(respect bool) {
		ok(f.c.SetInstanceHealth(ctx, &autoscaling.SetInstanceHealthInput{InstanceId: &id, HealthStatus: aws.String("Unhealthy"), ShouldRespectGracePeriod: &respect}))(t)
	}
	f.server.SetTargetHealth(f.region, id, "unhealthy")
	f.server.Advance(90 * time.Second)
	same(t, "the load balancer's health does not count", there(), true)
	say(true)
	same(t, "what is said counts", there(), false)
	same(t, "replaced", f.states(), map[string]int{"InService 1": 3})
	id = *f.group().Instances[2].InstanceId
	say(true)
	same(t, "a young one", there(), true)
	say(false)
	same(t, "a young one, all the same", there(), false)

	ok(f.c.UpdateAutoScalingGroup(ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String("api"), HealthCheckType: aws.String("ELB")}))(t)
	id = f.first()
	f.server.SetTargetHealth(f.region, id, "unhealthy")
	f.server.Advance(time.Second)
	same(t, "the load balancer's health counts", there(), false)
	sources := ok(f.c.DescribeTrafficSources(ctx, &autoscaling.DescribeTrafficSourcesInput{AutoScalingGroupName: aws.String("api")}))(t).TrafficSources
	same(t, "sources", *sources[0].Identifier, target)
	ok(f.c.DetachTrafficSources(ctx, &autoscaling.DetachTrafficSourcesInput{AutoScalingGroupName: aws.String("api"), TrafficSources: []types.TrafficSourceIdentifier{{Identifier: &target}}}))(t)
	ok(f.c.AttachLoadBalancerTargetGroups(ctx, &autoscaling.AttachLoadBalancerTargetGroupsInput{AutoScalingGroupName: aws.String("api"), TargetGroupARNs: []string{target}}))(t)
	same(t, "target groups", f.group().TargetGroupARNs, []string{target})
	attached := ok(f.c.DescribeLoadBalancerTargetGroups(ctx, &autoscaling.DescribeLoadBalancerTargetGroupsInput{AutoScalingGroupName: aws.String("api")}))(t).LoadBalancerTargetGroups
	same(t, "attached", *attached[0].LoadBalancerTargetGroupARN, target)
	ok(f.c.DetachLoadBalancerTargetGroups(ctx, &autoscaling.DetachLoadBalancerTargetGroupsInput{AutoScalingGroupName: aws.String("api"), TargetGroupARNs: []string{target}}))(t)
	same(t, "no target groups", len(f.group().TargetGroupARNs), 0)
}

// A group that goes by the load balancer's health ends what the balancer finds unhealthy, once it is older than the grace period:
// all of it at once, if need be. What was well again by then stays.
func TestBalancersHealth(t *testing.T) {
	for name, test := range map[string]struct {
		kind string
		ill  time.Duration // that the balancer finds them unhealthy, from when they are 30 s old
		stay int           // of 3, 2 minutes later
	}{
		"of EC2 alone":                 {"EC2", 90 * time.Second, 3},
		"of the balancer":              {"ELB", 90 * time.Second, 0},
		"over before the grace period": {"ELB", 29 * time.Second, 3},
		"just longer":                  {"ELB", 30 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, fakeaws.Options{}, func(in *autoscaling.CreateAutoScalingGroupInput) {
				in.HealthCheckType, in.HealthCheckGracePeriod = &test.kind, aws.Int32(60)
			})
			target := f.server.AddTargetGroup(f.region, fakeaws.TargetGroup{Name: "api"})
			ok(f.c.AttachLoadBalancerTargetGroups(t.Context(), &autoscaling.AttachLoadBalancerTargetGroupsInput{AutoScalingGroupName: aws.String("api"), TargetGroupARNs: []string{target}}))(t)
			before := f.server.GroupInstances(f.region, "api")
			say := func(state string) {
				for id := range before {
					f.server.SetTargetHealth(f.region, id, state)
				}
			}
			f.server.Advance(30 * time.Second)
			say("unhealthy")
			f.server.Advance(test.ill)
			say("healthy")
			f.server.Advance(2 * time.Minute)
			stay := 0
			for id := range f.server.GroupInstances(f.region, "api") {
				if _, was := before[id]; was {
					stay++
				}
			}
			same(t, "who stays", stay, test.stay)
			same(t, "the group is whole", f.states(), map[string]int{"InService 1": 3})
		})
	}
}

func TestHooks(t *testing.T) {
	hooks := func(in *autoscaling.CreateAutoScalingGroupInput) {
		in.LifecycleHookSpecificationList = []types.LifecycleHookSpecification{
			{LifecycleHookName: aws.String("ready"), LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_LAUNCHING"), HeartbeatTimeout: aws.Int32(300)},
			{LifecycleHookName: aws.String("drain"), LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_TERMINATING"), HeartbeatTimeout: aws.Int32(60), DefaultResult: aws.String("CONTINUE")},
		}
		in.DesiredCapacity = aws.Int32(1)
	}
	f := newFleet(t, fakeaws.Options{}, hooks)
	ctx, id := t.Context(), f.first()
	complete := func(hook, result string) error {
		_, err := f.c.CompleteLifecycleAction(ctx, &autoscaling.CompleteLifecycleActionInput{AutoScalingGroupName: aws.String("api"), LifecycleHookName: &hook, InstanceId: &id, LifecycleActionResult: &result})
		return err
	}
	at := func() string { return f.server.GroupInstances(f.region, "api")[id] }
	same(t, "held", at(), "Pending:Wait")
	f.server.Advance(299 * time.Second)
	ok(f.c.RecordLifecycleActionHeartbeat(ctx, &autoscaling.RecordLifecycleActionHeartbeatInput{AutoScalingGroupName: aws.String("api"), LifecycleHookName: aws.String("ready"), InstanceId: &id}))(t)
	f.server.Advance(299 * time.Second)
	same(t, "still held", at(), "Pending:Wait")
	f.server.Advance(2 * time.Second)
	same(t, "abandoned, and leaving", at(), "Terminating:Wait")
	f.server.Advance(60 * time.Second)
	same(t, "gone", at(), "")
	id = f.first()
	fails(t, complete("drain", "CONTINUE"), "ValidationError")
	same(t, "completed", complete("ready", "CONTINUE"), error(nil))
	same(t, "in service", at(), "InService")
	ok(f.c.SetInstanceHealth(ctx, &autoscaling.SetInstanceHealthInput{InstanceId: &id, HealthStatus: aws.String("Unhealthy")}))(t)
	same(t, "draining", at(), "Terminating:Wait")
	same(t, "drained", complete("drain", "CONTINUE"), error(nil))
	same(t, "gone", at(), "")

	ok(f.c.PutLifecycleHook(ctx, &autoscaling.PutLifecycleHookInput{AutoScalingGroupName: aws.String("api"), LifecycleHookName: aws.String("ready"), HeartbeatTimeout: aws.Int32(60)}))(t)
	list := ok(f.c.DescribeLifecycleHooks(ctx, &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: aws.String("api")}))(t).LifecycleHooks
	same(t, "hooks", []any{len(list), *list[0].HeartbeatTimeout, *list[0].DefaultResult}, []any{2, int32(60), "ABANDON"})
	ok(f.c.DeleteLifecycleHook(ctx, &autoscaling.DeleteLifecycleHookInput{AutoScalingGroupName: aws.String("api"), LifecycleHookName: aws.String("drain")}))(t)
	same(t, "one left", len(ok(f.c.DescribeLifecycleHooks(ctx, &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: aws.String("api")}))(t).LifecycleHooks), 1)

	f = newFleet(t, fakeaws.Options{Boot: time.Minute}, hooks)
	f.server.Advance(59 * time.Second)
	same(t, "booting", f.states(), map[string]int{"Pending:Wait 1": 1})
	f.server.Advance(time.Second)
	same(t, "booted", f.states(), map[string]int{"InService 1": 1})
}

// refresh starts one to version 2.
func (f fleet) refresh(p types.RefreshPreferences) error {
	p.InstanceWarmup = aws.Int32(60)
	_, err := f.c.StartInstanceRefresh(f.t.Context(), &autoscaling.StartInstanceRefreshInput{
		AutoScalingGroupName: aws.String("api"), Preferences: &p, DesiredConfiguration: &types.DesiredConfiguration{LaunchTemplate: f.version("2")},
	})
	return err
}

// at describes the last refresh, like "InProgress 33".
func (f fleet) at() string {
	f.t.Helper()
	r := ok(f.c.DescribeInstanceRefreshes(f.t.Context(), &autoscaling.DescribeInstanceRefreshesInput{AutoScalingGroupName: aws.String("api")}))(f.t).InstanceRefreshes[0]
	return fmt.Sprintf("%s %d", r.Status, *r.PercentageComplete)
}

func TestRefresh(t *testing.T) {
	for _, test := range []struct {
		name   string
		p      types.RefreshPreferences
		states []string // and instances of version 1, at each minute
	}{
		{"one at a time", types.RefreshPreferences{MinHealthyPercentage: aws.Int32(100)}, []string{"InProgress 0: 2", "InProgress 33: 1", "InProgress 66: 0", "Successful 100: 0"}},
		{"all at once", types.RefreshPreferences{MinHealthyPercentage: aws.Int32(0)}, []string{"InProgress 0: 0", "Successful 100: 0"}},
		{"first launch, then end", types.RefreshPreferences{MinHealthyPercentage: aws.Int32(100), MaxHealthyPercentage: aws.Int32(134)}, []string{"InProgress 0: 3", "InProgress 33: 2", "InProgress 66: 1", "Successful 100: 0"}},
		{"with checkpoints", types.RefreshPreferences{MinHealthyPercentage: aws.Int32(66), CheckpointPercentages: []int32{33, 100}, CheckpointDelay: aws.Int32(120)}, []string{"InProgress 0: 2", "InProgress 33: 2", "InProgress 33: 2", "InProgress 33: 1", "InProgress 66: 0", "Successful 100: 0"}},
		{"up to a checkpoint", types.RefreshPreferences{MinHealthyPercentage: aws.Int32(66), CheckpointPercentages: []int32{50}}, []string{"InProgress 0: 2", "InProgress 33: 1", "Successful 66: 1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFleet(t, fakeaws.Options{}, nil)
			same(t, "started", f.refresh(test.p), error(nil))
			fails(t, f.refresh(test.p), "InstanceRefreshInProgress")
			var states []string
			for range test.states {
				states = append(states, fmt.Sprintf("%s: %d", f.at(), f.states()["InService 1"]))
				f.server.Advance(time.Minute)
			}
			same(t, "each minute", states, test.states)
			same(t, "the group's version", *f.group().LaunchTemplate.Version, "2")
		})
	}
}

// With Options.WarmUp an instance counts after that, though the refresh says a minute.
func TestRefreshWarmsUp(t *testing.T) {
	f := newFleet(t, fakeaws.Options{WarmUp: 10 * time.Second}, nil)
	same(t, "started", f.refresh(types.RefreshPreferences{MinHealthyPercentage: aws.Int32(100)}), error(nil))
	same(t, "one at a time", f.at(), "InProgress 0")
	f.server.Advance(10 * time.Second)
	same(t, "the first counts", f.at(), "InProgress 33")
}

func TestRefreshSkipsMatching(t *testing.T) {
	f := newFleet(t, fakeaws.Options{}, nil)
	same(t, "started", f.refresh(types.RefreshPreferences{MinHealthyPercentage: aws.Int32(0)}), error(nil))
	f.server.Advance(time.Hour)
	ids := slices.Sorted(maps.Keys(f.server.GroupInstances(f.region, "api")))
	same(t, "again", f.refresh(types.RefreshPreferences{SkipMatching: aws.Bool(true)}), error(nil))
	same(t, "nothing to do", []any{f.at(), slices.Sorted(maps.Keys(f.server.GroupInstances(f.region, "api")))}, []any{"Successful 100", ids})
}

func TestBadImage(t *testing.T) {
	hooks := func(in *autoscaling.CreateAutoScalingGroupInput) {
		in.LifecycleHookSpecificationList = []types.LifecycleHookSpecification{{LifecycleHookName: aws.String("ready"), LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_LAUNCHING"), HeartbeatTimeout: aws.Int32(600)}}
	}
	grace := func(in *autoscaling.CreateAutoScalingGroupInput) { in.HealthCheckGracePeriod = aws.Int32(30) }
	careful := types.RefreshPreferences{MinHealthyPercentage: aws.Int32(66)}
	for _, test := range []struct {
		name    string
		change  func(*autoscaling.CreateAutoScalingGroupInput)
		rolls   bool
		command func(fleet) error
		status  string
		states  map[string]int // when all is over
	}{
		{"it fails", hooks, false, nil, "Failed 0", map[string]int{"InService 1": 3}},
		{"it rolls back by itself", hooks, true, nil, "RollbackSuccessful 100", map[string]int{"InService 1": 3}},
		{"without a hook", grace, true, nil, "RollbackSuccessful 100", map[string]int{"InService 1": 3}},
		{"it is rolled back", hooks, false, func(f fleet) error {
			_, err := f.c.RollbackInstanceRefresh(f.t.Context(), &autoscaling.RollbackInstanceRefreshInput{AutoScalingGroupName: aws.String("api")})
			return err
		}, "RollbackSuccessful 100", map[string]int{"InService 1": 3}},
		{"it is cancelled", hooks, false, func(f fleet) error {
			_, err := f.c.CancelInstanceRefresh(f.t.Context(), &autoscaling.CancelInstanceRefreshInput{AutoScalingGroupName: aws.String("api")})
			return err
		}, "Cancelled 0", map[string]int{"InService 1": 3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFleet(t, fakeaws.Options{Boot: time.Minute}, test.change)
			f.server.Advance(5 * time.Minute)
			f.server.SpoilImage(f.bad)
			p := careful
			p.AutoRollback = &test.rolls
			same(t, "started", f.refresh(p), error(nil))
			f.server.Advance(30 * time.Minute)
			same(t, "no further than one", []any{f.at(), f.states()["InService 1"]}, []any{"InProgress 0", 2})
			if test.command != nil {
				same(t, "the command", test.command(f), error(nil))
				fails(t, test.command(f), "ActiveInstanceRefreshNotFound")
			}
			f.server.Advance(2 * time.Hour)
			same(t, "in the end", []any{f.at(), f.states(), *f.group().LaunchTemplate.Version}, []any{test.status, test.states, "1"})
		})
	}
}

func TestRefreshRefused(t *testing.T) {
	f := newFleet(t, fakeaws.Options{}, func(in *autoscaling.CreateAutoScalingGroupInput) { in.LaunchTemplate.Version = aws.String("$Default") })
	fails(t, f.refresh(types.RefreshPreferences{AutoRollback: aws.Bool(true)}), "ValidationError")
	fails(t, f.refresh(types.RefreshPreferences{CheckpointPercentages: []int32{50, 20}}), "ValidationError")
	_, err := f.c.RollbackInstanceRefresh(t.Context(), &autoscaling.RollbackInstanceRefreshInput{AutoScalingGroupName: aws.String("api")})
	fails(t, err, "ActiveInstanceRefreshNotFound")
	same(t, "started", f.refresh(types.RefreshPreferences{}), error(nil))
	_, err = f.c.RollbackInstanceRefresh(t.Context(), &autoscaling.RollbackInstanceRefreshInput{AutoScalingGroupName: aws.String("api")})
	fails(t, err, "IrreversibleInstanceRefresh")
}

func TestLaunchFails(t *testing.T) {
	f := newFleet(t, fakeaws.Options{}, nil)
	ctx := t.Context()
	ok(f.ec2().DeregisterImage(ctx, &ec2.DeregisterImageInput{ImageId: &f.good}))(t)
	ok(f.c.SetDesiredCapacity(ctx, &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String("api"), DesiredCapacity: aws.Int32(4)}))(t)
	f.server.Advance(time.Minute)
	a := ok(f.c.DescribeScalingActivities(ctx, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: aws.String("api")}))(t).Activities
	same(t, "tried again, twice", []any{a[0].StatusCode, a[2].StatusCode, strings.Contains(*a[0].StatusMessage, "InvalidAMIID.NotFound"), len(a)}, []any{types.ScalingActivityStatusCodeFailed, types.ScalingActivityStatusCodeFailed, true, 6})
}

func TestGroupMachines(t *testing.T) {
	m := &machines{up: make(chan error, 9)}
	f := newFleet(t, fakeaws.Options{Machines: quiet{m}}, func(in *autoscaling.CreateAutoScalingGroupInput) { in.DesiredCapacity = aws.Int32(1) })
	same(t, "while it starts", f.states(), map[string]int{"Pending 1": 1})
	m.up <- nil
	f.server.Resources() // waits
	same(t, "started", f.states(), map[string]int{"InService 1": 1})
	id := f.first()
	ok(f.c.TerminateInstanceInAutoScalingGroup(t.Context(), &autoscaling.TerminateInstanceInAutoScalingGroupInput{InstanceId: &id, ShouldDecrementDesiredCapacity: aws.Bool(false)}))(t)
	m.up <- nil
	f.server.Resources()
	same(t, "replaced", f.states(), map[string]int{"InService 1": 1})
	slices.Sort(m.did)
	same(t, "what machines did", m.did, []string{"start", "start", "terminate"})
	same(t, "its state", ok(f.ec2().DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}}))(t).Reservations[0].Instances[0].State.Name, ec2types.InstanceStateNameTerminated)
}

// quiet machines need no key.
type quiet struct{ *machines }

func (q quiet) Start(fakeaws.Instance, string) (string, error) {
	q.note("start")
	return "127.0.0.9", <-q.up
}

// A group may name zones alone, as those do whose template brings its own network interface.
func TestGroupsOfZones(t *testing.T) {
	f := newFleet(t, fakeaws.Options{}, func(in *autoscaling.CreateAutoScalingGroupInput) {
		in.VPCZoneIdentifier, in.AvailabilityZones = nil, []string{"eu-west-1b"}
	})
	f.server.Advance(time.Hour)
	g := ok(f.c.DescribeAutoScalingGroups(t.Context(), &autoscaling.DescribeAutoScalingGroupsInput{}))(t).AutoScalingGroups[0]
	if aws.ToString(g.VPCZoneIdentifier) != "" || len(g.AvailabilityZones) != 1 || g.AvailabilityZones[0] != "eu-west-1b" || len(g.Instances) != 3 {
		t.Errorf("subnets %q, zones %v, %d instances", aws.ToString(g.VPCZoneIdentifier), g.AvailabilityZones, len(g.Instances))
	}
	for _, i := range g.Instances {
		if aws.ToString(i.AvailabilityZone) != "eu-west-1b" {
			t.Errorf("%s is in %s", aws.ToString(i.InstanceId), aws.ToString(i.AvailabilityZone))
		}
	}
}
