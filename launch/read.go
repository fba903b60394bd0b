package launch

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	autoscalingtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// filters are one EC2 filter.
func filters(name string, values ...string) []types.Filter {
	return []types.Filter{{Name: aws.String(name), Values: values}}
}

// ours are the filters of what belongs to the cluster.
func (f *Fleet) ours() []types.Filter { return filters("tag:"+cluster.TagCluster, f.Cluster.Name) }

// Read returns what the cluster has at AWS, found by its tags.
func (f *Fleet) Read(ctx context.Context) (State, error) {
	s := State{
		Zones: map[string]string{}, Interfaces: map[string]Interface{}, Volumes: map[string]Volume{},
		Templates: map[string]LaunchTemplate{}, Groups: map[string]Group{}, Twice: map[string]error{},
	}
	for _, part := range []struct {
		what string
		read func(context.Context, *State) error
	}{
		{"subnets", f.readSubnets},
		{"network interfaces", f.readInterfaces},
		{"volumes", f.readVolumes},
		{"launch templates", f.readTemplates},
		{"autoscaling groups", f.readGroups},
	} {
		if err := part.read(ctx, &s); err != nil {
			return State{}, fmt.Errorf("read the %s: %w", part.what, err)
		}
	}
	return s, nil
}

// readToPlan returns what the cluster has, and who uses it.
func (f *Fleet) readToPlan(ctx context.Context) (State, error) {
	s, err := f.Read(ctx)
	if err != nil {
		return State{}, err
	}
	used, err := f.versionsInUse(ctx)
	if err != nil {
		return State{}, fmt.Errorf("read who uses the launch templates: %w", err)
	}
	for name, t := range s.Templates {
		t.Used = used[t.ID]
		s.Templates[name] = t
	}
	return s, nil
}

func (f *Fleet) readSubnets(ctx context.Context, s *State) error {
	pages := ec2.NewDescribeSubnetsPaginator(f.EC2, &ec2.DescribeSubnetsInput{Filters: filters("subnet-id", f.Cluster.Network.Subnets...)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, subnet := range page.Subnets {
			s.Zones[aws.ToString(subnet.SubnetId)] = aws.ToString(subnet.AvailabilityZone)
		}
	}
	var lacks []string
	for _, subnet := range f.Cluster.Network.Subnets {
		if s.Zones[subnet] == "" {
			lacks = append(lacks, subnet)
		}
	}
	if len(lacks) > 0 {
		return exit.Errorf(exit.Missing, "there is no %s in %s: correct network.subnets", strings.Join(lacks, ", "), f.Cluster.Region)
	}
	return nil
}

// twice is two things where a slot keeps one. It concerns who would make or change something of the slot, and nobody else.
func twice(what, node, one, other string) error {
	return exit.Errorf(exit.Unsafe, "%s has two %s, %s and %s, and nothing tells which is the right one: take the tag %s from the other",
		node, what, one, other, cluster.TagNode)
}

func (f *Fleet) readInterfaces(ctx context.Context, s *State) error {
	pages := ec2.NewDescribeNetworkInterfacesPaginator(f.EC2, &ec2.DescribeNetworkInterfacesInput{Filters: f.ours()})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, n := range page.NetworkInterfaces {
			node := tagMap(n.TagSet)[cluster.TagNode]
			if node == "" {
				continue // the pool's: they come and go with their machines
			}
			if known, ok := s.Interfaces[node]; ok {
				s.Twice[node] = twice("network interfaces", node, known.ID, aws.ToString(n.NetworkInterfaceId))
				continue
			}
			var groups []string
			for _, group := range n.Groups {
				groups = append(groups, aws.ToString(group.GroupId))
			}
			slices.Sort(groups)
			s.Interfaces[node] = Interface{
				ID: aws.ToString(n.NetworkInterfaceId), Subnet: aws.ToString(n.SubnetId), SecurityGroups: groups, Address: aws.ToString(n.PrivateIpAddress),
			}
		}
	}
	return nil
}

func (f *Fleet) readVolumes(ctx context.Context, s *State) error {
	pages := ec2.NewDescribeVolumesPaginator(f.EC2, &ec2.DescribeVolumesInput{Filters: f.ours()})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, v := range page.Volumes {
			node := tagMap(v.Tags)[cluster.TagNode]
			if node == "" || v.State == types.VolumeStateDeleting || v.State == types.VolumeStateDeleted {
				continue // a root volume, or gone
			}
			if known, ok := s.Volumes[node]; ok {
				s.Twice[node] = twice("data volumes", node, known.ID, aws.ToString(v.VolumeId))
				continue
			}
			s.Volumes[node] = Volume{ID: aws.ToString(v.VolumeId), Zone: aws.ToString(v.AvailabilityZone), Key: aws.ToString(v.KmsKeyId)}
		}
	}
	return nil
}

