package fakeaws

import (
	"net/url"
	"strings"

	"github.com/cincbake/cincbake/test/fakeaws/policy"
)

// scalingQuestions are by action; what only describes takes no resource.
func scalingQuestions() map[string]func(*questions) {
	rules := map[string]func(*questions){
		"CreateAutoScalingGroup": (*questions).createGroup,
		"UpdateAutoScalingGroup": func(q *questions) {
			q.group("")
			q.startByGroup(q.call.Params, "LaunchTemplate")
		},
		"StartInstanceRefresh": func(q *questions) {
			q.group("")
			q.startByGroup(q.call.Params, "DesiredConfiguration.LaunchTemplate")
		},
		"SetInstanceHealth":                   (*questions).groupOfInstance,
		"TerminateInstanceInAutoScalingGroup": (*questions).groupOfInstance,
		"CreateOrUpdateTags":                  (*questions).groupTags,
		"DeleteTags":                          (*questions).groupTags,
	}
	for _, action := range []string{
		"AttachLoadBalancerTargetGroups", "AttachTrafficSources", "CancelInstanceRefresh", "CompleteLifecycleAction", "DeleteAutoScalingGroup",
		"DeleteLifecycleHook", "DetachLoadBalancerTargetGroups", "DetachTrafficSources", "PutLifecycleHook", "RecordLifecycleActionHeartbeat",
		"ResumeProcesses", "RollbackInstanceRefresh", "SetDesiredCapacity", "SetInstanceProtection", "SuspendProcesses",
	} {
		rules[action] = func(q *questions) { q.group("") }
	}
	return rules
}

// group asks about the call's action with a group that there is; without a name, with the one that the call is for.
func (q *questions) group(name string) {
	if name == "" {
		name = q.call.Params.String("AutoScalingGroupName")
	}
	if g := q.scaling.group(q.call.Region, name); g != nil {
		q.ask("autoscaling:"+q.call.Action, g.arn, has(g.tagMap()))
	}
}

func (g *scalingGroup) tagMap() map[string]string {
	tags := map[string]string{}
	for _, t := range g.tags {
		tags[t.Key] = t.Value
	}
	return tags
}

func (q *questions) groupOfInstance() {
	if g, _, err := q.scaling.member(q.call); err == nil {
		q.group(g.name)
	}
}

func (q *questions) groupTags() {
	given := map[string]map[string]string{}
	for _, t := range q.call.Params.List("Tags") {
		name := t.String("ResourceId")
		if given[name] == nil {
			given[name] = map[string]string{}
		}
		given[name][t.String("Key")] = t.String("Value")
	}
	for name, tags := range given {
		if g := q.scaling.group(q.call.Region, name); g != nil {
			q.ask("autoscaling:"+q.call.Action, g.arn, both(has(g.tagMap()), requested(tags)))
		}
	}
}

// createGroup: the group's ARN has a part that nobody knows yet. Autoscaling's guide, "Tag-based conditions": who makes a group
// with tags needs autoscaling:CreateOrUpdateTags too. "Service-linked roles": whoever makes the account's first group needs
// iam:CreateServiceLinkedRole.
func (q *questions) createGroup() {
	name, tags := q.call.Params.String("AutoScalingGroupName"), q.call.Params.Tags("Tags")
	group := arn("autoscaling", q.call.Region, "autoScalingGroup:*:autoScalingGroupName/"+name)
	q.ask("autoscaling:CreateAutoScalingGroup", group, requested(tags))
	if len(tags) > 0 {
		q.ask("autoscaling:CreateOrUpdateTags", group, requested(tags))
	}
	if len(q.scaling.groups) == 0 {
		q.ask("iam:CreateServiceLinkedRole", iamARN("role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"),
			policy.Context{}.With("iam:AWSServiceName", "autoscaling.amazonaws.com"))
	}
	q.startByGroup(q.call.Params, "LaunchTemplate")
}

