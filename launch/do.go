package launch

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	autoscalingtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/cluster"
)

// doing makes a call, and notes in the state what came of it.
type doing = func(context.Context, *Fleet, *State) error

// onCreation gives tags to what is being made, so that nothing is ever there without them.
func onCreation(kind types.ResourceType, tags map[string]string) []types.TagSpecification {
	return []types.TagSpecification{{ResourceType: kind, Tags: tagList(tags)}}
}

// slotTags are the tags of what a slot keeps.
func slotTags(name string, g WantedGroup) map[string]string {
	tags := groupTags(name, g)
	tags["Name"] = name + " " + g.Node.Name
	return tags
}

// onceToken is the token of a call that makes what a slot keeps, so that who comes again before the first one's work is to be
// seen, after a crash or from another desk, is told of that and makes no second one. EC2 remembers a token longer than what it
// made: a volume that was deleted on purpose must not keep its slot from a new one for good. So the token is another one each hour.
func onceToken(what ...any) *string {
	digest := sha256.Sum256(fmt.Appendln(nil, append(what, time.Now().UTC().Truncate(time.Hour).Unix())...))
	return aws.String(hex.EncodeToString(digest[:]))
}

func createInterface(name string, g WantedGroup) doing {
	return func(ctx context.Context, f *Fleet, s *State) error {
		out, err := f.EC2.CreateNetworkInterface(ctx, &ec2.CreateNetworkInterfaceInput{
			SubnetId: aws.String(g.Interface.Subnet), Groups: g.Interface.SecurityGroups,
			ClientToken:       onceToken(kindInterface, name, g.Node.Name, g.Interface.Subnet, g.Interface.SecurityGroups),
			Description:       aws.String(name + " " + g.Node.Name),
			TagSpecifications: onCreation(types.ResourceTypeNetworkInterface, slotTags(name, g)),
		})
		if err != nil {
			return err
		}
		s.Interfaces[g.Node.Name] = Interface{
			ID: aws.ToString(out.NetworkInterface.NetworkInterfaceId), Subnet: g.Interface.Subnet, SecurityGroups: g.Interface.SecurityGroups,
			Address: aws.ToString(out.NetworkInterface.PrivateIpAddress),
		}
		return nil
	}
}

func modifyInterface(node string, have Interface, groups []string) doing {
	return func(ctx context.Context, f *Fleet, s *State) error {
		_, err := f.EC2.ModifyNetworkInterfaceAttribute(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: aws.String(have.ID), Groups: groups})
		if err == nil {
			have.SecurityGroups = groups
			s.Interfaces[node] = have
		}
		return err
	}
}

func createVolume(name string, g WantedGroup, zone string) doing {
	return func(ctx context.Context, f *Fleet, s *State) error {
		out, err := f.EC2.CreateVolume(ctx, &ec2.CreateVolumeInput{
			AvailabilityZone: aws.String(zone), Size: aws.Int32(int32(g.Volume.GiB)), VolumeType: types.VolumeType(g.Volume.Type), //nolint:gosec // the spec's limit is 16384
			Encrypted: aws.Bool(true), KmsKeyId: aws.String(g.Volume.Key), ClientToken: onceToken(kindVolume, name, g.Node.Name, zone, *g.Volume),
			TagSpecifications: onCreation(types.ResourceTypeVolume, slotTags(name, g)),
		})
		if err == nil && (out.State == types.VolumeStateDeleting || out.State == types.VolumeStateDeleted) {
			return fmt.Errorf("%s was deleted within the last hour, and EC2 answers with it for as long: try again in an hour", aws.ToString(out.VolumeId))
		}
		if err == nil {
			s.Volumes[g.Node.Name] = Volume{ID: aws.ToString(out.VolumeId), Zone: zone, Key: g.Volume.Key}
		}
		return err
	}
}

func createTemplate(g WantedGroup, wanted Template) doing {
	return func(ctx context.Context, f *Fleet, s *State) error {
		out, err := f.EC2.CreateLaunchTemplate(ctx, &ec2.CreateLaunchTemplateInput{
			LaunchTemplateName: aws.String(g.Name), LaunchTemplateData: wanted.Data(), VersionDescription: aws.String(label(wanted.Digest(), 0)),
			ClientToken:       aws.String(rand.Text()),
			TagSpecifications: onCreation(types.ResourceTypeLaunchTemplate, groupTags(f.Cluster.Name, g)),
		})
		if err != nil {
			return err
		}
		s.Templates[g.Name] = LaunchTemplate{
			ID: aws.ToString(out.LaunchTemplate.LaunchTemplateId), Default: 1, Latest: 1,
			Versions: []Version{{Number: 1, Digest: wanted.Digest(), Fields: templateFields(said(wanted.Data()))}},
		}
		return nil
	}
}

