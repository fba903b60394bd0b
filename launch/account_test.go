package launch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	autoscalingtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"

	"github.com/cincbake/cincbake/cluster"
)

// account is an account in memory, as much of it as launching meets. Machines are in service at once, unless their image is
// bad: then they stay behind the hook. Each describe of a refresh is one step of it.
type account struct {
	t *testing.T

	last       int
	parameters map[string]string
	images     map[string]types.Image
	bad        map[string]bool // images that never get ready
	shunned    map[string]bool // images that the load balancer finds unhealthy
	interfaces []types.NetworkInterface
	volumes    []types.Volume
	templates  []*template
	groups     []*autoscalingtypes.AutoScalingGroup
	hooks      map[string]int32
	instances  map[string]types.Instance
	refreshes  map[string][]*autoscalingtypes.InstanceRefresh

	around surroundings

	calls []string // those that change something, like CreateVolume postgres-1
	// fail strikes the call of this number, from 0, before it takes effect or after.
	fail, failAfter int
}

type template struct {
	types.LaunchTemplate
	versions []types.LaunchTemplateVersion
}

var (
	_ EC2         = (*account)(nil)
	_ AutoScaling = (*account)(nil)
	_ Targets     = (*account)(nil)
	_ Parameters  = (*account)(nil)
	_ Access      = (*account)(nil)
	_ Quotas      = (*account)(nil)
	_ Caller      = (*account)(nil)
)

var errStruck = errors.New("struck")

func newAccount(t *testing.T) *account {
	t.Helper()
	return &account{
		t: t, fail: -1, failAfter: -1, around: surroundings{quota: 1000}, parameters: map[string]string{}, images: map[string]types.Image{}, bad: map[string]bool{}, shunned: map[string]bool{}, hooks: map[string]int32{},
		instances: map[string]types.Instance{}, refreshes: map[string][]*autoscalingtypes.InstanceRefresh{},
	}
}

// change notes a call that changes something, and makes it unless a fault has its way.
func (a *account) change(call, of string, effect func() error) error {
	n := len(a.calls)
	a.calls = append(a.calls, call+" "+of)
	if n == a.fail {
		return fmt.Errorf("%s: %w", call, errStruck)
	}
	if err := effect(); err != nil {
		return err
	}
	if n == a.failAfter {
		return fmt.Errorf("%s: %w", call, errStruck)
	}
	return nil
}

func (a *account) id(kind string) string {
	a.last++
	return fmt.Sprintf("%s-%017x", kind, a.last)
}

// tagged returns the tags of what is made, and holds every creation to having them.
func (a *account) tagged(of []types.TagSpecification, kind types.ResourceType) []types.Tag {
	a.t.Helper()
	for _, s := range of {
		if s.ResourceType == kind && tagMap(s.Tags)[cluster.TagCluster] != "" {
			return s.Tags
		}
	}
	a.t.Errorf("a %s is made without the tag %s", kind, cluster.TagCluster)
	return nil
}

func matches(tags []types.Tag, of []types.Filter) bool {
	for _, f := range of {
		if key, ok := strings.CutPrefix(aws.ToString(f.Name), "tag:"); ok && !slices.Contains(f.Values, tagMap(tags)[key]) {
			return false
		}
	}
	return true
}

func (a *account) GetParameters(_ context.Context, in *ssm.GetParametersInput, _ ...func(*ssm.Options)) (*ssm.GetParametersOutput, error) {
	out := &ssm.GetParametersOutput{}
	for _, name := range in.Names {
		if value, ok := a.parameters[name]; ok {
			out.Parameters = append(out.Parameters, ssmtypes.Parameter{Name: aws.String(name), Value: aws.String(value)})
		} else {
			out.InvalidParameters = append(out.InvalidParameters, name)
		}
	}
	return out, nil
}

func (a *account) DescribeImages(_ context.Context, in *ec2.DescribeImagesInput, _ ...func(*ec2.Options)) (*ec2.DescribeImagesOutput, error) {
	out := &ec2.DescribeImagesOutput{}
	for _, id := range in.Filters[0].Values {
		if image, ok := a.images[id]; ok {
			out.Images = append(out.Images, image)
		}
	}
	return out, nil
}

func (a *account) DescribeSubnets(_ context.Context, in *ec2.DescribeSubnetsInput, _ ...func(*ec2.Options)) (*ec2.DescribeSubnetsOutput, error) {
	out := &ec2.DescribeSubnetsOutput{}
	for i, id := range in.Filters[0].Values {
		if strings.Contains(id, "gone") {
			continue
		}
		out.Subnets = append(out.Subnets, types.Subnet{SubnetId: aws.String(id), AvailabilityZone: aws.String("eu-west-1" + string(rune('a'+i)))})
	}
	return out, nil
}

