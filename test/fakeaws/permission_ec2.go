package fakeaws

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/cincbake/cincbake/test/fakeaws/policy"
)

// ec2ARN is the name of a resource of EC2. Images and snapshots may be anybody's: no account is in theirs.
func ec2ARN(region, kind, id string) string {
	if kind == "image" || kind == "snapshot" {
		return "arn:aws:ec2:" + region + "::" + kind + "/" + id
	}
	return arn("ec2", region, kind+"/"+id)
}

// ec2Questions are by action. Those that are not here, and describe, take no resource.
func ec2Questions() map[string]func(*questions) {
	// on asks about the resources that parameters name, each by its id or, numbered, by several.
	on := func(kinds ...string) func(*questions) {
		return func(q *questions) {
			for i := 0; i < len(kinds); i += 2 {
				p := q.call.Params
				for _, id := range append(p.Strings(kinds[i+1]), p.String(kinds[i+1])) {
					q.existing(kinds[i], id, nil)
				}
			}
		}
	}
	image, template := on("image", "ImageId"), (*questions).template
	return map[string]func(*questions){
		"DescribeImageAttribute":               image,
		"DeregisterImage":                      image,
		"ModifyImageAttribute":                 image,
		"EnableImageDeprecation":               image,
		"DisableImageDeprecation":              image,
		"EnableImageDeregistrationProtection":  image,
		"DisableImageDeregistrationProtection": image,
		"CreateImage": func(q *questions) {
			q.existing("instance", q.call.Params.String("InstanceId"), nil)
			q.made("image", nil)
			q.made("snapshot", nil)
		},
		"CopyImage":                 (*questions).copyImage,
		"RegisterImage":             func(q *questions) { q.made("image", nil) },
		"DescribeSnapshotAttribute": on("snapshot", "SnapshotId"),
		"ModifySnapshotAttribute":   on("snapshot", "SnapshotId"),
		"DeleteSnapshot":            on("snapshot", "SnapshotId"),

		"RunInstances":            func(q *questions) { q.start(q.call.Params, nil, true) },
		"StopInstances":           on("instance", "InstanceId"),
		"StartInstances":          on("instance", "InstanceId"),
		"TerminateInstances":      on("instance", "InstanceId"),
		"ModifyInstanceAttribute": on("instance", "InstanceId"),
		"GetConsoleOutput":        on("instance", "InstanceId"),

		"CreateLaunchTemplate":         func(q *questions) { q.made("launch-template", nil) },
		"CreateLaunchTemplateVersion":  template,
		"ModifyLaunchTemplate":         template,
		"DeleteLaunchTemplateVersions": template,
		"DeleteLaunchTemplate":         template,

		"CreateVolume": (*questions).createVolume,
		"AttachVolume": (*questions).attachVolume,
		"DetachVolume": on("volume", "VolumeId", "instance", "InstanceId"),
		"DeleteVolume": on("volume", "VolumeId"),

		"CreateNetworkInterface": func(q *questions) {
			q.made("network-interface", nil)
			q.existing("subnet", q.call.Params.String("SubnetId"), nil)
			q.existing("security-group", "", nil, q.call.Params.Strings("SecurityGroupId")...)
		},
		"ModifyNetworkInterfaceAttribute": on("network-interface", "NetworkInterfaceId", "security-group", "SecurityGroupId"),
		"DeleteNetworkInterface":          on("network-interface", "NetworkInterfaceId"),
		"DetachNetworkInterface":          (*questions).detachInterface,
		"AttachNetworkInterface":          on("network-interface", "NetworkInterfaceId", "instance", "InstanceId"),

		"CreateSecurityGroup": func(q *questions) {
			q.made("security-group", nil)
			q.existing("vpc", cmp.Or(q.call.Params.String("VpcId"), q.ec2.vpcOf(q.call.Region).ID), nil)
		},
		"AuthorizeSecurityGroupIngress": on("security-group", "GroupId"),
		"DeleteSecurityGroup":           on("security-group", "GroupId"),

		"CreateKeyPair": func(q *questions) { q.madeAs("key-pair", q.call.Params.String("KeyName"), q.call.Params, nil) },
		"DeleteKeyPair": func(q *questions) {
			for _, k := range q.ec2.keys.rows {
				if k.region == q.call.Region && (k.Name == q.call.Params.String("KeyName") || k.ID == q.call.Params.String("KeyPairId")) {
					q.existing("key-pair", k.ID, nil)
				}
			}
		},

		"CreateTags": (*questions).tags,
		"DeleteTags": (*questions).tags,
	}
}

