package fakeaws_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/test/fakeaws"
)

func (a account) ec2() *ec2.Client { return ec2.NewFromConfig(a.sdk()) }

func text(s string) *string { return aws.String(base64.StdEncoding.EncodeToString([]byte(s))) }

// tagged are tags for one kind of resource.
func tagged(kind types.ResourceType, pairs ...string) (list []types.TagSpecification) {
	one := types.TagSpecification{ResourceType: kind}
	for i := 0; i < len(pairs); i += 2 {
		one.Tags = append(one.Tags, types.Tag{Key: &pairs[i], Value: &pairs[i+1]})
	}
	return append(list, one)
}

// wholeTemplate says everything that a template of a machine says.
func wholeTemplate(image, group string) *types.RequestLaunchTemplateData {
	return &types.RequestLaunchTemplateData{
		ImageId: &image, InstanceType: "m7i.large", UserData: text("hello"), SecurityGroupIds: []string{group},
		IamInstanceProfile: &types.LaunchTemplateIamInstanceProfileSpecificationRequest{Name: aws.String("api")},
		MetadataOptions: &types.LaunchTemplateInstanceMetadataOptionsRequest{
			HttpTokens: "required", HttpPutResponseHopLimit: aws.Int32(1), InstanceMetadataTags: "enabled", HttpEndpoint: "enabled",
		},
		BlockDeviceMappings: []types.LaunchTemplateBlockDeviceMappingRequest{{
			DeviceName: aws.String("/dev/xvda"), Ebs: &types.LaunchTemplateEbsBlockDeviceRequest{VolumeSize: aws.Int32(20), Encrypted: aws.Bool(true), VolumeType: "gp3", DeleteOnTermination: aws.Bool(true)},
		}},
		TagSpecifications: []types.LaunchTemplateTagSpecificationRequest{
			{ResourceType: "instance", Tags: []types.Tag{{Key: aws.String("role"), Value: aws.String("api")}}},
			{ResourceType: "volume", Tags: []types.Tag{{Key: aws.String("disk"), Value: aws.String("root")}}},
		},
	}
}

