package iam

import (
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
)

// machine is what the agent on a role's machines calls. A tier's machines share a role, as the spec names one instance profile
// for a tier: what differs among them is not kept from each other.
func (p parts) machine(role cluster.Role) []Statement {
	looks := []string{"ec2:DescribeInstances"}
	nodes := p.NodesOf(role)
	keeps := slices.ContainsFunc(nodes, hasVolume)
	if keeps {
		looks = append(looks, "ec2:DescribeVolumes")
	}
	ofRole := when("StringEquals", "aws:ResourceTag/"+cluster.TagRole, string(role))
	statements := []Statement{
		look(looks...),
		allow("ReadOwnSecret", []string{"secretsmanager:GetSecretValue"}, p.secrets(role)),
		allow("OpenOwnSecret", []string{"kms:Decrypt"}, []string{p.key()}, p.bySecretsManager()),
		allow("SayReady", []string{"autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"}, p.groupsOf(role)),
		allow("TagItself", []string{"ec2:CreateTags"}, p.ec2("instance/*"), p.ours(), ofRole, p.itself(),
			when("ForAllValues:StringEquals", "aws:TagKeys", cluster.TagContent), when("Null", "aws:TagKeys", "false")),
	}
	if keeps {
		names := each(nodes, func(n cluster.Node) string { return n.Name })
		statements = append(statements,
			allow("AttachOwnVolume", []string{"ec2:AttachVolume"}, p.ec2("volume/*"), p.ours(), when("StringEquals", "aws:ResourceTag/"+cluster.TagNode, names...)),
			allow("AttachToItself", []string{"ec2:AttachVolume"}, p.ec2("instance/*"), p.ours(), ofRole, p.itself()))
		statements = append(statements, p.diskKey([]string{"kms:Decrypt", "kms:DescribeKey"}, p.volumeKey())...)
	}
	return append(statements, p.backups(role)...)
}

// itself is that the machine that calls is the one that it is about: of the credentials, EC2 knows whose they are.
func (p parts) itself() Condition {
	return when("ArnLike", "ec2:SourceInstanceARN", p.arn("ec2", "instance/${ec2:InstanceID}"))
}

// backups is what pgBackRest does in a bucket of S3. Other stores have keys of their own, which are in the secrets.
func (p parts) backups(role cluster.Role) []Statement {
	if role != cluster.RolePostgres && role != cluster.RoleStandalone || p.Backup == nil || p.Backup.S3 == nil ||
		!strings.HasSuffix(p.Backup.S3.Endpoint, "."+p.domain()) {
		return nil
	}
	bucket, prefix := p.Backup.S3.Bucket, strings.Trim(p.Backup.S3.Prefix, "/")
	objects, listed := bucket+"/*", []string{"*"}
	if prefix != "" {
		objects, listed = bucket+"/"+prefix+"/*", []string{prefix, prefix + "/*"}
	}
	return []Statement{
		allow("ListBackups", []string{"s3:ListBucket"}, []string{p.bucket(bucket)}, when("StringLike", "s3:prefix", listed...)),
		allow("WriteBackups", []string{"s3:DeleteObject", "s3:GetObject", "s3:PutObject"}, []string{p.bucket(objects)}),
	}
}