func (a *account) DescribeNetworkInterfaces(_ context.Context, in *ec2.DescribeNetworkInterfacesInput, _ ...func(*ec2.Options)) (*ec2.DescribeNetworkInterfacesOutput, error) {
	out := &ec2.DescribeNetworkInterfacesOutput{}
	for _, n := range a.interfaces {
		if matches(n.TagSet, in.Filters) {
			out.NetworkInterfaces = append(out.NetworkInterfaces, n)
		}
	}
	return out, nil
}

func (a *account) CreateNetworkInterface(_ context.Context, in *ec2.CreateNetworkInterfaceInput, _ ...func(*ec2.Options)) (*ec2.CreateNetworkInterfaceOutput, error) {
	var made types.NetworkInterface
	tags := a.tagged(in.TagSpecifications, types.ResourceTypeNetworkInterface)
	err := a.change("CreateNetworkInterface", tagMap(tags)[cluster.TagNode], func() error {
		made = types.NetworkInterface{
			NetworkInterfaceId: aws.String(a.id("eni")), SubnetId: in.SubnetId, TagSet: tags, PrivateIpAddress: aws.String(fmt.Sprintf("10.30.0.%d", 10+len(a.interfaces))),
			Groups: identifiers(in.Groups),
		}
		a.interfaces = append(a.interfaces, made)
		return nil
	})
	return &ec2.CreateNetworkInterfaceOutput{NetworkInterface: &made}, err
}

func identifiers(groups []string) []types.GroupIdentifier {
	var list []types.GroupIdentifier
	for _, group := range groups {
		list = append(list, types.GroupIdentifier{GroupId: aws.String(group)})
	}
	return list
}

func (a *account) ModifyNetworkInterfaceAttribute(_ context.Context, in *ec2.ModifyNetworkInterfaceAttributeInput, _ ...func(*ec2.Options)) (*ec2.ModifyNetworkInterfaceAttributeOutput, error) {
	return &ec2.ModifyNetworkInterfaceAttributeOutput{}, a.change("ModifyNetworkInterfaceAttribute", "", func() error {
		for i := range a.interfaces {
			if *a.interfaces[i].NetworkInterfaceId == *in.NetworkInterfaceId {
				a.interfaces[i].Groups = identifiers(in.Groups)
			}
		}
		return nil
	})
}

func (a *account) DescribeVolumes(_ context.Context, in *ec2.DescribeVolumesInput, _ ...func(*ec2.Options)) (*ec2.DescribeVolumesOutput, error) {
	out := &ec2.DescribeVolumesOutput{}
	for _, v := range a.volumes {
		if matches(v.Tags, in.Filters) {
			out.Volumes = append(out.Volumes, v)
		}
	}
	return out, nil
}

func (a *account) CreateVolume(_ context.Context, in *ec2.CreateVolumeInput, _ ...func(*ec2.Options)) (*ec2.CreateVolumeOutput, error) {
	tags := a.tagged(in.TagSpecifications, types.ResourceTypeVolume)
	out := &ec2.CreateVolumeOutput{}
	if !aws.ToBool(in.Encrypted) || in.KmsKeyId == nil {
		a.t.Errorf("the volume of %s is not encrypted with the cluster's key", tagMap(tags)[cluster.TagNode])
	}
	return out, a.change("CreateVolume", tagMap(tags)[cluster.TagNode], func() error {
		out.VolumeId = aws.String(a.id("vol"))
		a.volumes = append(a.volumes, types.Volume{VolumeId: out.VolumeId, AvailabilityZone: in.AvailabilityZone, KmsKeyId: in.KmsKeyId, Tags: tags, State: types.VolumeStateAvailable})
		return nil
	})
}

func (a *account) DescribeLaunchTemplates(_ context.Context, in *ec2.DescribeLaunchTemplatesInput, _ ...func(*ec2.Options)) (*ec2.DescribeLaunchTemplatesOutput, error) {
	out := &ec2.DescribeLaunchTemplatesOutput{}
	for _, t := range a.templates {
		if matches(t.Tags, in.Filters) {
			out.LaunchTemplates = append(out.LaunchTemplates, t.LaunchTemplate)
		}
	}
	return out, nil
}

