package iam

import (
	"cmp"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
)

// parts is a cluster in its place: what the policies name.
type parts struct {
	*cluster.Resolved
	Place
}

// account is what the spec says of it; nothing where it has no section aws.
func (p parts) account() cluster.Account {
	if p.AWS == nil {
		return cluster.Account{}
	}
	return *p.AWS
}

func (p parts) key() string { return cmp.Or(p.account().Key, KeyPlaceholder) }

func (p parts) volumeKey() string { return cmp.Or(p.account().VolumeKey, p.key()) }

// records is the bucket of the images' records.
func (p parts) records() string { return cmp.Or(p.account().Bucket, BucketPlaceholder) }

// ProfileOf is the name of a role's instance profile, and of the IAM role in it: the spec's, or else one that follows from the
// cluster. Both have one name, as in the console: the spec names the profile alone.
func ProfileOf(r *cluster.Resolved, role cluster.Role) string {
	if r.AWS != nil && r.AWS.InstanceProfiles[role] != "" {
		return r.AWS.InstanceProfiles[role]
	}
	return "cincbake-" + r.Name + "-" + string(role)
}

// ClusterSecurityGroup is the name of the security group that all machines are in, in the template of package foundation.
const ClusterSecurityGroup = "ClusterSecurityGroup"

// SecurityGroupOf is the name of a role's own security group there.
func SecurityGroupOf(role cluster.Role) string { return Title(role) + "SecurityGroup" }

// Title is a role as names of resources in templates have it: a template takes letters and digits only.
func Title(role cluster.Role) string {
	if role == cluster.RoleOpenSearch {
		return "OpenSearch"
	}
	text := string(role)
	return strings.ToUpper(text[:1]) + text[1:]
}

// groups are the ids of a role's security groups.
func (p parts) groups(role cluster.Role) []string {
	if named := p.account().SecurityGroups[role]; len(named) > 0 {
		return named
	}
	return []string{"${" + SecurityGroupOf(role) + "}", "${" + ClusterSecurityGroup + "}"}
}

// MachineRoles lists the roles of the machines that the cluster has, in order.
func MachineRoles(r *cluster.Resolved) []cluster.Role {
	return slices.DeleteFunc(cluster.Roles(), func(role cluster.Role) bool { return len(r.NodesOf(role)) == 0 })
}

// each maps a list.
func each[T any](list []T, name func(T) string) []string {
	names := make([]string, len(list))
	for i, one := range list {
		names[i] = name(one)
	}
	return names
}

func (p parts) ec2(resources ...string) []string {
	return each(resources, func(resource string) string { return p.arn("ec2", resource) })
}

// subnets are those that the cluster's machines live in.
func (p parts) subnets() []string {
	return each(p.Network.Subnets, func(subnet string) string { return p.arn("ec2", "subnet/"+subnet) })
}

// securityGroups are those of all machines.
func (p parts) securityGroups() []string {
	var ids []string
	for _, role := range MachineRoles(p.Resolved) {
		ids = append(ids, p.groups(role)...)
	}
	slices.Sort(ids)
	return each(slices.Compact(ids), func(id string) string { return p.arn("ec2", "security-group/"+id) })
}

// secrets are those of a role's machines. Secrets Manager adds six characters to each name.
func (p parts) secrets(role cluster.Role) []string {
	return each(p.NodesOf(role), func(n cluster.Node) string {
		return p.arn("secretsmanager", "secret:"+p.SecretName(n)+"-??????")
	})
}

// group is the name of an autoscaling group, which has a random part before it.
func (p parts) group(name string) string {
	return p.arn("autoscaling", "autoScalingGroup:*:autoScalingGroupName/"+name)
}

// groupsOf are the autoscaling groups of a role.
func (p parts) groupsOf(role cluster.Role) []string {
	return each(p.NodesOf(role), func(n cluster.Node) string { return p.group(p.GroupName(n)) })
}

// allGroups are names that all groups of the cluster have. Those of another cluster, whose name goes on with a hyphen, have
// them too: conditions by tag tell them apart.
func (p parts) allGroups() []string { return []string{p.group("cincbake-" + p.Name + "-*")} }

// channels are the parameters of the cluster's channels.
func (p parts) channels() string {
	return p.arn("ssm", "parameter"+cluster.ChannelParameter(p.Name, "*", "*"))
}

// ours is that something has the cluster's tag.
func (p parts) ours() Condition {
	return when("StringEquals", "aws:ResourceTag/"+cluster.TagCluster, p.Name)
}

// tagged is that something gets the cluster's tag when it is made.
func (p parts) tagged() Condition {
	return when("StringEquals", "aws:RequestTag/"+cluster.TagCluster, p.Name)
}

// stays is that nothing gets the tag of another cluster.
func (p parts) stays() Condition {
	return when("StringEqualsIfExists", "aws:RequestTag/"+cluster.TagCluster, p.Name)
}

// onCreation lets something be tagged by the calls that make it, and by no other. kinds are ARNs.
func (p parts) onCreation(kinds []string, creations ...string) Statement {
	return allow("TagWhatIsMade", []string{"ec2:CreateTags"}, kinds, p.tagged(), when("StringEquals", "ec2:CreateAction", creations...))
}

// copyingDisks are what EBS does with a key when it copies an encrypted disk or a part of it.
func copyingDisks() []string {
	return []string{"kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"}
}

// diskKey lets EBS use a key for the caller. The grant goes to EBS alone, which needs it as long as the disk is attached.
func (p parts) diskKey(actions []string, key string) []Statement {
	via := when("StringEquals", "kms:ViaService", "ec2."+p.Place.Region+"."+p.domain())
	return []Statement{
		allow("UseKeyForDisks", actions, []string{key}, via),
		allow("LendKeyToDisks", []string{"kms:CreateGrant"}, []string{key}, via, when("Bool", "kms:GrantIsForAWSResource", "true")),
	}
}