// existing asks about the call's action with something that there is, or several of a kind.
func (q *questions) existing(kind, id string, c policy.Context, more ...string) {
	for _, id := range append(more, id) {
		q.as("ec2:"+q.call.Action, q.call.Region, kind, id, c)
	}
}

// as asks about an action with something that there is.
func (q *questions) as(action, region, kind, id string, c policy.Context) {
	one, ok := q.ec2.tagged(region)[id]
	if !ok || one.kind != kind {
		return
	}
	c = both(has(one.self().Tags), c)
	name := id
	switch row := one.entry.(type) {
	case *Image:
		c = c.With("ec2:Owner", row.Owner)
	case *Instance:
		c = c.With("ec2:InstanceID", row.ID)
	case *Volume:
		c = c.With("ec2:Encrypted", strconv.FormatBool(row.Encrypted))
	case *KeyPair:
		name = row.Name
	}
	q.ask(action, ec2ARN(region, kind, name), c)
}

// made asks about something that the call makes, whose id nobody knows yet.
func (q *questions) made(kind string, c policy.Context) { q.madeAs(kind, "*", q.call.Params, c) }

// madeAs asks about something that parameters make, with the tags that they give it. EC2's guide, "Grant permission to tag
// Amazon EC2 resources during creation": who gives tags needs ec2:CreateTags too, and what is being done is ec2:CreateAction.
func (q *questions) madeAs(kind, id string, p Params, c policy.Context) {
	tags := p.TagsFor(kind)
	c = both(requested(tags), c)
	action := q.call.Action
	if q.call.Service != "ec2" {
		action = "RunInstances"
	}
	q.ask("ec2:"+action, ec2ARN(q.call.Region, kind, id), c)
	if len(tags) > 0 {
		q.ask("ec2:CreateTags", ec2ARN(q.call.Region, kind, id), c.With("ec2:CreateAction", action))
	}
}

func (q *questions) detachInterface() {
	for _, n := range q.ec2.interfaces.rows {
		if n.region == q.call.Region && n.Attached != nil && n.Attached.ID == q.call.Params.String("AttachmentId") {
			q.existing("network-interface", n.ID, nil)
			q.existing("instance", n.attachedTo(), nil)
		}
	}
}

// tags asks about each resource by itself, with the tags that it has and those that it gets.
func (q *questions) tags() {
	given := q.call.Params.Tags("Tag")
	for id, one := range q.ec2.tagged(q.call.Region) {
		for _, wanted := range q.call.Params.Strings("ResourceId") {
			if id == wanted {
				q.existing(one.kind, id, requested(given))
			}
		}
	}
}

func (q *questions) template() {
	if t, err := q.ec2.templateOf(q.call.Region, q.call.Params); err == nil {
		q.existing("launch-template", t.ID, nil)
	}
}

// copyImage: EC2's guide, "Grant permissions to copy AMIs": the source is asked about as well as what is made. EBS's guide,
// "Amazon EBS encryption: permissions": a copy is decrypted by the source's key and encrypted by its own.
func (q *questions) copyImage() {
	p := q.call.Params
	q.made("image", nil)
	q.made("snapshot", nil)
	from := p.String("SourceRegion")
	q.as("ec2:CopyImage", from, "image", p.String("SourceImageId"), nil)
	if source, ok := q.ec2.images.find(from, p.String("SourceImageId")); ok {
		for _, id := range source.snapshots() {
			if s, ok := q.ec2.snapshots.find(from, id); ok {
				q.key("ec2", from, s.Key, "CreateGrant", "Decrypt", "DescribeKey", "ReEncryptFrom")
			}
		}
	}
	q.key("ec2", q.call.Region, p.String("KmsKeyId"), "CreateGrant", "DescribeKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptTo")
}

func (q *questions) createVolume() {
	p := q.call.Params
	q.made("volume", policy.Context{}.With("ec2:Encrypted", strconv.FormatBool(p.Bool("Encrypted"))))
	q.existing("snapshot", p.String("SnapshotId"), nil)
	q.key("ec2", q.call.Region, p.String("KmsKeyId"), "CreateGrant", "DescribeKey", "GenerateDataKeyWithoutPlaintext")
}