func (a *account) template(id string) *template {
	for _, t := range a.templates {
		if *t.LaunchTemplateId == id {
			return t
		}
	}
	a.t.Fatalf("there is no launch template %q", id)
	return nil
}

func (a *account) DescribeLaunchTemplateVersions(_ context.Context, in *ec2.DescribeLaunchTemplateVersionsInput, _ ...func(*ec2.Options)) (*ec2.DescribeLaunchTemplateVersionsOutput, error) {
	return &ec2.DescribeLaunchTemplateVersionsOutput{LaunchTemplateVersions: a.template(*in.LaunchTemplateId).versions}, nil
}

func (a *account) CreateLaunchTemplate(_ context.Context, in *ec2.CreateLaunchTemplateInput, _ ...func(*ec2.Options)) (*ec2.CreateLaunchTemplateOutput, error) {
	out := &ec2.CreateLaunchTemplateOutput{}
	tags := a.tagged(in.TagSpecifications, types.ResourceTypeLaunchTemplate)
	return out, a.change("CreateLaunchTemplate", *in.LaunchTemplateName, func() error {
		for _, t := range a.templates {
			if *t.LaunchTemplateName == *in.LaunchTemplateName {
				return &smithy.GenericAPIError{Code: "InvalidLaunchTemplateName.AlreadyExistsException"}
			}
		}
		t := &template{LaunchTemplate: types.LaunchTemplate{
			LaunchTemplateId: aws.String(a.id("lt")), LaunchTemplateName: in.LaunchTemplateName, Tags: tags, DefaultVersionNumber: aws.Int64(1), LatestVersionNumber: aws.Int64(1),
		}}
		t.versions = []types.LaunchTemplateVersion{{VersionNumber: aws.Int64(1), VersionDescription: in.VersionDescription, LaunchTemplateData: said(in.LaunchTemplateData)}}
		a.templates = append(a.templates, t)
		out.LaunchTemplate = &t.LaunchTemplate
		return nil
	})
}

func (a *account) CreateLaunchTemplateVersion(_ context.Context, in *ec2.CreateLaunchTemplateVersionInput, _ ...func(*ec2.Options)) (*ec2.CreateLaunchTemplateVersionOutput, error) {
	out, t := &ec2.CreateLaunchTemplateVersionOutput{}, a.template(*in.LaunchTemplateId)
	if in.SourceVersion != nil {
		a.t.Error("a version takes something over from another")
	}
	return out, a.change("CreateLaunchTemplateVersion", *t.LaunchTemplateName, func() error {
		t.LatestVersionNumber = aws.Int64(*t.LatestVersionNumber + 1)
		t.versions = append(t.versions, types.LaunchTemplateVersion{
			VersionNumber: t.LatestVersionNumber, VersionDescription: in.VersionDescription, LaunchTemplateData: said(in.LaunchTemplateData),
		})
		out.LaunchTemplateVersion = &t.versions[len(t.versions)-1]
		return nil
	})
}

func (a *account) DeleteLaunchTemplateVersions(_ context.Context, in *ec2.DeleteLaunchTemplateVersionsInput, _ ...func(*ec2.Options)) (*ec2.DeleteLaunchTemplateVersionsOutput, error) {
	t := a.template(*in.LaunchTemplateId)
	return &ec2.DeleteLaunchTemplateVersionsOutput{}, a.change("DeleteLaunchTemplateVersions", *t.LaunchTemplateName, func() error {
		t.versions = slices.DeleteFunc(t.versions, func(v types.LaunchTemplateVersion) bool {
			return slices.Contains(in.Versions, strconv.FormatInt(*v.VersionNumber, 10))
		})
		return nil
	})
}

func (a *account) DescribeInstances(_ context.Context, in *ec2.DescribeInstancesInput, _ ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error) {
	out := &ec2.DescribeInstancesOutput{}
	for _, id := range slices.Sorted(maps.Keys(a.instances)) {
		if matches(a.instances[id].Tags, in.Filters) {
			out.Reservations = append(out.Reservations, types.Reservation{Instances: []types.Instance{a.instances[id]}})
		}
	}
	return out, nil
}

// group returns the one of that name; nil: there is none.
func (a *account) group(name string) *autoscalingtypes.AutoScalingGroup {
	for _, g := range a.groups {
		if *g.AutoScalingGroupName == name {
			return g
		}
	}
	return nil
}

