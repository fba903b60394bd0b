package iam

import (
	"slices"

	"github.com/cincbake/cincbake/cluster"
)

// instances is the service that machines get their role from.
func (p parts) instances() string { return "ec2." + p.domain() }

// hasSlots tells whether machines keep something when they are replaced: a network interface, and a volume where has says so.
func (p parts) hasSlots(has func(cluster.Node) bool) bool {
	return slices.ContainsFunc(p.Nodes, func(n cluster.Node) bool { return n.Slot > 0 && has(n) })
}

func anyNode(cluster.Node) bool { return true }

func hasVolume(n cluster.Node) bool { return n.Placement != nil && n.Placement.VolumeGiB > 0 }

// starts are what autoscaling asks of whoever tells a group which launch template to use: whether the caller may start what it
// says, hence ec2:RunInstances, by a template only, and whether the caller may hand the machines' roles on. network are further
// actions in the cluster's subnets and with its security groups, each by its id.
func (p parts) starts(network ...string) []Statement {
	templates := p.ec2("launch-template/*")
	roles := each(MachineRoles(p.Resolved), func(role cluster.Role) string { return p.global("role/" + ProfileOf(p.Resolved, role)) })
	return []Statement{
		allow("StartByTemplate", []string{"ec2:RunInstances"}, p.ec2("instance/*", "network-interface/*", "volume/*"), when("ArnLike", "ec2:LaunchTemplate", templates...)),
		allow("StartFromOwn", []string{"ec2:RunInstances"}, append([]string{p.public("image/*")}, templates...), p.ours()),
		allow("BeInNetwork", append(network, "ec2:RunInstances"), slices.Concat(p.subnets(), p.securityGroups())),
		allow("PassRoles", []string{"iam:PassRole"}, roles, when("StringEquals", "iam:PassedToService", p.instances())),
	}
}

// launch is what cincbake launch calls to plan and apply.
func (p parts) launch() []Statement {
	profiles := each(MachineRoles(p.Resolved), func(role cluster.Role) string {
		return p.global("instance-profile/" + ProfileOf(p.Resolved, role))
	})
	templates, machine := p.ec2("launch-template/*"), p.ec2("instance/*", "network-interface/*", "volume/*")

	// What is made gets the tag, and what is changed has it.
	made := []string{"autoscaling:CreateAutoScalingGroup", "autoscaling:CreateOrUpdateTags", "ec2:CreateLaunchTemplate"}
	changed := []string{
		"autoscaling:AttachLoadBalancerTargetGroups", "autoscaling:DetachLoadBalancerTargetGroups", "autoscaling:PutLifecycleHook",
		"autoscaling:UpdateAutoScalingGroup", "ec2:CreateLaunchTemplateVersion", "ec2:DeleteLaunchTemplateVersions",
	}
	creations, things := []string{"CreateLaunchTemplate", "RunInstances"}, append(p.allGroups(), templates...)
	var network []string
	if p.hasSlots(anyNode) {
		made, changed = append(made, "ec2:CreateNetworkInterface"), append(changed, "ec2:ModifyNetworkInterfaceAttribute")
		network = []string{"ec2:CreateNetworkInterface", "ec2:ModifyNetworkInterfaceAttribute"}
		creations, things = append(creations, "CreateNetworkInterface"), append(things, p.ec2("network-interface/*")...)
	}
	statements := append([]Statement{
		look(append(p.fleetReads(), "ec2:DescribeImages", "ec2:DescribeInstanceTypeOfferings", "ec2:DescribeInstanceTypes", "ec2:DescribeSecurityGroups")...),
		allow("ReadQuota", []string{"servicequotas:GetServiceQuota"}, []string{p.arn("servicequotas", "ec2/"+processors)}),
		allow("ReadChannels", []string{"ssm:GetParameters"}, []string{p.channels()}),
		allow("LookAtProfiles", []string{"iam:GetInstanceProfile"}, profiles),
		// Whether the caller may do what the plan says: who that is, the policy cannot know.
		allow("AskBefore", []string{"iam:SimulatePrincipalPolicy"}, []string{p.global("role/*"), p.global("user/*")}),
		allow("MakeTagged", made, things, p.tagged()),
		allow("ChangeOwn", changed, things, p.ours()),
		// Once in an account: what autoscaling itself is.
		allow("MakeAutoscalingsRole", []string{"iam:CreateServiceLinkedRole"},
			[]string{p.global("role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling")},
			when("StringEquals", "iam:AWSServiceName", "autoscaling.amazonaws.com")),
	}, p.starts(network...)...)
	// Machines' own disks are autoscaling's to encrypt, by the key's policy.
	if p.hasSlots(hasVolume) {
		creations = append(creations, "CreateVolume")
		statements = append(statements, allow("MakeVolumes", []string{"ec2:CreateVolume"}, p.ec2("volume/*"), p.tagged(), when("Bool", "ec2:Encrypted", "true")))
		statements = append(statements, p.diskKey([]string{"kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext"}, p.volumeKey())...)
	}
	slices.Sort(creations)
	return append(statements, p.onCreation(append(templates, machine...), creations...))
}

// processors is the quota of processors that run on demand, of the standard families of instances.
const processors = "L-1216C47A"

// fleetReads are what shows the fleet as it is.
func (parts) fleetReads() []string {
	return []string{
		"autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeLifecycleHooks", "ec2:DescribeInstances", "ec2:DescribeLaunchTemplateVersions",
		"ec2:DescribeLaunchTemplates", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DescribeVolumes",
	}
}

// operate is what replaces machines by others of the version that their group has, and lets a group go back to the version
// before.
func (p parts) operate() []Statement {
	reads := append(p.fleetReads(), "autoscaling:DescribeInstanceRefreshes", "autoscaling:DescribeScalingActivities")
	if p.AWS != nil && len(p.AWS.TargetGroups) > 0 || p.LB != nil && p.LB.Kind == cluster.LBNLB {
		reads = append(reads, "elasticloadbalancing:DescribeTargetHealth")
	}
	return append([]Statement{
		look(reads...),
		allow("ReplaceMachines", []string{
			"autoscaling:CancelInstanceRefresh", "autoscaling:StartInstanceRefresh", "autoscaling:TerminateInstanceInAutoScalingGroup",
			"autoscaling:UpdateAutoScalingGroup",
		}, p.allGroups(), p.ours()),
		p.onCreation(p.ec2("instance/*", "network-interface/*", "volume/*"), "RunInstances"),
	}, p.starts()...)
}