func TestTemplates(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	c, ctx, name := a.ec2(), t.Context(), aws.String("cincbake-c-api")
	image, group := a.server.SeedImages(a.region, fakeaws.Image{Name: "api-1"})[0], a.must("DescribeSecurityGroups").one("groupId")
	in := &ec2.CreateLaunchTemplateInput{LaunchTemplateName: name, LaunchTemplateData: wholeTemplate(image, group), ClientToken: aws.String("once"), TagSpecifications: tagged("launch-template", "c", "1")}
	made := ok(c.CreateLaunchTemplate(ctx, in))(t).LaunchTemplate
	same(t, "the same again", *ok(c.CreateLaunchTemplate(ctx, in))(t).LaunchTemplate.LaunchTemplateId, *made.LaunchTemplateId)
	in.VersionDescription = aws.String("other")
	_, err := c.CreateLaunchTemplate(ctx, in)
	fails(t, err, "IdempotentParameterMismatch")
	in.ClientToken = nil
	_, err = c.CreateLaunchTemplate(ctx, in)
	fails(t, err, "InvalidLaunchTemplateName.AlreadyExistsException")

	next := func(from string, data types.RequestLaunchTemplateData) (int64, error) {
		in := &ec2.CreateLaunchTemplateVersionInput{LaunchTemplateName: name, LaunchTemplateData: &data, VersionDescription: aws.String("next")}
		if from != "" {
			in.SourceVersion = &from
		}
		out, err := c.CreateLaunchTemplateVersion(ctx, in)
		if err != nil {
			return 0, err
		}
		return *out.LaunchTemplateVersion.VersionNumber, nil
	}
	same(t, "merged", ok(next("1", types.RequestLaunchTemplateData{InstanceType: "m7i.xlarge"}))(t), int64(2))
	same(t, "whole", ok(next("", types.RequestLaunchTemplateData{InstanceType: "t3.small"}))(t), int64(3))
	same(t, "the largest", ok(next("1", types.RequestLaunchTemplateData{UserData: text(strings.Repeat("x", 16384))}))(t), int64(4))
	_, err = next("1", types.RequestLaunchTemplateData{UserData: text(strings.Repeat("x", 16385))})
	fails(t, err, "InvalidParameterValue")
	_, err = next("1", types.RequestLaunchTemplateData{UserData: aws.String("no base64!")})
	fails(t, err, "InvalidUserData.Malformed")
	_, err = next("9", types.RequestLaunchTemplateData{})
	fails(t, err, "InvalidLaunchTemplateId.VersionNotFound")

	describe := func(in ec2.DescribeLaunchTemplateVersionsInput) (numbers []int64, last types.LaunchTemplateVersion, pages int) {
		in.LaunchTemplateName = name
		for p := ec2.NewDescribeLaunchTemplateVersionsPaginator(c, &in); p.HasMorePages(); pages++ {
			for _, v := range ok(p.NextPage(ctx))(t).LaunchTemplateVersions {
				numbers, last = append(numbers, *v.VersionNumber), v
			}
		}
		return numbers, last, pages
	}
	numbers, first, pages := describe(ec2.DescribeLaunchTemplateVersionsInput{MaxResults: aws.Int32(3)})
	same(t, "versions", []any{numbers, pages, *first.DefaultVersion}, []any{[]int64{4, 3, 2, 1}, 2, true})
	numbers, _, _ = describe(ec2.DescribeLaunchTemplateVersionsInput{Versions: []string{"$Latest", "$Default", "2"}})
	same(t, "by name", numbers, []int64{4, 1, 2})
	numbers, second, _ := describe(ec2.DescribeLaunchTemplateVersionsInput{MinVersion: aws.String("2"), MaxVersion: aws.String("2")})
	same(t, "between", numbers, []int64{2})
	d := second.LaunchTemplateData
	same(t, "what it says", []any{
		*d.ImageId, d.InstanceType, *d.UserData, d.SecurityGroupIds, *d.IamInstanceProfile.Name, d.MetadataOptions.HttpTokens, *d.MetadataOptions.HttpPutResponseHopLimit,
		*d.BlockDeviceMappings[0].DeviceName, *d.BlockDeviceMappings[0].Ebs.VolumeSize, *d.BlockDeviceMappings[0].Ebs.Encrypted, len(d.TagSpecifications), *d.TagSpecifications[1].Tags[0].Value,
	}, []any{
		image, types.InstanceTypeM7iXlarge, *text("hello"),
		[]string{group},
		"api", types.LaunchTemplateHttpTokensStateRequired, int32(1),
		"/dev/xvda", int32(20), true, 2, "root",
	})

	same(t, "the default", *ok(c.ModifyLaunchTemplate(ctx, &ec2.ModifyLaunchTemplateInput{LaunchTemplateName: name, DefaultVersion: aws.String("2")}))(t).LaunchTemplate.DefaultVersionNumber, int64(2))
	gone := ok(c.DeleteLaunchTemplateVersions(ctx, &ec2.DeleteLaunchTemplateVersionsInput{LaunchTemplateName: name, Versions: []string{"1", "2", "9"}}))(t)
	same(t, "deleted", []any{*gone.SuccessfullyDeletedLaunchTemplateVersions[0].VersionNumber, len(gone.UnsuccessfullyDeletedLaunchTemplateVersions), gone.UnsuccessfullyDeletedLaunchTemplateVersions[1].ResponseError.Code},
		[]any{int64(1), 2, types.LaunchTemplateErrorCodeLaunchTemplateVersionDoesNotExist})
	list := ok(c.DescribeLaunchTemplates(ctx, &ec2.DescribeLaunchTemplatesInput{Filters: []types.Filter{{Name: aws.String("tag:c"), Values: []string{"1"}}}}))(t).LaunchTemplates
	same(t, "listed", []any{len(list), *list[0].LatestVersionNumber, *list[0].Tags[0].Key}, []any{1, int64(4), "c"})
	ok(c.DeleteLaunchTemplate(ctx, &ec2.DeleteLaunchTemplateInput{LaunchTemplateName: name}))(t)
	_, err = c.DescribeLaunchTemplates(ctx, &ec2.DescribeLaunchTemplatesInput{LaunchTemplateNames: []string{*name}})
	fails(t, err, "InvalidLaunchTemplateName.NotFoundException")
}