func (q *questions) attachVolume() {
	p := q.call.Params
	q.existing("volume", p.String("VolumeId"), nil)
	q.existing("instance", p.String("InstanceId"), nil)
	if v, ok := q.ec2.volumes.find(q.call.Region, p.String("VolumeId")); ok && v.Encrypted {
		q.key("ec2", q.call.Region, v.Key, "CreateGrant", "Decrypt", "DescribeKey")
	}
}

// start asks about ec2:RunInstances: with each resource that an instance is made of, and about the role that it gets. subnets
// are those that it may be in, where the parameters do not say. Autoscaling encrypts disks by its own role: nobody is asked
// about the caller then.
func (q *questions) start(p Params, subnets []string, encrypts bool) {
	const run = "ec2:RunInstances"
	region := q.call.Region
	p, template, _, err := q.ec2.withTemplate(region, p)
	if err != nil {
		return
	}
	c := policy.Context{}
	if template != nil {
		c = c.With("ec2:LaunchTemplate", ec2ARN(region, "launch-template", template.ID))
		q.as(run, region, "launch-template", template.ID, c)
	}
	// EC2's guide: an image that a parameter names is looked up for the caller.
	if name, ok := strings.CutPrefix(p.String("ImageId"), "resolve:ssm:"); ok {
		q.ask("ssm:GetParameters", parameterARN(region, name), nil)
	}
	encrypted := false
	if id, err := q.ec2.resolveImage(region, p.String("ImageId")); err == nil {
		q.as(run, region, "image", id, c)
		if image, ok := q.ec2.images.find(region, id); ok {
			for _, device := range image.Devices {
				encrypted = encrypted || device.EBS.Encrypted
			}
		}
	}
	for _, device := range p.List("BlockDeviceMapping") {
		encrypted = encrypted || device.Bool("Ebs.Encrypted")
		q.as(run, region, "snapshot", device.String("Ebs.SnapshotId"), c)
		if key := device.String("Ebs.KmsKeyId"); key != "" && encrypts {
			q.key("ec2", region, key, "CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo")
		}
	}
	q.madeAs("instance", "*", p, c)
	q.madeAs("volume", "*", p, c.With("ec2:Encrypted", strconv.FormatBool(encrypted)))
	q.connect(p, subnets, c)
	if k := q.ec2.keyNamed(region, p.String("KeyName")); k != nil {
		q.as(run, region, "key-pair", k.ID, c)
	}
	if profile := profileOf(p); profile != nil {
		// A profile of this fake's has a role of its own name.
		q.ask("iam:PassRole", strings.Replace(profile.ARN, ":instance-profile/", ":role/", 1), policy.Context{}.With("iam:PassedToService", "ec2.amazonaws.com"))
	}
}

// connect asks about an instance's network: its interface, new or not, subnet and security groups. The reference requires all
// three of ec2:RunInstances in a VPC; where the call names none, they are the VPC's own.
func (q *questions) connect(p Params, subnets []string, c policy.Context) {
	const run = "ec2:RunInstances"
	region, ready := q.call.Region, false
	groups := p.Strings("SecurityGroupId")
	if subnet := p.String("SubnetId"); subnet != "" {
		subnets = []string{subnet}
	}
	for _, card := range p.List("NetworkInterface") {
		groups = append(groups, card.Strings("SecurityGroupId")...)
		if subnet := card.String("SubnetId"); subnet != "" {
			subnets = []string{subnet}
		}
		if n, ok := q.ec2.interfaces.find(region, card.String("NetworkInterfaceId")); ok {
			q.as(run, region, "network-interface", n.ID, c)
			ready, groups, subnets = true, append(groups, n.groups...), []string{n.Subnet}
		}
	}
	if !ready {
		q.madeAs("network-interface", "*", p, c)
	}
	for _, s := range q.ec2.subnets.rows {
		if len(subnets) == 0 && s.region == region && s.Default {
			subnets = []string{s.ID}
		}
	}
	for _, g := range q.ec2.groups.rows {
		if len(groups) == 0 && g.region == region && g.Name == "default" {
			groups = []string{g.ID}
		}
	}
	for _, id := range subnets {
		q.as(run, region, "subnet", id, c)
	}
	for _, id := range groups {
		q.as(run, region, "security-group", id, c)
	}
}