func (f *Fleet) readTemplates(ctx context.Context, s *State) error {
	pages := ec2.NewDescribeLaunchTemplatesPaginator(f.EC2, &ec2.DescribeLaunchTemplatesInput{Filters: f.ours()})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, t := range page.LaunchTemplates {
			template := LaunchTemplate{ID: aws.ToString(t.LaunchTemplateId), Default: aws.ToInt64(t.DefaultVersionNumber), Latest: aws.ToInt64(t.LatestVersionNumber)}
			if template.Versions, err = f.readVersions(ctx, template.ID); err != nil {
				return err
			}
			s.Templates[aws.ToString(t.LaunchTemplateName)] = template
		}
	}
	return nil
}

func (f *Fleet) readVersions(ctx context.Context, template string) ([]Version, error) {
	var versions []Version
	pages := ec2.NewDescribeLaunchTemplateVersionsPaginator(f.EC2, &ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateId: aws.String(template)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, v := range page.LaunchTemplateVersions {
			version := Version{Number: aws.ToInt64(v.VersionNumber)}
			version.Digest, version.After = parseLabel(aws.ToString(v.VersionDescription))
			if v.LaunchTemplateData != nil {
				version.Fields = templateFields(v.LaunchTemplateData)
			}
			versions = append(versions, version)
		}
	}
	slices.SortFunc(versions, func(a, b Version) int { return int(b.Number - a.Number) })
	return versions, nil
}

func (f *Fleet) readGroups(ctx context.Context, s *State) error {
	pages := autoscaling.NewDescribeAutoScalingGroupsPaginator(f.AutoScaling, &autoscaling.DescribeAutoScalingGroupsInput{
		Filters: []autoscalingtypes.Filter{{Name: aws.String("tag:" + cluster.TagCluster), Values: []string{f.Cluster.Name}}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, g := range page.AutoScalingGroups {
			group := groupOf(g)
			hooks, err := f.AutoScaling.DescribeLifecycleHooks(ctx, &autoscaling.DescribeLifecycleHooksInput{
				AutoScalingGroupName: g.AutoScalingGroupName, LifecycleHookNames: []string{cluster.ReadyHook},
			})
			if err != nil {
				return err
			}
			for _, hook := range hooks.LifecycleHooks {
				group.HookTimeout = int(aws.ToInt32(hook.HeartbeatTimeout))
			}
			s.Groups[group.Name] = group
		}
	}
	return nil
}

// groupOf reads a group as autoscaling describes it, all but its hook.
func groupOf(g autoscalingtypes.AutoScalingGroup) Group {
	group := Group{
		Name: aws.ToString(g.AutoScalingGroupName), Min: int(aws.ToInt32(g.MinSize)), Max: int(aws.ToInt32(g.MaxSize)), Desired: int(aws.ToInt32(g.DesiredCapacity)),
		Zones: slices.Sorted(slices.Values(g.AvailabilityZones)), TargetGroups: slices.Sorted(slices.Values(g.TargetGroupARNs)),
		HealthCheck: aws.ToString(g.HealthCheckType),
	}
	if subnets := aws.ToString(g.VPCZoneIdentifier); subnets != "" {
		group.Subnets = slices.Sorted(strings.SplitSeq(subnets, ","))
	}
	for _, tag := range g.Tags {
		switch aws.ToString(tag.Key) {
		case cluster.TagRole:
			group.Role = cluster.Role(aws.ToString(tag.Value))
		case cluster.TagNode:
			group.Node = aws.ToString(tag.Value)
		}
	}
	group.Template, group.Version = exactVersion(g.LaunchTemplate)
	for _, i := range g.Instances {
		instance := Instance{ID: aws.ToString(i.InstanceId), State: string(i.LifecycleState), Healthy: aws.ToString(i.HealthStatus) == "Healthy"}
		if template, version := exactVersion(i.LaunchTemplate); template == group.Template {
			instance.Version = version
		}
		group.Instances = append(group.Instances, instance)
	}
	return group
}

// exactVersion returns a template's id and the version's number; 0: it is not one exact version.
func exactVersion(t *autoscalingtypes.LaunchTemplateSpecification) (id string, number int64) {
	if t == nil {
		return "", 0
	}
	number, err := strconv.ParseInt(aws.ToString(t.Version), 10, 64)
	if err != nil {
		number = 0
	}
	return aws.ToString(t.LaunchTemplateId), number
}