func (a *account) DescribeAutoScalingGroups(_ context.Context, in *autoscaling.DescribeAutoScalingGroupsInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingGroupsOutput, error) {
	out := &autoscaling.DescribeAutoScalingGroupsOutput{}
	for _, g := range a.groups {
		wanted := len(in.AutoScalingGroupNames) == 0 || slices.Contains(in.AutoScalingGroupNames, *g.AutoScalingGroupName)
		for _, f := range in.Filters {
			key := strings.TrimPrefix(*f.Name, "tag:")
			wanted = wanted && slices.ContainsFunc(g.Tags, func(tag autoscalingtypes.TagDescription) bool {
				return *tag.Key == key && slices.Contains(f.Values, *tag.Value)
			})
		}
		if wanted {
			copied := *g
			copied.Instances = slices.Clone(g.Instances)
			out.AutoScalingGroups = append(out.AutoScalingGroups, copied)
		}
	}
	return out, nil
}

func (a *account) DescribeLifecycleHooks(_ context.Context, in *autoscaling.DescribeLifecycleHooksInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeLifecycleHooksOutput, error) {
	out := &autoscaling.DescribeLifecycleHooksOutput{}
	if seconds, ok := a.hooks[*in.AutoScalingGroupName]; ok {
		out.LifecycleHooks = append(out.LifecycleHooks, autoscalingtypes.LifecycleHook{LifecycleHookName: aws.String(cluster.ReadyHook), HeartbeatTimeout: aws.Int32(seconds)})
	}
	return out, nil
}

// launch starts a machine of the group's version.
func (a *account) launch(g *autoscalingtypes.AutoScalingGroup) {
	id := a.id("i")
	var data *types.ResponseLaunchTemplateData
	for _, v := range a.template(*g.LaunchTemplate.LaunchTemplateId).versions {
		if strconv.FormatInt(*v.VersionNumber, 10) == *g.LaunchTemplate.Version {
			data = v.LaunchTemplateData
		}
	}
	if data == nil {
		a.t.Fatalf("%s uses the version %s, which there is not", *g.AutoScalingGroupName, *g.LaunchTemplate.Version)
	}
	state := autoscalingtypes.LifecycleStateInService
	if a.bad[*data.ImageId] {
		state = autoscalingtypes.LifecycleStatePendingWait
	}
	i := types.Instance{InstanceId: aws.String(id), ImageId: data.ImageId, PrivateIpAddress: aws.String(fmt.Sprintf("10.30.1.%d", a.last%250)), Tags: data.TagSpecifications[0].Tags}
	if len(data.NetworkInterfaces) > 0 {
		for _, n := range a.interfaces {
			if *n.NetworkInterfaceId == *data.NetworkInterfaces[0].NetworkInterfaceId {
				i.PrivateIpAddress = n.PrivateIpAddress
			}
		}
	}
	a.instances[id] = i
	version := *g.LaunchTemplate
	g.Instances = append(g.Instances, autoscalingtypes.Instance{InstanceId: aws.String(id), LifecycleState: state, HealthStatus: aws.String("Healthy"), LaunchTemplate: &version})
}

func (a *account) CreateAutoScalingGroup(_ context.Context, in *autoscaling.CreateAutoScalingGroupInput, _ ...func(*autoscaling.Options)) (*autoscaling.CreateAutoScalingGroupOutput, error) {
	return &autoscaling.CreateAutoScalingGroupOutput{}, a.change("CreateAutoScalingGroup", *in.AutoScalingGroupName, func() error {
		if a.group(*in.AutoScalingGroupName) != nil {
			return &smithy.GenericAPIError{Code: "AlreadyExists"}
		}
		g := &autoscalingtypes.AutoScalingGroup{
			AutoScalingGroupName: in.AutoScalingGroupName, LaunchTemplate: in.LaunchTemplate, MinSize: in.MinSize, MaxSize: in.MaxSize, DesiredCapacity: in.DesiredCapacity,
			VPCZoneIdentifier: in.VPCZoneIdentifier, AvailabilityZones: in.AvailabilityZones, TargetGroupARNs: in.TargetGroupARNs, HealthCheckType: in.HealthCheckType,
		}
		if subnets := aws.ToString(in.VPCZoneIdentifier); subnets != "" {
			g.AvailabilityZones = []string{"eu-west-1a", "eu-west-1b"}
		}
		for _, tag := range in.Tags {
			g.Tags = append(g.Tags, autoscalingtypes.TagDescription{Key: tag.Key, Value: tag.Value})
		}
		for _, hook := range in.LifecycleHookSpecificationList {
			a.hooks[*in.AutoScalingGroupName] = *hook.HeartbeatTimeout
		}
		for range int(*in.DesiredCapacity) {
			a.launch(g)
		}
		a.groups = append(a.groups, g)
		return nil
	})
}