// startByGroup: Autoscaling's guide, "Control Amazon EC2 launch template usage in Auto Scaling groups": whoever gives a group a
// launch template needs ec2:RunInstances for what it says, ec2:CreateTags for its tags, and iam:PassRole for its role.
func (q *questions) startByGroup(p Params, name string) {
	ref := refOf(p, name)
	if ref == (templateRef{}) {
		return
	}
	var subnets []string
	if zones := p.String("VPCZoneIdentifier"); zones != "" {
		subnets = strings.Split(zones, ",")
	} else if g := q.scaling.group(q.call.Region, p.String("AutoScalingGroupName")); g != nil {
		subnets = q.scaling.placesOf(g)
	}
	values := url.Values{"LaunchTemplate.Version": {ref.Version}}
	if ref.ID != "" {
		values.Set("LaunchTemplate.LaunchTemplateId", ref.ID)
	} else {
		values.Set("LaunchTemplate.LaunchTemplateName", ref.Name)
	}
	q.start(Params{values: values}, subnets, false)
}

// objectQuestions are S3's: its actions are not called like its API. S3's guide, "Required permissions for Amazon S3 API
// operations".
func objectQuestions() map[string]func(*questions) {
	bucket := func(q *questions) string { return "arn:aws:s3:::" + q.call.Params.String("Bucket") }
	object := func(q *questions) string { return bucket(q) + "/" + q.call.Params.String("Key") }
	list := func(q *questions, prefix string) {
		q.ask("s3:ListBucket", bucket(q), policy.Context{}.With("s3:prefix", prefix))
	}
	read := func(q *questions) {
		q.ask("s3:GetObject", object(q), nil)
		// GetObject's reference: of an object that is not there, only who may list the bucket is told so. Which prefix that is
		// about is not told; the key's own, as programs that are used with conditions on it show.
		if b := q.s3.buckets[q.call.Params.String("Bucket")]; b != nil && b.objects[q.call.Params.String("Key")] == nil {
			list(q, q.call.Params.String("Key"))
		}
	}
	return map[string]func(*questions){
		"CreateBucket":      func(q *questions) { q.ask("s3:CreateBucket", bucket(q), nil) },
		"HeadBucket":        func(q *questions) { q.ask("s3:ListBucket", bucket(q), nil) },
		"GetBucketLocation": func(q *questions) { q.ask("s3:GetBucketLocation", bucket(q), nil) },
		"ListObjectsV2":     func(q *questions) { list(q, q.call.Params.String("prefix")) },
		"GetObject":         read,
		"HeadObject":        read,
		"PutObject": func(q *questions) {
			q.ask("s3:PutObject", object(q), nil)
			// PutObject's reference: a write that depends on what is there reads it.
			if q.call.Params.Has("If-Match") {
				q.ask("s3:GetObject", object(q), nil)
			}
			q.key("s3", q.call.Region, q.call.Params.String("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"), "GenerateDataKey")
		},
		"DeleteObject": func(q *questions) { q.ask("s3:DeleteObject", object(q), nil) },
	}
}

// parameterARN is that of a parameter, by its name, with a version perhaps, or its ARN.
func parameterARN(region, name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	name, _, _ = strings.Cut(name, ":")
	return arn("ssm", region, "parameter/"+strings.Trim(name, "/"))
}

