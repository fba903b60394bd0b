package iam

// debianOwner is the account that Debian publishes its images from: wiki.debian.org/Cloud/AmazonEC2Image.
const debianOwner = "136693071363"

// recordsPrefix is where the images' records lie in their bucket.
const recordsPrefix = "images/"

// bake is what Packer's amazon-ebs calls with the template that cincbake writes, and what records an image. Everything that a
// bake makes has the cluster's tag from its first moment; so whatever it changes or removes must have it.
func (p parts) bake() []Statement {
	machine := p.ec2("instance/*", "network-interface/*", "volume/*")
	access := p.ec2("key-pair/*", "security-group/*")
	image := []string{p.public("image/*"), p.public("snapshot/*")}
	return append([]Statement{
		look("ec2:DescribeImages", "ec2:DescribeInstanceStatus", "ec2:DescribeInstanceTypeOfferings", "ec2:DescribeInstances",
			"ec2:DescribeRegions", "ec2:DescribeSecurityGroups", "ec2:DescribeSnapshots", "ec2:DescribeSubnets", "ec2:DescribeVolumes", "ec2:DescribeVpcs"),
		allow("StartMachine", []string{"ec2:RunInstances"}, machine, p.tagged()),
		allow("StartFromDebian", []string{"ec2:RunInstances"}, []string{p.public("image/*")}, when("StringEquals", "ec2:Owner", debianOwner)),
		allow("StartWithOwnAccess", []string{"ec2:RunInstances"}, access, p.ours()),
		// Which subnet it is started in is a variable of the template.
		allow("StartInSubnet", []string{"ec2:RunInstances"}, p.ec2("subnet/*")),
		allow("MakeAccess", []string{"ec2:CreateKeyPair"}, p.ec2("key-pair/*"), p.tagged()),
		allow("MakeSecurityGroup", []string{"ec2:CreateSecurityGroup"}, p.ec2("security-group/*"), p.tagged()),
		allow("MakeSecurityGroupInNetwork", []string{"ec2:CreateSecurityGroup"}, p.ec2("vpc/*")),
		allow("MakeImage", []string{"ec2:CreateImage"}, image, p.tagged()),
		p.onCreation(append(append(machine, access...), image...), "CreateImage", "CreateKeyPair", "CreateSecurityGroup", "RunInstances"),
		allow("WorkOnOwnMachine", []string{"ec2:CreateImage", "ec2:StopInstances", "ec2:TerminateInstances"}, p.ec2("instance/*"), p.ours()),
		allow("RemoveOwnDisk", []string{"ec2:DeleteVolume"}, p.ec2("volume/*"), p.ours()),
		allow("RemoveOwnKey", []string{"ec2:DeleteKeyPair"}, p.ec2("key-pair/*"), p.ours()),
		allow("WorkOnOwnSecurityGroup", []string{"ec2:AuthorizeSecurityGroupIngress", "ec2:DeleteSecurityGroup"}, p.ec2("security-group/*"), p.ours()),
		allow("WorkOnOwnImage", []string{"ec2:DeregisterImage", "ec2:EnableImageDeprecation", "ec2:ModifyImageAttribute"}, image[:1], p.ours()),
		allow("RemoveOwnSnapshot", []string{"ec2:DeleteSnapshot"}, image[1:], p.ours()),
		allow("TagOwnImage", []string{"ec2:CreateTags"}, image, p.ours(), p.stays()),
		p.listRecords(),
		allow("WriteRecords", []string{"s3:GetObject", "s3:PutObject"}, []string{p.bucket(p.records() + "/" + recordsPrefix + "*")}),
		p.recordsKey("kms:Decrypt", "kms:GenerateDataKey"),
	}, p.diskKey(copyingDisks(), p.key())...)
}

// listRecords lets S3 say that a record is not there; without it, S3 says that it must not be read.
func (p parts) listRecords() Statement {
	return allow("ListRecords", []string{"s3:ListBucket"}, []string{p.bucket(p.records())}, when("StringLike", "s3:prefix", recordsPrefix+"*"))
}

// recordsKey lets S3 use the key that the bucket of the records is encrypted with.
func (p parts) recordsKey(actions ...string) Statement {
	return allow("UseKeyForRecords", actions, []string{p.key()}, when("StringEquals", "kms:ViaService", "s3."+p.Place.Region+"."+p.domain()))
}

// promote is what cincbake images calls to promote, copy, deprecate and prune. The parameters of the channels are written by
// this role alone.
func (p parts) promote() []Statement {
	image := []string{p.public("image/*"), p.public("snapshot/*")}
	return append([]Statement{
		look("autoscaling:DescribeAutoScalingGroups", "ec2:DescribeImages", "ec2:DescribeInstances", "ec2:DescribeLaunchTemplateVersions",
			"ec2:DescribeLaunchTemplates", "ec2:DescribeSnapshots"),
		allow("ReadAndWriteChannels", []string{"ssm:AddTagsToResource", "ssm:GetParameters", "ssm:PutParameter"}, []string{p.channels()}),
		allow("ListChannels", []string{"ssm:GetParametersByPath"}, []string{p.arn("ssm", "parameter/cincbake/"+p.Name), p.arn("ssm", "parameter/cincbake/"+p.Name+"/*")}),
		allow("WorkOnOwnImage", []string{
			"ec2:DeregisterImage", "ec2:DescribeImageAttribute", "ec2:DisableImageDeregistrationProtection", "ec2:EnableImageDeprecation",
			"ec2:EnableImageDeregistrationProtection", "ec2:ModifyImageAttribute",
		}, image[:1], p.ours()),
		allow("WorkOnOwnSnapshot", []string{"ec2:DeleteSnapshot", "ec2:DescribeSnapshotAttribute"}, image[1:], p.ours()),
		allow("TagOwnImage", []string{"ec2:CreateTags"}, image, p.ours(), p.stays()),
		allow("CopyOwnImage", []string{"ec2:CopyImage"}, image, p.ours()),
		allow("MakeCopy", []string{"ec2:CopyImage"}, image, p.tagged()),
		p.onCreation(image, "CopyImage"),
		p.listRecords(),
		allow("ReadRecords", []string{"s3:GetObject"}, []string{p.bucket(p.records() + "/" + recordsPrefix + "*")}),
		p.recordsKey("kms:Decrypt"),
	}, p.diskKey(copyingDisks(), p.key())...)
}