func TestRunFromTemplate(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	c, ctx := a.ec2(), t.Context()
	images, group := a.server.SeedImages(a.region, fakeaws.Image{Name: "api-1"}, fakeaws.Image{Name: "api-2", Arch: "arm64"}), a.must("DescribeSecurityGroups").one("groupId")
	a.server.SetParameter(a.region, "/c/api/stable", images[0])
	id := *ok(c.CreateLaunchTemplate(ctx, &ec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("api"), LaunchTemplateData: wholeTemplate("resolve:ssm:/c/api/stable", group)}))(t).LaunchTemplate.LaunchTemplateId
	in := &ec2.RunInstancesInput{
		MinCount: aws.Int32(1), MaxCount: aws.Int32(1), ClientToken: aws.String("t"), TagSpecifications: tagged("instance", "own", "1"),
		LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateId: &id, Version: aws.String("$Latest")},
	}
	i := ok(c.RunInstances(ctx, in))(t).Instances[0]
	same(t, "the same again", *ok(c.RunInstances(ctx, in))(t).Instances[0].InstanceId, *i.InstanceId)
	tags := map[string]string{}
	for _, tag := range i.Tags {
		tags[*tag.Key] = *tag.Value
	}
	same(t, "tags", tags, map[string]string{"role": "api", "own": "1", "aws:ec2launchtemplate:id": id, "aws:ec2launchtemplate:version": "1"})
	same(t, "the instance", []any{*i.ImageId, i.InstanceType, *i.IamInstanceProfile.Arn, i.MetadataOptions.HttpTokens, i.MetadataOptions.InstanceMetadataTags, *i.NetworkInterfaces[0].Groups[0].GroupId, *i.NetworkInterfaces[0].Attachment.DeleteOnTermination},
		[]any{images[0], types.InstanceTypeM7iLarge, "arn:aws:iam::111122223333:instance-profile/api", types.HttpTokensStateRequired, types.InstanceMetadataTagsStateEnabled, group, true})
	v := ok(c.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{Filters: []types.Filter{{Name: aws.String("tag:disk"), Values: []string{"root"}}}}))(t).Volumes[0]
	same(t, "its volume", []any{*v.Size, *v.Encrypted, v.VolumeType, *v.Attachments[0].InstanceId}, []any{int32(20), true, types.VolumeTypeGp3, *i.InstanceId})

	resolved := ok(c.DescribeLaunchTemplateVersions(ctx, &ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateId: &id, ResolveAlias: aws.Bool(true)}))(t)
	same(t, "the alias", *resolved.LaunchTemplateVersions[0].LaunchTemplateData.ImageId, images[0])
	run := func(change func(*ec2.RunInstancesInput)) error {
		other := *in
		other.ClientToken = nil
		change(&other)
		_, err := c.RunInstances(ctx, &other)
		return err
	}
	fails(t, run(func(in *ec2.RunInstancesInput) { in.ImageId = &images[1] }), "InvalidParameterValue") // its architecture
	fails(t, run(func(in *ec2.RunInstancesInput) { in.ImageId = aws.String("resolve:ssm:/none") }), "InvalidParameterValue")
	fails(t, run(func(in *ec2.RunInstancesInput) { in.ImageId = aws.String("ami-0") }), "InvalidAMIID.NotFound")
	same(t, "on arm", run(func(in *ec2.RunInstancesInput) { in.ImageId, in.InstanceType = &images[1], "m7g.large" }), error(nil))
	subnet := *ok(c.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: []types.Filter{{Name: aws.String("availability-zone"), Values: []string{"eu-west-1b"}}}}))(t).Subnets[0].SubnetId
	a.server.Lack("eu-west-1b", "m7i.large")
	fails(t, run(func(in *ec2.RunInstancesInput) { in.SubnetId = &subnet }), "Unsupported")
}

