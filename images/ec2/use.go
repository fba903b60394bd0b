package ec2

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/cluster"
)

// uses says who uses AMIs and snapshots of a region, by id, in words.
type uses map[string]string

// add notes a user, unless one is known: one is enough to keep an image.
func (u uses) add(id *string, format string, args ...any) {
	if _, known := u[value(id)]; value(id) != "" && !known {
		u[value(id)] = fmt.Sprintf(format, args...)
	}
}

// uses asks who uses what in a region: instances in any state but terminated, and versions of launch templates: those that
// autoscaling groups launch from, every template's default and latest one, and the newest keep of the cluster's own.
func (c *Catalogue) uses(ctx context.Context, r Region, keep int) (uses, error) {
	u := uses{}
	if err := instanceUses(ctx, r, u); err != nil {
		return nil, err
	}
	groups, err := groupVersions(ctx, r)
	if err != nil {
		return nil, err
	}
	return u, c.templateUses(ctx, r, groups, keep, u)
}

func instanceUses(ctx context.Context, r Region, u uses) error {
	pages := ec2.NewDescribeInstancesPaginator(r.EC2, &ec2.DescribeInstancesInput{
		// All but terminated: a stopped one starts again, as those of a warm pool do.
		Filters:    []types.Filter{filter("instance-state-name", "pending", "running", "stopping", "stopped", "shutting-down")},
		MaxResults: aws.Int32(pageSize),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, reservation := range page.Reservations {
			for _, i := range reservation.Instances {
				u.add(i.ImageId, "instance %s, which is %s", value(i.InstanceId), i.State.Name)
			}
		}
	}
	return nil
}

// versions are those of launch templates that groups launch from, by the template's id or name, and then by the version, with
// the group's name.
type versions map[string]map[string]string

func groupVersions(ctx context.Context, r Region) (versions, error) {
	used := versions{}
	note := func(s *scaling.LaunchTemplateSpecification, group *string) {
		if s == nil {
			return
		}
		template := cmp.Or(value(s.LaunchTemplateId), value(s.LaunchTemplateName))
		if used[template] == nil {
			used[template] = map[string]string{}
		}
		used[template][cmp.Or(value(s.Version), "$Default")] = value(group)
	}
	pages := autoscaling.NewDescribeAutoScalingGroupsPaginator(r.Groups, &autoscaling.DescribeAutoScalingGroupsInput{MaxRecords: aws.Int32(100)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, g := range page.AutoScalingGroups {
			note(g.LaunchTemplate, g.AutoScalingGroupName)
			for _, i := range g.Instances { // what a refresh replaces, it may have to bring back
				note(i.LaunchTemplate, g.AutoScalingGroupName)
			}
			if mixed := g.MixedInstancesPolicy; mixed != nil && mixed.LaunchTemplate != nil {
				note(mixed.LaunchTemplate.LaunchTemplateSpecification, g.AutoScalingGroupName)
				for _, override := range mixed.LaunchTemplate.Overrides {
					note(override.LaunchTemplateSpecification, g.AutoScalingGroupName)
				}
			}
		}
	}
	return used, nil
}

func (c *Catalogue) templateUses(ctx context.Context, r Region, groups versions, keep int, u uses) error {
	pages := ec2.NewDescribeLaunchTemplatesPaginator(r.EC2, &ec2.DescribeLaunchTemplatesInput{MaxResults: aws.Int32(200)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, t := range page.LaunchTemplates {
			launched := groups[value(t.LaunchTemplateId)]
			if launched == nil {
				launched = groups[value(t.LaunchTemplateName)]
			}
			if err := c.versionUses(ctx, r, t, launched, keep, u); err != nil {
				return fmt.Errorf("launch template %s: %w", value(t.LaunchTemplateName), err)
			}
		}
	}
	return nil
}

// versionUses notes what the versions of a template launch that somebody may launch from.
func (c *Catalogue) versionUses(ctx context.Context, r Region, t types.LaunchTemplate, launched map[string]string, keep int, u uses) error {
	name := value(t.LaunchTemplateName)
	ours := hasTag(t.Tags, cluster.TagCluster, c.cluster)
	input := &ec2.DescribeLaunchTemplateVersionsInput{
		LaunchTemplateId: t.LaunchTemplateId, MaxResults: aws.Int32(200),
		ResolveAlias: aws.Bool(true), // resolve:ssm:… as the id that it stands for now
	}
	if !ours { // of somebody else's, only what is asked for
		input.Versions, input.MaxResults = []string{"$Default", "$Latest"}, nil
		for version := range launched {
			if !slices.Contains(input.Versions, version) {
				input.Versions = append(input.Versions, version)
			}
		}
		slices.Sort(input.Versions)
	}
	all, err := versionsThere(ctx, r, input)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b types.LaunchTemplateVersion) int {
		return cmp.Compare(aws.ToInt64(b.VersionNumber), aws.ToInt64(a.VersionNumber)) // newest first
	})
	for nth, v := range all {
		number := aws.ToInt64(v.VersionNumber)
		var why string
		switch group := launched[strconv.FormatInt(number, 10)]; {
		case group != "":
			why = "which the group " + group + " launches from"
		case number == aws.ToInt64(t.DefaultVersionNumber):
			why = "its default one"
		case number == aws.ToInt64(t.LatestVersionNumber):
			why = "its latest one"
		case ours && nth < keep:
			why = fmt.Sprintf("one of its newest %d, to roll back to", keep)
		default:
			continue
		}
		what := fmt.Sprintf("version %d of the launch template %s, %s", number, name, why)
		if v.LaunchTemplateData == nil {
			continue
		}
		u.add(v.LaunchTemplateData.ImageId, "%s", what)
		for _, device := range v.LaunchTemplateData.BlockDeviceMappings {
			if device.Ebs != nil {
				u.add(device.Ebs.SnapshotId, "%s", what)
			}
		}
	}
	return nil
}

// versionsThere describes versions of a template, as far as they are there: its owner may delete it, or some of them, at any
// time, those that instances were launched from too. What is gone launches nothing, and an instance says itself what it is of.
func versionsThere(ctx context.Context, r Region, input *ec2.DescribeLaunchTemplateVersionsInput) ([]types.LaunchTemplateVersion, error) {
	all, err := describeVersions(ctx, r, *input)
	switch {
	case err == nil:
		return all, nil
	case gone(err) && len(input.Versions) > 1: // which of them, the answer does not say
		for _, version := range input.Versions {
			one := *input
			one.Versions = []string{version}
			found, err := versionsThere(ctx, r, &one)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
		return all, nil
	case gone(err):
		return nil, nil
	case !aws.ToBool(input.ResolveAlias):
		return nil, err
	}
	// An alias stands for a parameter, which the caller may not be allowed to read, or which is gone.
	plain := *input
	plain.ResolveAlias = nil
	found, plainErr := versionsThere(ctx, r, &plain)
	if plainErr != nil {
		return nil, err
	}
	for _, v := range found {
		if v.LaunchTemplateData != nil && mayBeOurs(value(v.LaunchTemplateData.ImageId)) {
			return nil, fmt.Errorf("version %d launches %s, and whether that is an image of the cluster's cannot be told: allow ssm:GetParameters on the parameter: %w",
				aws.ToInt64(v.VersionNumber), value(v.LaunchTemplateData.ImageId), err)
		}
	}
	return found, nil
}

// mayBeOurs tells whether an image is an alias that may stand for any image: parameters below /aws/ are AWS's own.
func mayBeOurs(image string) bool {
	return strings.HasPrefix(image, "resolve:ssm:") && !strings.HasPrefix(image, "resolve:ssm:/aws/")
}

// gone tells that a launch template or a version of it is not there.
func gone(err error) bool {
	return slices.Contains([]string{"InvalidLaunchTemplateId.NotFound", "InvalidLaunchTemplateId.VersionNotFound", "InvalidLaunchTemplateName.NotFoundException"}, codeOf(err))
}

func describeVersions(ctx context.Context, r Region, input ec2.DescribeLaunchTemplateVersionsInput) ([]types.LaunchTemplateVersion, error) {
	var all []types.LaunchTemplateVersion
	pages := ec2.NewDescribeLaunchTemplateVersionsPaginator(r.EC2, &input)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, page.LaunchTemplateVersions...)
	}
	return all, nil
}