func createVersion(g WantedGroup, wanted Template, have LaunchTemplate, before int64) doing {
	return func(ctx context.Context, f *Fleet, s *State) error {
		// The same for whoever comes again before the version is to be seen everywhere.
		token := sha256.Sum256(fmt.Appendf(nil, "%s %d %s", have.ID, have.Latest, wanted.Digest()))
		out, err := f.EC2.CreateLaunchTemplateVersion(ctx, &ec2.CreateLaunchTemplateVersionInput{
			LaunchTemplateId: aws.String(have.ID), LaunchTemplateData: wanted.Data(), VersionDescription: aws.String(label(wanted.Digest(), before)),
			ClientToken: aws.String(hex.EncodeToString(token[:])),
		})
		if err != nil {
			return err
		}
		made := Version{
			Number: aws.ToInt64(out.LaunchTemplateVersion.VersionNumber), Digest: wanted.Digest(), After: before, Fields: templateFields(said(wanted.Data())),
		}
		have.Latest = made.Number
		have.Versions = append([]Version{made}, have.Versions...)
		s.Templates[g.Name] = have
		return nil
	}
}

func deleteVersions(name string, t LaunchTemplate, gone []int64) doing {
	return func(ctx context.Context, f *Fleet, s *State) error {
		// Somebody else's group may have begun to use one since the plan.
		inUse, err := f.versionsInUse(ctx)
		if err != nil {
			return err
		}
		used := inUse[t.ID]
		var numbers []string
		for _, n := range gone {
			if !used[n] {
				numbers = append(numbers, strconv.FormatInt(n, 10))
			}
		}
		const mostAtOnce = 200
		for some := range slices.Chunk(numbers, mostAtOnce) {
			out, err := f.EC2.DeleteLaunchTemplateVersions(ctx, &ec2.DeleteLaunchTemplateVersionsInput{LaunchTemplateId: aws.String(t.ID), Versions: some})
			if err != nil {
				return err
			}
			for _, failed := range out.UnsuccessfullyDeletedLaunchTemplateVersions {
				if e := failed.ResponseError; e != nil && e.Code != types.LaunchTemplateErrorCodeLaunchTemplateVersionDoesNotExist {
					return fmt.Errorf("version %d: %s", aws.ToInt64(failed.VersionNumber), aws.ToString(e.Message))
				}
			}
		}
		t.Versions = slices.DeleteFunc(slices.Clone(t.Versions), func(v Version) bool { return slices.Contains(gone, v.Number) })
		s.Templates[name] = t
		return nil
	}
}

// versionsInUse returns the versions that any group of the account uses, or a machine in one, by template.
func (f *Fleet) versionsInUse(ctx context.Context) (map[string]map[int64]bool, error) {
	used := map[string]map[int64]bool{}
	note := func(t *autoscalingtypes.LaunchTemplateSpecification) {
		id, number := exactVersion(t)
		if used[id] == nil {
			used[id] = map[int64]bool{}
		}
		used[id][number] = true
	}
	pages := autoscaling.NewDescribeAutoScalingGroupsPaginator(f.AutoScaling, &autoscaling.DescribeAutoScalingGroupsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, g := range page.AutoScalingGroups {
			note(g.LaunchTemplate)
			if m := g.MixedInstancesPolicy; m != nil && m.LaunchTemplate != nil {
				note(m.LaunchTemplate.LaunchTemplateSpecification)
			}
			for _, i := range g.Instances {
				note(i.LaunchTemplate)
			}
		}
	}
	return used, nil
}

// use names an exact version of a template.
func use(template string, version int64) *autoscalingtypes.LaunchTemplateSpecification {
	return &autoscalingtypes.LaunchTemplateSpecification{LaunchTemplateId: aws.String(template), Version: aws.String(strconv.FormatInt(version, 10))}
}

func count32(n int) *int32 { return aws.Int32(int32(n)) } //nolint:gosec // numbers of machines, and seconds

// The hook's words. A machine that is not ready in time is given up: another one is tried.
const (
	hookTransition = "autoscaling:EC2_INSTANCE_LAUNCHING"
	hookDefault    = "ABANDON"
)

