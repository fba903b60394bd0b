package live

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	autoscalingtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/cincbake/cincbake/cluster"
)

// tagged finds what has the throwaway cluster's tag, and nothing else.
func tagged() []types.Filter {
	return []types.Filter{{Name: aws.String("tag:" + cluster.TagCluster), Values: []string{Cluster}}}
}

// sweep removes everything of the throwaway cluster: what has its tag, its channels, and the records below its prefix. It can
// run at any time, and again.
func (a *account) sweep(ctx context.Context) error {
	return errors.Join(a.sweepMachines(ctx), a.sweepChannels(ctx), a.sweepImages(ctx), a.sweepRecords(ctx))
}

// sweepMachines removes the groups, then machines that are in none, then launch templates. It waits until the machines are gone.
func (a *account) sweepMachines(ctx context.Context) error {
	groups, err := a.taggedGroups(ctx)
	if err != nil {
		return err
	}
	for _, name := range groups {
		if _, err := a.groups.DeleteAutoScalingGroup(ctx, &autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: &name, ForceDelete: aws.Bool(true)}); err != nil {
			return err
		}
	}
	if err := a.until(ctx, "groups are gone", func(ctx context.Context) (bool, error) {
		left, err := a.taggedGroups(ctx)
		return len(left) == 0, err
	}); err != nil {
		return err
	}
	machines, err := a.machines(ctx)
	if err != nil {
		return err
	}
	if len(machines) > 0 {
		if _, err := a.ec2.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: machines}); err != nil {
			return err
		}
	}
	if err := a.until(ctx, "machines are gone", func(ctx context.Context) (bool, error) {
		left, err := a.machines(ctx)
		return len(left) == 0, err
	}); err != nil {
		return err
	}
	templates, err := a.templates(ctx)
	for _, id := range templates {
		_, failed := a.ec2.DeleteLaunchTemplate(ctx, &ec2.DeleteLaunchTemplateInput{LaunchTemplateId: &id})
		err = errors.Join(err, failed)
	}
	return err
}

func (a *account) taggedGroups(ctx context.Context) ([]string, error) {
	var names []string
	pages := autoscaling.NewDescribeAutoScalingGroupsPaginator(a.groups, &autoscaling.DescribeAutoScalingGroupsInput{
		Filters: []autoscalingtypes.Filter{{Name: aws.String("tag:" + cluster.TagCluster), Values: []string{Cluster}}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, g := range page.AutoScalingGroups {
			names = append(names, *g.AutoScalingGroupName)
		}
	}
	return names, nil
}

// machines are those that are not gone yet.
func (a *account) machines(ctx context.Context) ([]string, error) {
	var ids []string
	pages := ec2.NewDescribeInstancesPaginator(a.ec2, &ec2.DescribeInstancesInput{Filters: append(tagged(), types.Filter{
		Name: aws.String("instance-state-name"), Values: []string{"pending", "running", "shutting-down", "stopping", "stopped"},
	})})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				ids = append(ids, *i.InstanceId)
			}
		}
	}
	return ids, nil
}

func (a *account) templates(ctx context.Context) ([]string, error) {
	var ids []string
	pages := ec2.NewDescribeLaunchTemplatesPaginator(a.ec2, &ec2.DescribeLaunchTemplatesInput{Filters: tagged()})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, t := range page.LaunchTemplates {
			ids = append(ids, *t.LaunchTemplateId)
		}
	}
	return ids, nil
}

func (a *account) channels(ctx context.Context) ([]string, error) {
	var names []string
	pages := ssm.NewGetParametersByPathPaginator(a.ssm, &ssm.GetParametersByPathInput{Path: aws.String("/cincbake/" + Cluster), Recursive: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range page.Parameters {
			names = append(names, *p.Name)
		}
	}
	return names, nil
}

func (a *account) sweepChannels(ctx context.Context) error {
	names, err := a.channels(ctx)
	for _, name := range names {
		_, failed := a.ssm.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: &name})
		err = errors.Join(err, failed)
	}
	return err
}

func (a *account) amis(ctx context.Context) ([]types.Image, error) {
	var all []types.Image
	pages := ec2.NewDescribeImagesPaginator(a.ec2, &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: tagged()})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Images...)
	}
	return all, nil
}

func (a *account) snapshots(ctx context.Context) ([]string, error) {
	var ids []string
	pages := ec2.NewDescribeSnapshotsPaginator(a.ec2, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, Filters: tagged()})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range page.Snapshots {
			ids = append(ids, *s.SnapshotId)
		}
	}
	return ids, nil
}

// sweepImages removes AMIs, first the protection of promoted ones, and then the snapshots.
func (a *account) sweepImages(ctx context.Context) error {
	images, err := a.amis(ctx)
	if err != nil {
		return err
	}
	for _, i := range images {
		if protection := aws.ToString(i.DeregistrationProtection); protection != "" && protection != "disabled" {
			if _, err := a.ec2.DisableImageDeregistrationProtection(ctx, &ec2.DisableImageDeregistrationProtectionInput{ImageId: i.ImageId}); err != nil {
				return err
			}
		}
		if _, err := a.ec2.DeregisterImage(ctx, &ec2.DeregisterImageInput{ImageId: i.ImageId}); err != nil {
			return err
		}
	}
	snapshots, err := a.snapshots(ctx)
	for _, id := range snapshots {
		_, failed := a.ec2.DeleteSnapshot(ctx, &ec2.DeleteSnapshotInput{SnapshotId: &id})
		err = errors.Join(err, failed)
	}
	return err
}

func (a *account) records(ctx context.Context) ([]string, error) {
	var keys []string
	pages := s3.NewListObjectsV2Paginator(a.s3, &s3.ListObjectsV2Input{Bucket: &a.r.AWS.Bucket, Prefix: aws.String(Cluster + "/")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	return keys, nil
}

func (a *account) sweepRecords(ctx context.Context) error {
	keys, err := a.records(ctx)
	for _, key := range keys {
		_, failed := a.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &a.r.AWS.Bucket, Key: &key})
		err = errors.Join(err, failed)
	}
	return err
}

// left lists what is still there of the throwaway cluster.
func (a *account) left(ctx context.Context) ([]string, error) {
	var all []string
	for kind, look := range map[string]func(context.Context) ([]string, error){
		"group": a.taggedGroups, "machine": a.machines, "launch template": a.templates, "channel": a.channels, "snapshot": a.snapshots, "record": a.records,
	} {
		names, err := look(ctx)
		if err != nil {
			return nil, fmt.Errorf("look for each %s: %w", kind, err)
		}
		for _, name := range names {
			all = append(all, kind+" "+name)
		}
	}
	images, err := a.amis(ctx)
	for _, i := range images {
		all = append(all, "image "+*i.ImageId)
	}
	return all, err
}
