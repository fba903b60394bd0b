package iam

import "strings"

// Action is an action of AWS that a policy allows.
type Action struct {
	Name string // with its service, like ec2:RunInstances
	// Resources are the kinds that IAM can limit it to, of those that matter here, as ARNs have them. None: it takes "*" only.
	Resources []string
}

// Actions is every action that any policy may hold, sorted. The kinds of resources are those of AWS's Service Authorization
// Reference.
func Actions() []Action {
	const (
		group, image, instance, nic, key, template = "autoScalingGroup", "image", "instance", "network-interface", "key-pair", "launch-template"
		firewall, snapshot, subnet, volume, vpc    = "security-group", "snapshot", "subnet", "volume", "vpc"
	)
	of := func(name string, resources ...string) Action { return Action{name, resources} }
	return []Action{
		of("autoscaling:AttachLoadBalancerTargetGroups", group),
		of("autoscaling:CancelInstanceRefresh", group),
		of("autoscaling:CompleteLifecycleAction", group),
		of("autoscaling:CreateAutoScalingGroup", group),
		of("autoscaling:CreateOrUpdateTags", group),
		of("autoscaling:DescribeAutoScalingGroups"),
		of("autoscaling:DescribeInstanceRefreshes"),
		of("autoscaling:DescribeLifecycleHooks"),
		of("autoscaling:DescribeScalingActivities"),
		of("autoscaling:DetachLoadBalancerTargetGroups", group),
		of("autoscaling:PutLifecycleHook", group),
		of("autoscaling:RecordLifecycleActionHeartbeat", group),
		of("autoscaling:StartInstanceRefresh", group),
		of("autoscaling:TerminateInstanceInAutoScalingGroup", group),
		of("autoscaling:UpdateAutoScalingGroup", group),
		of("ec2:AttachVolume", instance, volume),
		of("ec2:AuthorizeSecurityGroupIngress", firewall),
		of("ec2:CopyImage", image, snapshot),
		of("ec2:CreateImage", image, instance, snapshot),
		of("ec2:CreateKeyPair", key),
		of("ec2:CreateLaunchTemplate", template),
		of("ec2:CreateLaunchTemplateVersion", template),
		of("ec2:CreateNetworkInterface", nic, firewall, subnet),
		of("ec2:CreateSecurityGroup", firewall, vpc),
		of("ec2:CreateTags", image, instance, key, template, nic, firewall, snapshot, volume),
		of("ec2:CreateVolume", volume),
		of("ec2:DeleteKeyPair", key),
		of("ec2:DeleteLaunchTemplateVersions", template),
		of("ec2:DeleteSecurityGroup", firewall),
		of("ec2:DeleteSnapshot", snapshot),
		of("ec2:DeleteVolume", volume),
		of("ec2:DeregisterImage", image),
		of("ec2:DescribeImageAttribute", image),
		of("ec2:DescribeImages"),
		of("ec2:DescribeInstanceStatus"),
		of("ec2:DescribeInstanceTypeOfferings"),
		of("ec2:DescribeInstanceTypes"),
		of("ec2:DescribeInstances"),
		of("ec2:DescribeLaunchTemplateVersions"),
		of("ec2:DescribeLaunchTemplates"),
		of("ec2:DescribeNetworkInterfaces"),
		of("ec2:DescribeRegions"),
		of("ec2:DescribeSecurityGroups"),
		of("ec2:DescribeSnapshotAttribute", snapshot),
		of("ec2:DescribeSnapshots"),
		of("ec2:DescribeSubnets"),
		of("ec2:DescribeVolumes"),
		of("ec2:DescribeVpcs"),
		of("ec2:DisableImageDeregistrationProtection", image),
		of("ec2:EnableImageDeprecation", image),
		of("ec2:EnableImageDeregistrationProtection", image),
		of("ec2:ModifyImageAttribute", image),
		of("ec2:ModifyNetworkInterfaceAttribute", nic, firewall),
		of("ec2:RunInstances", image, instance, key, template, nic, firewall, subnet, volume),
		of("ec2:StopInstances", instance),
		of("ec2:TerminateInstances", instance),
		of("elasticloadbalancing:DescribeTargetHealth"),
		of("iam:CreateServiceLinkedRole", "role"),
		of("iam:GetInstanceProfile", "instance-profile"),
		of("iam:PassRole", "role"),
		of("iam:SimulatePrincipalPolicy", "role", "user"),
		of("kms:CreateGrant", "key"),
		of("kms:Decrypt", "key"),
		of("kms:DescribeKey", "key"),
		of("kms:GenerateDataKey", "key"),
		of("kms:GenerateDataKeyWithoutPlaintext", "key"),
		of("kms:ReEncryptFrom", "key"),
		of("kms:ReEncryptTo", "key"),
		of("s3:DeleteObject", "object"),
		of("s3:GetObject", "object"),
		of("s3:ListBucket", "bucket"),
		of("s3:PutObject", "object"),
		of("secretsmanager:CreateSecret", "secret"),
		of("secretsmanager:DescribeSecret", "secret"),
		of("secretsmanager:GetSecretValue", "secret"),
		of("secretsmanager:PutSecretValue", "secret"),
		of("secretsmanager:TagResource", "secret"),
		of("servicequotas:GetServiceQuota", "quota"),
		of("ssm:AddTagsToResource", "parameter"),
		of("ssm:GetParameters", "parameter"),
		of("ssm:GetParametersByPath", "parameter"),
		of("ssm:PutParameter", "parameter"),
	}
}

// KindOf is the kind of resource that an ARN is of, as Action.Resources has it.
func KindOf(arn string) string {
	if arn == KeyPlaceholder {
		return "key"
	}
	const fields = 6
	parts := strings.SplitN(placeholder.ReplaceAllString(arn, "x"), ":", fields) // there are colons in placeholders
	switch {
	case len(parts) < fields:
		return ""
	case parts[2] == "s3" && strings.Contains(parts[5], "/"):
		return "object"
	case parts[2] == "s3":
		return "bucket"
	case parts[2] == "servicequotas":
		return "quota"
	}
	if end := strings.IndexAny(parts[5], ":/"); end > 0 {
		return parts[5][:end]
	}
	return ""
}
