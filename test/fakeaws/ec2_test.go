package fakeaws_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/cincbake/cincbake/test/fakeaws"
)

// TestRegion has the SDK read what every account has in a region.
func TestRegion(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	c, ctx := a.ec2(), t.Context()
	same(t, "regions", len(ok(c.DescribeRegions(ctx, &ec2.DescribeRegionsInput{}))(t).Regions), 3)
	same(t, "zones", *ok(c.DescribeAvailabilityZones(ctx, &ec2.DescribeAvailabilityZonesInput{}))(t).AvailabilityZones[2].ZoneName, "eu-west-1c")
	vpc := ok(c.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: []types.Filter{{Name: aws.String("is-default"), Values: []string{"true"}}}}))(t).Vpcs[0]
	account := ok(c.DescribeAccountAttributes(ctx, &ec2.DescribeAccountAttributesInput{AttributeNames: []types.AccountAttributeName{"default-vpc"}}))(t).AccountAttributes
	same(t, "the network", []any{*vpc.CidrBlock, *account[0].AttributeValues[0].AttributeValue}, []any{"172.31.0.0/16", *vpc.VpcId})

	group := ok(c.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String("api"), Description: aws.String("api"), TagSpecifications: tagged("security-group", "c", "1")}))(t).GroupId
	ok(c.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: group, IpPermissions: []types.IpPermission{{
		IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443), IpRanges: []types.IpRange{{CidrIp: aws.String("10.0.0.0/8")}},
	}}}))(t)
	found := ok(c.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: []types.Filter{{Name: aws.String("tag:c"), Values: []string{"1"}}}}))(t).SecurityGroups
	same(t, "the group", []any{len(found), *found[0].IpPermissions[0].IpRanges[0].CidrIp}, []any{1, "10.0.0.0/8"})
	ok(c.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: group}))(t)
	_, err := c.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{GroupIds: []string{*group}})
	fails(t, err, "InvalidGroup.NotFound")

	ok(c.CreateKeyPair(ctx, &ec2.CreateKeyPairInput{KeyName: aws.String("k"), KeyType: "ed25519"}))(t)
	same(t, "keys", len(ok(c.DescribeKeyPairs(ctx, &ec2.DescribeKeyPairsInput{KeyNames: []string{"k"}}))(t).KeyPairs), 1)
	ok(c.DeleteKeyPair(ctx, &ec2.DeleteKeyPairInput{KeyName: aws.String("k")}))(t)
}