func TestInterfacesAndVolumes(t *testing.T) {
	a := newAccount(t, fakeaws.Options{Polls: 1})
	c, ctx := a.ec2(), t.Context()
	image, subnets := a.server.SeedImages(a.region, fakeaws.Image{Name: "postgres-1"})[0], ok(a.ec2().DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{}))(t).Subnets
	card := ok(c.CreateNetworkInterface(ctx, &ec2.CreateNetworkInterfaceInput{SubnetId: subnets[1].SubnetId, TagSpecifications: tagged("network-interface", "node", "postgres-1")}))(t).NetworkInterface
	run := func(in ec2.RunInstancesInput) (*types.Instance, error) {
		in.MinCount, in.MaxCount, in.ImageId, in.InstanceType = aws.Int32(1), aws.Int32(1), &image, "m7i.large"
		out, err := c.RunInstances(ctx, &in)
		if err != nil {
			return nil, err
		}
		return &out.Instances[0], nil
	}
	with := ec2.RunInstancesInput{NetworkInterfaces: []types.InstanceNetworkInterfaceSpecification{{NetworkInterfaceId: card.NetworkInterfaceId, DeviceIndex: aws.Int32(0)}}}
	i := ok(run(with))(t)
	same(t, "it has the card", []string{*i.PrivateIpAddress, *i.Placement.AvailabilityZone, *i.NetworkInterfaces[0].NetworkInterfaceId}, []string{*card.PrivateIpAddress, "eu-west-1b", *card.NetworkInterfaceId})
	_, err := run(with)
	fails(t, err, "InvalidNetworkInterface.InUse")
	_, err = c.DeleteNetworkInterface(ctx, &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: card.NetworkInterfaceId})
	fails(t, err, "InvalidNetworkInterface.InUse")
	a.states(*i.InstanceId, 2)

	volume := ok(c.CreateVolume(ctx, &ec2.CreateVolumeInput{AvailabilityZone: aws.String("eu-west-1b"), Size: aws.Int32(100), VolumeType: "gp3", Encrypted: aws.Bool(true), TagSpecifications: tagged("volume", "node", "postgres-1")}))(t)
	attach := func(device string) error {
		_, err := c.AttachVolume(ctx, &ec2.AttachVolumeInput{VolumeId: volume.VolumeId, InstanceId: i.InstanceId, Device: &device})
		return err
	}
	state := func() types.Volume {
		return ok(c.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{*volume.VolumeId}}))(t).Volumes[0]
	}
	same(t, "at first", volume.State, types.VolumeStateCreating)
	fails(t, attach("/dev/sdf"), "IncorrectState")
	state()
	same(t, "then", state().State, types.VolumeStateAvailable)
	fails(t, attach("/dev/xvda"), "InvalidParameterValue")
	same(t, "attached", attach("/dev/sdf"), error(nil))
	fails(t, attach("/dev/sdg"), "VolumeInUse")
	same(t, "detaching", ok(c.DetachVolume(ctx, &ec2.DetachVolumeInput{VolumeId: volume.VolumeId}))(t).State, types.VolumeAttachmentStateDetaching)
	same(t, "still", state().State, types.VolumeStateInUse)
	same(t, "free", state().State, types.VolumeStateAvailable)
	elsewhere := ok(run(ec2.RunInstancesInput{SubnetId: subnets[0].SubnetId}))(t)
	_, err = c.AttachVolume(ctx, &ec2.AttachVolumeInput{VolumeId: volume.VolumeId, InstanceId: elsewhere.InstanceId, Device: aws.String("/dev/sdf")})
	fails(t, err, "InvalidVolume.ZoneMismatch")

	second := ok(c.CreateNetworkInterface(ctx, &ec2.CreateNetworkInterfaceInput{SubnetId: subnets[1].SubnetId}))(t).NetworkInterface
	plug := ok(c.AttachNetworkInterface(ctx, &ec2.AttachNetworkInterfaceInput{NetworkInterfaceId: second.NetworkInterfaceId, InstanceId: i.InstanceId, DeviceIndex: aws.Int32(1)}))(t)
	ok(c.DetachNetworkInterface(ctx, &ec2.DetachNetworkInterfaceInput{AttachmentId: plug.AttachmentId}))(t)
	ok(c.DeleteNetworkInterface(ctx, &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: second.NetworkInterfaceId}))(t)
	same(t, "attached again", attach("/dev/sdf"), error(nil))
	ok(c.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{*i.InstanceId}}))(t)
	a.states(*i.InstanceId, 2)
	left := ok(c.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{Filters: []types.Filter{{Name: aws.String("tag:node"), Values: []string{"postgres-1"}}}}))(t).NetworkInterfaces
	same(t, "what stays", []any{left[0].Status, state().State}, []any{types.NetworkInterfaceStatusAvailable, types.VolumeStateAvailable})
	ok(c.DeleteVolume(ctx, &ec2.DeleteVolumeInput{VolumeId: volume.VolumeId}))(t)
}