// parameterQuestions are those of Systems Manager. Names are in the ARNs, so they are asked about whether they are there or not.
func parameterQuestions() map[string]func(*questions) {
	on := func(name string, c func(*questions) policy.Context) func(*questions) {
		return func(q *questions) {
			for _, one := range append(q.call.Params.Strings(name), q.call.Params.String(name)) {
				if one != "" {
					q.ask("ssm:"+q.call.Action, parameterARN(q.call.Region, one), q.parameterTags(one, c(q)))
				}
			}
		}
	}
	plain := func(*questions) policy.Context { return policy.Context{} }
	tagging := func(q *questions) policy.Context { return requested(q.call.Params.Tags("Tags")) }
	return map[string]func(*questions){
		"PutParameter": func(q *questions) {
			on("Name", tagging)(q)
			name, tags := q.call.Params.String("Name"), q.call.Params.Tags("Tags")
			// Systems Manager's guide, "Tagging parameters": tags at creation are a permission of their own.
			if len(tags) > 0 {
				q.ask("ssm:AddTagsToResource", parameterARN(q.call.Region, name), q.parameterTags(name, requested(tags)))
			}
			// "Native parameter support for AMI IDs": who writes one must be able to describe images.
			if q.call.Params.String("DataType") == "aws:ec2:image" {
				q.ask("ec2:DescribeImages", "*", nil)
			}
		},
		"GetParameter":           on("Name", plain),
		"GetParameters":          on("Names", plain),
		"GetParametersByPath":    on("Path", plain),
		"GetParameterHistory":    on("Name", plain),
		"DeleteParameter":        on("Name", plain),
		"AddTagsToResource":      on("ResourceId", tagging),
		"RemoveTagsFromResource": on("ResourceId", plain),
		"ListTagsForResource":    on("ResourceId", plain),
	}
}

func (q *questions) parameterTags(name string, c policy.Context) policy.Context {
	if p := q.ssm.parameters[q.call.Region+name]; p != nil {
		c = both(has(p.tags), c)
	}
	return c
}

// secretQuestions are those of Secrets Manager. The ARN of a secret that is there ends with six characters of its own; one that
// is not has none, and IAM is asked about it without: Secrets Manager's guide, "Permissions policy examples", on wildcards.
func secretQuestions() map[string]func(*questions) {
	on := func(q *questions) (key string) {
		id := q.call.Params.String("SecretId")
		s := q.vault.named(q.call.Region, id)
		if s == nil {
			if !strings.HasPrefix(id, "arn:") {
				id = arn("secretsmanager", q.call.Region, "secret:"+id)
			}
			q.ask("secretsmanager:"+q.call.Action, id, nil)
			return ""
		}
		q.ask("secretsmanager:"+q.call.Action, s.arn, both(has(s.tags), requested(q.call.Params.Tags("Tags"))))
		return s.key
	}
	plain := func(q *questions) { on(q) }
	// The guide, "Secret encryption and decryption": the caller's permissions for the key count, by way of the service.
	uses := func(actions ...string) func(*questions) {
		return func(q *questions) { q.key("secretsmanager", q.call.Region, on(q), actions...) }
	}
	return map[string]func(*questions){
		"CreateSecret": func(q *questions) {
			p := q.call.Params
			name, tags := arn("secretsmanager", q.call.Region, "secret:"+p.String("Name")), p.Tags("Tags")
			q.ask("secretsmanager:CreateSecret", name, requested(tags))
			if len(tags) > 0 {
				q.ask("secretsmanager:TagResource", name, requested(tags))
			}
			q.key("secretsmanager", q.call.Region, p.String("KmsKeyId"), "Decrypt", "GenerateDataKey")
		},
		"PutSecretValue": uses("Decrypt", "GenerateDataKey"),
		"GetSecretValue": uses("Decrypt"),
		"DescribeSecret": plain,
		"ListSecrets":    (*questions).everything,
		"TagResource":    plain,
		"UntagResource":  plain,
		"DeleteSecret":   plain,
		"RestoreSecret":  plain,
	}
}

// iamARN is the name of a resource of IAM, which is in no region.
func iamARN(rest string) string { return "arn:aws:iam::" + Account + ":" + rest }

func iamQuestions() map[string]func(*questions) {
	return map[string]func(*questions){
		"GetInstanceProfile": func(q *questions) {
			q.ask("iam:GetInstanceProfile", iamARN("instance-profile/"+q.call.Params.String("InstanceProfileName")), nil)
		},
		"SimulatePrincipalPolicy": func(q *questions) { q.ask("iam:SimulatePrincipalPolicy", q.call.Params.String("PolicySourceArn"), nil) },
	}
}

func quotaQuestions(q *questions) {
	q.ask("servicequotas:GetServiceQuota", arn("servicequotas", q.call.Region, q.call.Params.String("ServiceCode")+"/"+q.call.Params.String("QuotaCode")), nil)
}