// TestImageLife has the SDK do with an instance and its images whatever can be done.
func TestImageLife(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	c, ctx := a.ec2(), t.Context()
	id := a.run("BlockDeviceMapping.1.DeviceName", "/dev/xvda", "BlockDeviceMapping.1.Ebs.Encrypted", "true", "BlockDeviceMapping.1.Ebs.KmsKeyId", "alias/mine")
	status := func() int {
		return len(ok(c.DescribeInstanceStatus(ctx, &ec2.DescribeInstanceStatusInput{InstanceIds: []string{id}}))(t).InstanceStatuses)
	}
	ok(c.ModifyInstanceAttribute(ctx, &ec2.ModifyInstanceAttributeInput{InstanceId: &id, InstanceInitiatedShutdownBehavior: &types.AttributeValue{Value: aws.String("terminate")}}))(t)
	ok(c.StopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: []string{id}}))(t)
	same(t, "stopped", status(), 0)
	ok(c.StartInstances(ctx, &ec2.StartInstancesInput{InstanceIds: []string{id}}))(t)
	same(t, "started", status(), 1)
	same(t, "its console", *ok(c.GetConsoleOutput(ctx, &ec2.GetConsoleOutputInput{InstanceId: &id}))(t).InstanceId, id)

	image := ok(c.CreateImage(ctx, &ec2.CreateImageInput{InstanceId: &id, Name: aws.String("api-1"), TagSpecifications: append(tagged("image", "c", "1"), tagged("snapshot", "c", "1")...)}))(t).ImageId
	ok(c.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{*image}, Tags: []types.Tag{{Key: aws.String("state"), Value: aws.String("verified")}}}))(t)
	for _, test := range []struct {
		copies bool
		own    []types.TagSpecification
		tags   int
	}{{false, nil, 0}, {true, nil, 2}, {true, tagged("image", "c", "2", "from", "x"), 3}, {false, tagged("image", "c", "2"), 1}} {
		away := a.in("us-east-1").ec2()
		copied := ok(away.CopyImage(ctx, &ec2.CopyImageInput{
			Name: aws.String("api-1"), SourceImageId: image, SourceRegion: &a.region, CopyImageTags: &test.copies, TagSpecifications: test.own, Encrypted: aws.Bool(true), KmsKeyId: aws.String("alias/there"),
		}))(t).ImageId
		there := ok(away.DescribeImages(ctx, &ec2.DescribeImagesInput{ImageIds: []string{*copied}}))(t).Images[0]
		snapshot := ok(away.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*there.BlockDeviceMappings[0].Ebs.SnapshotId}}))(t).Snapshots[0]
		same(t, "a copy", []any{len(there.Tags), len(snapshot.Tags), *snapshot.KmsKeyId}, []any{test.tags, 0, "alias/there"})
		ok(away.DeregisterImage(ctx, &ec2.DeregisterImageInput{ImageId: copied}))(t)
	}

	permission := []types.LaunchPermission{{UserId: aws.String("444455556666")}}
	ok(c.ModifyImageAttribute(ctx, &ec2.ModifyImageAttributeInput{ImageId: image, LaunchPermission: &types.LaunchPermissionModifications{Add: permission}}))(t)
	shared := func() int {
		return len(ok(c.DescribeImageAttribute(ctx, &ec2.DescribeImageAttributeInput{ImageId: image, Attribute: "launchPermission"}))(t).LaunchPermissions)
	}
	same(t, "shared", shared(), 1)
	ok(c.ModifyImageAttribute(ctx, &ec2.ModifyImageAttributeInput{ImageId: image, LaunchPermission: &types.LaunchPermissionModifications{Remove: permission}}))(t)
	same(t, "shared no more", shared(), 0)

	now := func() types.Image {
		return ok(c.DescribeImages(ctx, &ec2.DescribeImagesInput{ImageIds: []string{*image}}))(t).Images[0]
	}
	ok(c.EnableImageDeprecation(ctx, &ec2.EnableImageDeprecationInput{ImageId: image, DeprecateAt: aws.Time(time.Now().AddDate(0, 0, 1))}))(t)
	same(t, "deprecated", now().DeprecationTime == nil, false)
	ok(c.DisableImageDeprecation(ctx, &ec2.DisableImageDeprecationInput{ImageId: image}))(t)
	same(t, "not deprecated", now().DeprecationTime == nil, true)
	ok(c.EnableImageDeregistrationProtection(ctx, &ec2.EnableImageDeregistrationProtectionInput{ImageId: image}))(t)
	_, err := c.DeregisterImage(ctx, &ec2.DeregisterImageInput{ImageId: image})
	fails(t, err, "OperationNotPermitted")
	ok(c.DisableImageDeregistrationProtection(ctx, &ec2.DisableImageDeregistrationProtectionInput{ImageId: image}))(t)

	snapshot := now().BlockDeviceMappings[0].Ebs.SnapshotId
	ok(c.ModifySnapshotAttribute(ctx, &ec2.ModifySnapshotAttributeInput{SnapshotId: snapshot, CreateVolumePermission: &types.CreateVolumePermissionModifications{Add: []types.CreateVolumePermission{{UserId: aws.String("444455556666")}}}}))(t)
	users := ok(c.DescribeSnapshotAttribute(ctx, &ec2.DescribeSnapshotAttributeInput{SnapshotId: snapshot, Attribute: types.SnapshotAttributeNameCreateVolumePermission}))(t).CreateVolumePermissions
	same(t, "who may use the snapshot", []any{len(users), *users[0].UserId}, []any{1, "444455556666"})
	_, err = c.DeleteSnapshot(ctx, &ec2.DeleteSnapshotInput{SnapshotId: snapshot})
	fails(t, err, "InvalidSnapshot.InUse")
	ok(c.DeregisterImage(ctx, &ec2.DeregisterImageInput{ImageId: image}))(t)
	again := ok(c.RegisterImage(ctx, &ec2.RegisterImageInput{Name: aws.String("again"), Architecture: "x86_64", RootDeviceName: aws.String("/dev/xvda"), BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: snapshot}}}}))(t).ImageId
	ok(c.DeregisterImage(ctx, &ec2.DeregisterImageInput{ImageId: again}))(t)
	ok(c.DeleteSnapshot(ctx, &ec2.DeleteSnapshotInput{SnapshotId: snapshot}))(t)
}

// TestLateHang is an effect whose caller never hears of it.
func TestLateHang(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	a.server.AddBucket(a.region, "b")
	a.server.Inject(fakeaws.Hang("PutObject", 1).Late())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // its caller gives up once the object is there
		for ctx.Err() == nil && len(a.server.Objects("b")) == 0 {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	_, err := a.s3().PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
	same(t, "no answer, and an object", []any{err != nil, a.server.Objects("b")}, []any{true, []string{"k"}})
}