func TestManyImages(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	c, ctx := a.ec2(), t.Context()
	var images []fakeaws.Image
	for i := range 2500 {
		one := fakeaws.Image{Name: fmt.Sprintf("api-%d", i)}
		one.Tags = fakeaws.Tags{"role": []string{"api", "lb"}[i%2]}
		images = append(images, one)
	}
	ids := a.server.SeedImages(a.region, images...)
	found, pages := 0, 0
	for p := ec2.NewDescribeImagesPaginator(c, &ec2.DescribeImagesInput{Owners: []string{"self"}, MaxResults: aws.Int32(1000), Filters: []types.Filter{{Name: aws.String("tag:role"), Values: []string{"api"}}}}); p.HasMorePages(); pages++ {
		found += len(ok(p.NextPage(ctx))(t).Images)
	}
	same(t, "images", []int{found, pages}, []int{1250, 2})
	same(t, "resources", len(a.server.Resources()), 5000)
	snapshot := a.server.Image(a.region, ids[0]).Devices[0].EBS.Snapshot
	gone := ok(c.DeregisterImage(ctx, &ec2.DeregisterImageInput{ImageId: &ids[0], DeleteAssociatedSnapshots: aws.Bool(true)}))(t)
	same(t, "with its snapshot", []any{*gone.DeleteSnapshotResults[0].SnapshotId, gone.DeleteSnapshotResults[0].ReturnCode}, []any{snapshot, types.SnapshotReturnCodesSuccess})
	ok(c.DeregisterImage(ctx, &ec2.DeregisterImageInput{ImageId: &ids[1]}))(t)
	same(t, "resources", len(a.server.Resources()), 4997)
}

func TestTypes(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	c, ctx := a.ec2(), t.Context()
	one := ok(c.DescribeInstanceTypes(ctx, &ec2.DescribeInstanceTypesInput{InstanceTypes: []types.InstanceType{"r7g.2xlarge"}}))(t).InstanceTypes[0]
	same(t, "a type", []any{one.ProcessorInfo.SupportedArchitectures, *one.VCpuInfo.DefaultVCpus, *one.MemoryInfo.SizeInMiB}, []any{[]types.ArchitectureType{"arm64"}, int32(8), int64(65536)})
	found := 0
	for p := ec2.NewDescribeInstanceTypesPaginator(c, &ec2.DescribeInstanceTypesInput{MaxResults: aws.Int32(5), Filters: []types.Filter{{Name: aws.String("processor-info.supported-architecture"), Values: []string{"arm64"}}}}); p.HasMorePages(); {
		found += len(ok(p.NextPage(ctx))(t).InstanceTypes)
	}
	same(t, "on arm", found, 20)
	a.server.Lack("eu-west-1c", "m7i.large")
	offered := ok(c.DescribeInstanceTypeOfferings(ctx, &ec2.DescribeInstanceTypeOfferingsInput{LocationType: "availability-zone", Filters: []types.Filter{{Name: aws.String("instance-type"), Values: []string{"m7i.large"}}}}))(t).InstanceTypeOfferings
	same(t, "offered", []any{len(offered), *offered[1].Location}, []any{2, "eu-west-1b"})
}