func (a *account) UpdateAutoScalingGroup(_ context.Context, in *autoscaling.UpdateAutoScalingGroupInput, _ ...func(*autoscaling.Options)) (*autoscaling.UpdateAutoScalingGroupOutput, error) {
	return &autoscaling.UpdateAutoScalingGroupOutput{}, a.change("UpdateAutoScalingGroup", *in.AutoScalingGroupName, func() error {
		g := a.group(*in.AutoScalingGroupName)
		g.LaunchTemplate = in.LaunchTemplate
		if in.MinSize != nil {
			g.MinSize, g.MaxSize, g.HealthCheckType = in.MinSize, in.MaxSize, in.HealthCheckType
			g.DesiredCapacity = aws.Int32(min(max(*g.DesiredCapacity, *g.MinSize), *g.MaxSize))
		}
		if in.VPCZoneIdentifier != nil {
			g.VPCZoneIdentifier = in.VPCZoneIdentifier
		}
		return nil
	})
}

func (a *account) PutLifecycleHook(_ context.Context, in *autoscaling.PutLifecycleHookInput, _ ...func(*autoscaling.Options)) (*autoscaling.PutLifecycleHookOutput, error) {
	return &autoscaling.PutLifecycleHookOutput{}, a.change("PutLifecycleHook", *in.AutoScalingGroupName, func() error {
		a.hooks[*in.AutoScalingGroupName] = *in.HeartbeatTimeout
		return nil
	})
}

func (a *account) AttachLoadBalancerTargetGroups(_ context.Context, in *autoscaling.AttachLoadBalancerTargetGroupsInput, _ ...func(*autoscaling.Options)) (*autoscaling.AttachLoadBalancerTargetGroupsOutput, error) {
	return &autoscaling.AttachLoadBalancerTargetGroupsOutput{}, a.change("AttachLoadBalancerTargetGroups", *in.AutoScalingGroupName, func() error {
		g := a.group(*in.AutoScalingGroupName)
		g.TargetGroupARNs = append(g.TargetGroupARNs, in.TargetGroupARNs...)
		return nil
	})
}

func (a *account) DetachLoadBalancerTargetGroups(_ context.Context, in *autoscaling.DetachLoadBalancerTargetGroupsInput, _ ...func(*autoscaling.Options)) (*autoscaling.DetachLoadBalancerTargetGroupsOutput, error) {
	return &autoscaling.DetachLoadBalancerTargetGroupsOutput{}, a.change("DetachLoadBalancerTargetGroups", *in.AutoScalingGroupName, func() error {
		g := a.group(*in.AutoScalingGroupName)
		g.TargetGroupARNs = without(g.TargetGroupARNs, in.TargetGroupARNs)
		return nil
	})
}

func (a *account) TerminateInstanceInAutoScalingGroup(_ context.Context, in *autoscaling.TerminateInstanceInAutoScalingGroupInput, _ ...func(*autoscaling.Options)) (*autoscaling.TerminateInstanceInAutoScalingGroupOutput, error) {
	if aws.ToBool(in.ShouldDecrementDesiredCapacity) {
		a.t.Error("a machine goes without another one coming")
	}
	var of *autoscalingtypes.AutoScalingGroup
	for _, g := range a.groups {
		if slices.ContainsFunc(g.Instances, func(i autoscalingtypes.Instance) bool { return *i.InstanceId == *in.InstanceId }) {
			of = g
		}
	}
	return &autoscaling.TerminateInstanceInAutoScalingGroupOutput{}, a.change("TerminateInstanceInAutoScalingGroup", *of.AutoScalingGroupName, func() error {
		a.end(of, *in.InstanceId)
		a.launch(of)
		return nil
	})
}

func (a *account) end(g *autoscalingtypes.AutoScalingGroup, id string) {
	g.Instances = slices.DeleteFunc(g.Instances, func(i autoscalingtypes.Instance) bool { return *i.InstanceId == id })
	delete(a.instances, id)
}

