package aws

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// device is where the volume is attached, in EC2's words.
const device = "/dev/sdf"

// volumeTime bounds the wait for the volume: the machine that had it before lets go of it when it ends.
const volumeTime = 10 * time.Minute

// Disk attaches the slot's data volume, which has its tags, and waits until its device is there. A volume that another
// instance has, which runs or is stopped, is refused: two machines on one disk destroy it.
func (p *Platform) Disk(ctx context.Context, r *cluster.Resolved, self cluster.Node) (string, error) {
	if self.Placement == nil || self.Placement.VolumeGiB == 0 {
		return "", nil
	}
	known, s, err := p.connect(ctx)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, volumeTime)
	defer cancel()
	for {
		volume, err := volumeOf(ctx, s.ec2, r, self)
		if err != nil {
			return "", err
		}
		why, err := attach(ctx, s.ec2, volume, known.instance)
		if err != nil {
			return "", err
		}
		if why == "" {
			path, err := p.find(ctx, aws.ToString(volume.VolumeId))
			if path != "" || err != nil {
				return path, err
			}
			why = "its device is not there"
		}
		if err := role.Pause(ctx, p.pause); err != nil {
			return "", fmt.Errorf("data volume %s: %s: %w", aws.ToString(volume.VolumeId), why, err)
		}
	}
}

// volumeOf finds the slot's volume.
func volumeOf(ctx context.Context, client EC2, r *cluster.Resolved, self cluster.Node) (types.Volume, error) {
	var found []types.Volume
	pages := ec2.NewDescribeVolumesPaginator(client, &ec2.DescribeVolumesInput{Filters: []types.Filter{
		{Name: aws.String("tag:" + cluster.TagCluster), Values: []string{r.Name}},
		{Name: aws.String("tag:" + cluster.TagNode), Values: []string{self.Name}},
	}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return types.Volume{}, fmt.Errorf("find the data volume of %s: %w", self.Name, err)
		}
		found = append(found, page.Volumes...)
	}
	if len(found) != 1 {
		return types.Volume{}, &role.Refusal{
			Reason: fmt.Sprintf("%d volumes have the tags of %s of cluster %s, and one is its data disk", len(found), self.Name, r.Name),
			Hint:   fmt.Sprintf("cincbake launch apply makes it where there is none; of several take the tag %s from those that are not", cluster.TagNode),
		}
	}
	return found[0], nil
}

// attach brings the volume to the instance. It returns why that takes another look; "": it is there.
func attach(ctx context.Context, client EC2, volume types.Volume, instance string) (why string, err error) {
	id := aws.ToString(volume.VolumeId)
	for _, a := range volume.Attachments {
		holder := aws.ToString(a.InstanceId)
		switch {
		case holder == instance && a.State == types.VolumeAttachmentStateAttached:
			return "", nil
		case holder == instance:
			return "it is " + string(a.State), nil
		case a.State == types.VolumeAttachmentStateDetached:
			continue
		}
		state, err := stateOf(ctx, client, holder)
		if err != nil {
			return "", err
		}
		if state == types.InstanceStateNameShuttingDown || state == types.InstanceStateNameTerminated || a.State == types.VolumeAttachmentStateDetaching {
			return "instance " + holder + " lets go of it", nil
		}
		return "", &role.Refusal{
			Reason: fmt.Sprintf("data volume %s is attached to instance %s, which is %s", id, holder, state),
			Hint:   "two machines must not use one disk: end that instance if it is not the slot's",
		}
	}
	if volume.State != types.VolumeStateAvailable {
		return "it is " + string(volume.State), nil
	}
	_, err = client.AttachVolume(ctx, &ec2.AttachVolumeInput{VolumeId: &id, InstanceId: &instance, Device: aws.String(device)})
	var said smithy.APIError
	if errors.As(err, &said) && (said.ErrorCode() == "VolumeInUse" || said.ErrorCode() == "IncorrectState") {
		return said.ErrorMessage(), nil // another look tells who has it
	}
	if err != nil {
		return "", fmt.Errorf("attach data volume %s: %w", id, err)
	}
	return "it is being attached", nil
}

// stateOf is how an instance is; one that nobody knows any more is terminated.
func stateOf(ctx context.Context, client EC2, id string) (types.InstanceStateName, error) {
	out, err := client.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	var said smithy.APIError
	if errors.As(err, &said) && said.ErrorCode() == "InvalidInstanceID.NotFound" {
		return types.InstanceStateNameTerminated, nil
	}
	if err != nil {
		return "", fmt.Errorf("look at instance %s: %w", id, err)
	}
	for _, reservation := range out.Reservations {
		for _, i := range reservation.Instances {
			return i.State.Name, nil
		}
	}
	return types.InstanceStateNameTerminated, nil
}

// find returns the volume's device; "": it is not there yet. On Nitro udev names it by the volume; elsewhere it is where it was
// attached, by Xen's name.
func (p *Platform) find(ctx context.Context, volume string) (string, error) {
	for _, path := range []string{
		"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_" + strings.Replace(volume, "-", "", 1),
		strings.Replace(device, "/sd", "/xvd", 1),
	} {
		_, err := p.host.Run(ctx, step.Command{Argv: []string{"test", "-b", path}})
		var exit *step.ExitError
		switch {
		case err == nil:
			return path, nil
		case !errors.As(err, &exit) || exit.Err != nil:
			return "", err
		}
	}
	return "", nil
}