func createGroup(name string, g WantedGroup, wanted Group) doing {
	return func(ctx context.Context, f *Fleet, s *State) error {
		in := &autoscaling.CreateAutoScalingGroupInput{
			AutoScalingGroupName: aws.String(g.Name), LaunchTemplate: use(wanted.Template, wanted.Version),
			MinSize: count32(g.Min), MaxSize: count32(g.Max), DesiredCapacity: count32(g.Min),
			HealthCheckType: aws.String(wanted.HealthCheck), TargetGroupARNs: g.TargetGroups,
			// With the group, so that no machine is ever launched without it.
			LifecycleHookSpecificationList: []autoscalingtypes.LifecycleHookSpecification{{
				LifecycleHookName: aws.String(cluster.ReadyHook), LifecycleTransition: aws.String(hookTransition), HeartbeatTimeout: count32(g.HookTimeout), DefaultResult: aws.String(hookDefault),
			}},
		}
		if g.Slot() {
			in.AvailabilityZones = wanted.Zones // its interface is in the subnet already
		} else {
			in.VPCZoneIdentifier = aws.String(strings.Join(g.Subnets, ","))
		}
		tags := groupTags(name, g)
		for _, key := range slices.Sorted(maps.Keys(tags)) {
			in.Tags = append(in.Tags, autoscalingtypes.Tag{
				Key: aws.String(key), Value: aws.String(tags[key]), PropagateAtLaunch: aws.Bool(false),
				ResourceId: aws.String(g.Name), ResourceType: aws.String("auto-scaling-group"),
			})
		}
		if _, err := f.AutoScaling.CreateAutoScalingGroup(ctx, in); err != nil {
			return err
		}
		s.Groups[g.Name] = wanted
		return nil
	}
}

func updateGroup(g WantedGroup, have, wanted Group) doing {
	return func(ctx context.Context, f *Fleet, s *State) error {
		in := &autoscaling.UpdateAutoScalingGroupInput{
			AutoScalingGroupName: aws.String(g.Name), LaunchTemplate: use(wanted.Template, wanted.Version),
			MinSize: count32(g.Min), MaxSize: count32(g.Max), HealthCheckType: aws.String(wanted.HealthCheck),
		}
		if !g.Slot() { // a slot's group stays in its zone
			in.VPCZoneIdentifier = aws.String(strings.Join(g.Subnets, ","))
		}
		if _, err := f.AutoScaling.UpdateAutoScalingGroup(ctx, in); err != nil {
			return err
		}
		wanted.Instances, wanted.HookTimeout, wanted.TargetGroups = have.Instances, have.HookTimeout, have.TargetGroups
		if have.Template != wanted.Template {
			wanted.Instances = nil // all of them are from another template
		}
		wanted.Desired = min(max(have.Desired, g.Min), g.Max)
		s.Groups[g.Name] = wanted
		return nil
	}
}

func putHook(g WantedGroup) doing {
	return func(ctx context.Context, f *Fleet, s *State) error {
		_, err := f.AutoScaling.PutLifecycleHook(ctx, &autoscaling.PutLifecycleHookInput{
			AutoScalingGroupName: aws.String(g.Name), LifecycleHookName: aws.String(cluster.ReadyHook), LifecycleTransition: aws.String(hookTransition),
			HeartbeatTimeout: count32(g.HookTimeout), DefaultResult: aws.String(hookDefault),
		})
		if err == nil {
			have := s.Groups[g.Name]
			have.HookTimeout = g.HookTimeout
			s.Groups[g.Name] = have
		}
		return err
	}
}

func attachTargets(group, arn string) doing {
	return func(ctx context.Context, f *Fleet, s *State) error {
		_, err := f.AutoScaling.AttachLoadBalancerTargetGroups(ctx, &autoscaling.AttachLoadBalancerTargetGroupsInput{AutoScalingGroupName: aws.String(group), TargetGroupARNs: []string{arn}})
		if err == nil {
			have := s.Groups[group]
			have.TargetGroups = slices.Sorted(slices.Values(append(slices.Clone(have.TargetGroups), arn)))
			s.Groups[group] = have
		}
		return err
	}
}

func detachTargets(group, arn string) doing {
	return func(ctx context.Context, f *Fleet, s *State) error {
		_, err := f.AutoScaling.DetachLoadBalancerTargetGroups(ctx, &autoscaling.DetachLoadBalancerTargetGroupsInput{AutoScalingGroupName: aws.String(group), TargetGroupARNs: []string{arn}})
		if err == nil {
			have := s.Groups[group]
			have.TargetGroups = without(have.TargetGroups, []string{arn})
			s.Groups[group] = have
		}
		return err
	}
}