func (a *account) StartInstanceRefresh(_ context.Context, in *autoscaling.StartInstanceRefreshInput, _ ...func(*autoscaling.Options)) (*autoscaling.StartInstanceRefreshOutput, error) {
	name := *in.AutoScalingGroupName
	return &autoscaling.StartInstanceRefreshOutput{}, a.change("StartInstanceRefresh", name, func() error {
		if list := a.refreshes[name]; len(list) > 0 && !ended(list[0].Status) {
			return &autoscalingtypes.InstanceRefreshInProgressFault{}
		}
		refresh := &autoscalingtypes.InstanceRefresh{InstanceRefreshId: aws.String(a.id("refresh")), Status: autoscalingtypes.InstanceRefreshStatusPending, PercentageComplete: aws.Int32(0)}
		a.refreshes[name] = append([]*autoscalingtypes.InstanceRefresh{refresh}, a.refreshes[name]...)
		return nil
	})
}

func (a *account) CancelInstanceRefresh(_ context.Context, in *autoscaling.CancelInstanceRefreshInput, _ ...func(*autoscaling.Options)) (*autoscaling.CancelInstanceRefreshOutput, error) {
	name := *in.AutoScalingGroupName
	return &autoscaling.CancelInstanceRefreshOutput{}, a.change("CancelInstanceRefresh", name, func() error {
		a.refreshes[name][0].Status = autoscalingtypes.InstanceRefreshStatusCancelled
		g := a.group(name) // what never got ready goes
		for _, i := range slices.Clone(g.Instances) {
			if i.LifecycleState != autoscalingtypes.LifecycleStateInService {
				a.end(g, *i.InstanceId)
			}
		}
		return nil
	})
}

func (a *account) DescribeInstanceRefreshes(_ context.Context, in *autoscaling.DescribeInstanceRefreshesInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeInstanceRefreshesOutput, error) {
	name := *in.AutoScalingGroupName
	out := &autoscaling.DescribeInstanceRefreshesOutput{}
	if all := a.refreshes[name]; len(all) > 0 { // the newest is all that anybody asks for
		if !ended(all[0].Status) {
			a.step(a.group(name), all[0])
		}
		out.InstanceRefreshes = append(out.InstanceRefreshes, *all[0])
	}
	return out, nil
}

// DescribeScalingActivities has none: the fake account over the wire does.
func (*account) DescribeScalingActivities(context.Context, *autoscaling.DescribeScalingActivitiesInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeScalingActivitiesOutput, error) {
	return &autoscaling.DescribeScalingActivitiesOutput{}, nil
}

// DescribeTargetHealth finds every machine of a group well that the target group is attached to, unless it was told otherwise.
func (a *account) DescribeTargetHealth(_ context.Context, in *elasticloadbalancingv2.DescribeTargetHealthInput, _ ...func(*elasticloadbalancingv2.Options)) (*elasticloadbalancingv2.DescribeTargetHealthOutput, error) {
	out := &elasticloadbalancingv2.DescribeTargetHealthOutput{}
	for _, g := range a.groups {
		if !slices.Contains(g.TargetGroupARNs, *in.TargetGroupArn) {
			continue
		}
		for _, i := range g.Instances {
			health := &elbtypes.TargetHealth{State: elbtypes.TargetHealthStateEnumHealthy}
			if a.shunned[*a.instances[*i.InstanceId].ImageId] {
				health = &elbtypes.TargetHealth{State: elbtypes.TargetHealthStateEnumUnhealthy, Description: aws.String("Health checks failed")}
			}
			out.TargetHealthDescriptions = append(out.TargetHealthDescriptions, elbtypes.TargetHealthDescription{Target: &elbtypes.TargetDescription{Id: i.InstanceId}, TargetHealth: health})
		}
	}
	return out, nil
}

// step is one machine of a refresh: the new one first, and the old one goes if that got ready.
func (a *account) step(g *autoscalingtypes.AutoScalingGroup, refresh *autoscalingtypes.InstanceRefresh) {
	refresh.Status = autoscalingtypes.InstanceRefreshStatusInProgress
	total := len(g.Instances)
	for _, i := range g.Instances {
		if i.LifecycleState != autoscalingtypes.LifecycleStateInService {
			return // it waits
		}
	}
	for n, i := range slices.Clone(g.Instances) {
		if *i.LaunchTemplate.Version == *g.LaunchTemplate.Version {
			continue
		}
		a.launch(g)
		if g.Instances[len(g.Instances)-1].LifecycleState == autoscalingtypes.LifecycleStateInService {
			a.end(g, *i.InstanceId)
			refresh.PercentageComplete = aws.Int32(int32(100 * (n + 1) / total))
		}
		return
	}
	refresh.Status, refresh.PercentageComplete = autoscalingtypes.InstanceRefreshStatusSuccessful, aws.Int32(100)
}
