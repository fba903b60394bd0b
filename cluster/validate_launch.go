package cluster

import (
	"fmt"
	"regexp"
	"strings"
)

// The forms of what the section aws names. AWS has partitions of its own in some countries, hence aws-cn and the like.
var (
	bucketForm      = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	profileForm     = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{1,128}$`)
	groupForm       = regexp.MustCompile(`^sg-([0-9a-f]{8}|[0-9a-f]{17})$`)
	keyForm         = regexp.MustCompile(`^arn:aws[a-z-]*:kms:([a-z0-9-]+):[0-9]{12}:key/[A-Za-z0-9-]+$`)
	targetGroupForm = regexp.MustCompile(`^arn:aws[a-z-]*:elasticloadbalancing:([a-z0-9-]+):[0-9]{12}:targetgroup/[A-Za-z0-9-]{1,32}/[0-9a-f]{16}$`)
)

// awsForm holds names in the account to the forms that AWS gives them, and ARNs to the cluster's region.
func (c *checker) awsForm() {
	a := c.spec.AWS
	if a == nil || c.spec.Platform != AWS {
		return
	}
	hold := func(at, value string, form *regexp.Regexp, what, like string) {
		if value == "" || c.broken[at] {
			return
		}
		match := form.FindStringSubmatch(value)
		if match == nil {
			c.report(at, show(value)+" is not "+what, "write one like "+like)
			return
		}
		if isARN := strings.HasPrefix(value, "arn:"); isARN && c.spec.Region != "" && match[1] != c.spec.Region {
			c.report(at, fmt.Sprintf("it is in %s, and the cluster in %s", match[1], c.spec.Region), "use one of the cluster's region")
		}
	}
	const keyLike = "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-…"
	hold("aws.bucket", a.Bucket, bucketForm, "a bucket's name", "prod-images")
	hold("aws.key", a.Key, keyForm, "the ARN of a KMS key", keyLike)
	hold("aws.volumeKey", a.VolumeKey, keyForm, "the ARN of a KMS key", keyLike)
	for _, tier := range c.spec.awsTiers() {
		hold(join("aws.instanceProfiles", tier.key), tier.profile, profileForm, "the name of an instance profile", "prod-"+tier.key)
		for i, group := range tier.groups {
			hold(index(join("aws.securityGroups", tier.key), i), group, groupForm, "a security group's id", "sg-0a1b2c3d4e5f60718")
		}
	}
	for i, target := range a.TargetGroups {
		hold(index("aws.targetGroups", i), target, targetGroupForm, "the ARN of a target group",
			"arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/prod/0123456789abcdef")
	}
}

// awsTier refuses what the section aws says of a tier that has no machines.
func (c *checker) awsTier() {
	if c.spec.AWS == nil || c.spec.Platform != AWS {
		return
	}
	roles := map[Role]bool{}
	for _, m := range c.spec.machines() {
		roles[m.role] = true
	}
	for _, tier := range c.spec.awsTiers() {
		for _, key := range []string{"aws.instanceProfiles", "aws.securityGroups"} {
			if at := join(key, tier.key); c.spec.written(at) && !roles[tier.role] {
				c.report(at, "the cluster has no machines of its own there", "remove it")
			}
		}
	}
	if len(c.spec.AWS.TargetGroups) > 0 && !roles[RoleAPI] && !roles[RoleStandalone] {
		c.report("aws.targetGroups", "the cluster has no API nodes", "remove it")
	}
}

// ruleLaunch is what LaunchProblems reports under. It is no rule of a spec: bakes and seeds do without the section.
const ruleLaunch = "launch"

// LaunchProblems lists what launching the cluster needs and the spec does not say, in the order of the section aws; none
// for a spec that is complete.
func (s *Spec) LaunchProblems() Problems {
	c := &checker{spec: s, rule: ruleLaunch}
	if s.Platform != AWS {
		c.report("platform", fmt.Sprintf("machines on %s are not launched by cincbake", s.Platform), "hand the seeds of cincbake render to the hypervisor")
		return c.problems
	}
	a := s.AWS
	if a == nil {
		a = &AWSSpec{}
	}
	need := func(at, example string, given bool) {
		if !given {
			c.report(at, "the key is missing, and launching needs it", "add it, like "+at[strings.LastIndex(at, ".")+1:]+": "+example)
		}
	}
	need("aws.key", "arn:aws:kms:…:key/…", a.Key != "" || a.VolumeKey != "")
	roles := map[Role]bool{}
	for _, m := range s.machines() {
		roles[m.role] = true
	}
	for _, tier := range s.awsTiers() {
		if roles[tier.role] {
			need(join("aws.instanceProfiles", tier.key), s.Name+"-"+tier.key, tier.profile != "")
		}
	}
	for _, tier := range s.awsTiers() {
		if roles[tier.role] {
			need(join("aws.securityGroups", tier.key), "[sg-0a1b2c3d4e5f60718]", len(tier.groups) > 0)
		}
	}
	if s.LB != nil && s.LB.Kind == LBNLB {
		need("aws.targetGroups", "[arn:aws:elasticloadbalancing:…]", len(a.TargetGroups) > 0)
	}
	return c.problems
}
