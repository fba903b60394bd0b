package launch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// Preparing is what is asked of EC2 before anything is made.
type Preparing interface {
	DescribeSecurityGroups(context.Context, *ec2.DescribeSecurityGroupsInput, ...func(*ec2.Options)) (*ec2.DescribeSecurityGroupsOutput, error)
	DescribeInstanceTypes(context.Context, *ec2.DescribeInstanceTypesInput, ...func(*ec2.Options)) (*ec2.DescribeInstanceTypesOutput, error)
	DescribeInstanceTypeOfferings(context.Context, *ec2.DescribeInstanceTypeOfferingsInput, ...func(*ec2.Options)) (*ec2.DescribeInstanceTypeOfferingsOutput, error)
}

// Access is what is asked of IAM.
type Access interface {
	GetInstanceProfile(context.Context, *iam.GetInstanceProfileInput, ...func(*iam.Options)) (*iam.GetInstanceProfileOutput, error)
	SimulatePrincipalPolicy(context.Context, *iam.SimulatePrincipalPolicyInput, ...func(*iam.Options)) (*iam.SimulatePrincipalPolicyOutput, error)
}

// Quotas are the account's.
type Quotas interface {
	GetServiceQuota(context.Context, *servicequotas.GetServiceQuotaInput, ...func(*servicequotas.Options)) (*servicequotas.GetServiceQuotaOutput, error)
}

// Caller tells who is calling.
type Caller interface {
	GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error)
}

var (
	_ Preparing = (*ec2.Client)(nil)
	_ Access    = (*iam.Client)(nil)
	_ Quotas    = (*servicequotas.Client)(nil)
	_ Caller    = (*sts.Client)(nil)
)

// Preflight looks for what would stop a plan from being carried out, or its machines from starting: zones, security groups,
// instance profiles, types of instances, quotas, permissions. Everything that is missing is one error, exit.Missing. What
// the caller may not look at is heard of, and is no error.
func (f *Fleet) Preflight(ctx context.Context, plan Plan) error {
	state, err := f.Read(ctx)
	if err != nil {
		return err
	}
	var lacks []string
	for _, check := range []struct {
		what string
		run  func(context.Context, Plan, State) ([]string, error)
	}{
		{"names and zones", f.checkNames},
		{"security groups", f.checkSecurityGroups},
		{"types of instances", f.checkTypes},
		{"instance profiles", f.checkProfiles},
		{"the quota of processors", f.checkQuota},
		{"permissions", f.checkPermissions},
	} {
		found, err := check.run(ctx, plan, state)
		switch {
		case err != nil && denied(err):
			f.say("preflight", fmt.Sprintf("%s were not checked, as the caller may not look: %v", check.what, err))
		case err != nil:
			return fmt.Errorf("check %s: %w", check.what, err)
		}
		lacks = append(lacks, found...)
	}
	if len(lacks) == 0 {
		return nil
	}
	return exit.Errorf(exit.Missing, "%s", strings.Join(lacks, "\n"))
}

// denied tells whether an error is about a permission.
func denied(err error) bool {
	return hasCode(err, "UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
}

// hasCode tells whether AWS gave one of these codes.
func hasCode(err error, codes ...string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode())
}

// longestTemplate is how long EC2 lets a launch template's name be; an autoscaling group's may have 255 characters.
const longestTemplate = 128

func (f *Fleet) checkNames(_ context.Context, _ Plan, s State) ([]string, error) {
	var lacks []string
	for _, node := range f.Cluster.Nodes {
		if name := f.Cluster.GroupName(node); len(name) > longestTemplate {
			lacks = append(lacks, fmt.Sprintf("the name %s has %d characters, and a launch template's at most %d: give the cluster a shorter one", name, len(name), longestTemplate))
		}
	}
	zones := map[string]bool{}
	for _, zone := range s.Zones {
		zones[zone] = true
	}
	if len(zones) < 2 && (len(f.Cluster.Nodes) > 1 || f.Cluster.API != nil && f.Cluster.API.Max > 1) {
		lacks = append(lacks, fmt.Sprintf("the subnets are all in %s, and the cluster would go with it: list subnets of two zones in network.subnets",
			strings.Join(slices.Sorted(maps.Keys(zones)), "")))
	}
	return lacks, nil
}

func (f *Fleet) checkSecurityGroups(ctx context.Context, _ Plan, _ State) ([]string, error) {
	usedBy := map[string][]string{}
	for _, role := range rolesOf(f.Cluster) {
		for _, id := range f.Cluster.AWS.SecurityGroups[role] {
			usedBy[id] = append(usedBy[id], string(role))
		}
	}
	there := map[string]bool{}
	pages := ec2.NewDescribeSecurityGroupsPaginator(f.EC2, &ec2.DescribeSecurityGroupsInput{Filters: filters("group-id", slices.Sorted(maps.Keys(usedBy))...)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, group := range page.SecurityGroups {
			there[aws.ToString(group.GroupId)] = true
		}
	}
	var lacks []string
	for _, id := range slices.Sorted(maps.Keys(usedBy)) {
		if !there[id] {
			lacks = append(lacks, fmt.Sprintf("there is no security group %s in %s: correct aws.securityGroups of %s", id, f.Cluster.Region, strings.Join(usedBy[id], ", ")))
		}
	}
	return lacks, nil
}

// typesIn returns the types of instances that the cluster's machines are, with the zones where each must be offered.
func (f *Fleet) typesIn(s State) map[string][]string {
	zones := map[string][]string{}
	for _, node := range f.Cluster.Nodes {
		subnets := f.Cluster.Network.Subnets
		if node.Slot > 0 {
			subnets = []string{node.Placement.Subnet}
		}
		of := node.Placement.InstanceType
		for _, subnet := range subnets {
			if zone := s.Zones[subnet]; !slices.Contains(zones[of], zone) {
				zones[of] = append(zones[of], zone)
			}
		}
	}
	return zones
}

func (f *Fleet) checkTypes(ctx context.Context, _ Plan, s State) ([]string, error) {
	wanted := f.typesIn(s)
	names := slices.Sorted(maps.Keys(wanted))
	found, err := f.instanceTypes(ctx, names)
	if err != nil {
		return nil, err
	}
	offered := map[string]bool{}
	offerings := ec2.NewDescribeInstanceTypeOfferingsPaginator(f.EC2, &ec2.DescribeInstanceTypeOfferingsInput{
		LocationType: types.LocationTypeAvailabilityZone, Filters: filters("instance-type", names...),
	})
	for offerings.HasMorePages() {
		page, err := offerings.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.InstanceTypeOfferings {
			offered[string(o.InstanceType)+" "+aws.ToString(o.Location)] = true
		}
	}
	var lacks []string
	for _, name := range names {
		known, ok := found[name]
		if !ok {
			lacks = append(lacks, fmt.Sprintf("%s has no instances of type %s: choose another one", f.Cluster.Region, name))
			continue
		}
		if arch := ec2Arch(f.Cluster.Image.Arch); known.ProcessorInfo != nil && !slices.Contains(known.ProcessorInfo.SupportedArchitectures, types.ArchitectureType(arch)) {
			lacks = append(lacks, fmt.Sprintf("instances of type %s do not run images for %s: choose another type", name, arch))
		}
		for _, zone := range wanted[name] {
			if !offered[name+" "+zone] {
				lacks = append(lacks, fmt.Sprintf("instances of type %s are not offered in %s: choose another type, or another subnet", name, zone))
			}
		}
	}
	return lacks, nil
}

// instanceTypes returns those of the types that the region has.
func (f *Fleet) instanceTypes(ctx context.Context, names []string) (map[string]types.InstanceTypeInfo, error) {
	found := map[string]types.InstanceTypeInfo{}
	pages := ec2.NewDescribeInstanceTypesPaginator(f.EC2, &ec2.DescribeInstanceTypesInput{Filters: filters("instance-type", names...)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, t := range page.InstanceTypes {
			found[string(t.InstanceType)] = t
		}
	}
	return found, nil
}

func (f *Fleet) checkProfiles(ctx context.Context, _ Plan, _ State) ([]string, error) {
	var lacks []string
	for _, role := range rolesOf(f.Cluster) {
		name := f.Cluster.AWS.InstanceProfiles[role]
		_, err := f.Access.GetInstanceProfile(ctx, &iam.GetInstanceProfileInput{InstanceProfileName: aws.String(name)})
		var none *iamtypes.NoSuchEntityException
		switch {
		case errors.As(err, &none):
			lacks = append(lacks, fmt.Sprintf("there is no instance profile %s: make it, or correct aws.instanceProfiles of %s", name, role))
		case err != nil:
			return lacks, err
		}
	}
	return lacks, nil
}

// The quota of processors of the standard families, whose letters follow, that run on demand.
const (
	quotaService     = "ec2"
	quotaProcessors  = "L-1216C47A"
	standardFamilies = "acdhimrtz"
)

// checkQuota holds the processors of all machines that there may be, and of whatever else the account runs, against the
// quota.
func (f *Fleet) checkQuota(ctx context.Context, _ Plan, s State) ([]string, error) {
	known, err := f.instanceTypes(ctx, slices.Sorted(maps.Keys(f.typesIn(s))))
	if err != nil {
		return nil, err
	}
	var needed float64
	for _, node := range f.Cluster.Nodes {
		machines := 1
		if node.Slot == 0 {
			machines = f.Cluster.API.Max
		}
		of := node.Placement.InstanceType
		if info := known[of].VCpuInfo; info != nil && standard(of) {
			needed += float64(machines) * float64(aws.ToInt32(info.DefaultVCpus))
		}
	}
	quota, err := f.Quotas.GetServiceQuota(ctx, &servicequotas.GetServiceQuotaInput{ServiceCode: aws.String(quotaService), QuotaCode: aws.String(quotaProcessors)})
	if err != nil {
		return nil, err
	}
	var others float64
	pages := ec2.NewDescribeInstancesPaginator(f.EC2, &ec2.DescribeInstancesInput{Filters: filters("instance-state-name", "pending", "running")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, reservation := range page.Reservations {
			for _, i := range reservation.Instances {
				if cpu := i.CpuOptions; cpu != nil && counts(i) && tagMap(i.Tags)[cluster.TagCluster] != f.Cluster.Name {
					others += float64(aws.ToInt32(cpu.CoreCount) * aws.ToInt32(cpu.ThreadsPerCore))
				}
			}
		}
	}
	if quota.Quota == nil || needed+others <= aws.ToFloat64(quota.Quota.Value) {
		return nil, nil
	}
	return []string{fmt.Sprintf("the cluster may need %.0f processors (vCPUs), others use %.0f, and the account's quota is %.0f: ask AWS to raise %s",
		needed, others, aws.ToFloat64(quota.Quota.Value), quotaProcessors)}, nil
}

// counts tells whether an instance takes from the quota: spot instances have one of their own, and so have dedicated hosts.
func counts(i types.Instance) bool {
	onHost := i.Placement != nil && i.Placement.Tenancy == types.TenancyHost
	return standard(string(i.InstanceType)) && i.InstanceLifecycle == "" && !onHost
}

// standard tells whether a type is of the standard families.
func standard(instanceType string) bool {
	return instanceType != "" && strings.Contains(standardFamilies, instanceType[:1])
}

// checkPermissions asks IAM whether the caller may make the plan's calls, on what belongs to the cluster.
func (f *Fleet) checkPermissions(ctx context.Context, plan Plan, _ State) ([]string, error) {
	me, err := f.Caller.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, err
	}
	principal := policySource(aws.ToString(me.Arn))
	if principal == "" {
		return nil, nil // the account's root may do everything
	}
	partition, _, _ := strings.Cut(strings.TrimPrefix(aws.ToString(me.Arn), "arn:"), ":")
	at := func(service string) string {
		return fmt.Sprintf("arn:%s:%s:%s:%s:", partition, service, f.Cluster.Region, aws.ToString(me.Account))
	}
	calls := map[string]string{} // with what each is made on
	for _, change := range plan.Changes {
		calls[change.Call] = map[string]string{
			kindInterface: at("ec2") + "network-interface/eni-00000000000000000",
			kindVolume:    at("ec2") + "volume/vol-00000000000000000",
			kindTemplate:  at("ec2") + "launch-template/lt-00000000000000000",
			kindGroup:     at("autoscaling") + "autoScalingGroup:00000000-0000-4000-8000-000000000000:autoScalingGroupName/" + change.Name,
		}[change.Kind]
	}
	var lacks []string
	for _, call := range slices.Sorted(maps.Keys(calls)) {
		refused, err := f.simulate(ctx, principal, call, calls[call])
		if hasCode(err, unsimulated...) {
			f.say("preflight", fmt.Sprintf("permissions were not checked, as IAM cannot tell what %s may do: %v", aws.ToString(me.Arn), err))
			return nil, nil
		}
		if err != nil {
			return lacks, err
		}
		lacks = append(lacks, refused...)
	}
	return lacks, nil
}

// unsimulated are IAM's codes for a caller whose policies it does not find: a session's name leaves out its role's path, which
// those of IAM Identity Center have, and some callers, like federated users, have no role at all.
var unsimulated = []string{"NoSuchEntity", "InvalidInput", "ValidationError"}

// simulate asks IAM about one action on one resource, with the cluster's tags on it.
func (f *Fleet) simulate(ctx context.Context, principal, action, resource string) ([]string, error) {
	entry := func(key string, kind iamtypes.ContextKeyTypeEnum, value string) iamtypes.ContextEntry {
		return iamtypes.ContextEntry{ContextKeyName: aws.String(key), ContextKeyType: kind, ContextKeyValues: []string{value}}
	}
	pages := iam.NewSimulatePrincipalPolicyPaginator(f.Access, &iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: aws.String(principal), ActionNames: []string{action}, ResourceArns: []string{resource},
		ContextEntries: []iamtypes.ContextEntry{
			entry("aws:RequestTag/"+cluster.TagCluster, iamtypes.ContextKeyTypeEnumString, f.Cluster.Name),
			entry("aws:ResourceTag/"+cluster.TagCluster, iamtypes.ContextKeyTypeEnumString, f.Cluster.Name),
			entry("aws:RequestedRegion", iamtypes.ContextKeyTypeEnumString, f.Cluster.Region),
			entry("ec2:Encrypted", iamtypes.ContextKeyTypeEnumBoolean, "true"),
		},
	})
	var lacks []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, result := range page.EvaluationResults {
			switch {
			case result.EvalDecision == iamtypes.PolicyEvaluationDecisionTypeAllowed:
			case result.EvalDecision == iamtypes.PolicyEvaluationDecisionTypeExplicitDeny:
				lacks = append(lacks, fmt.Sprintf("%s may not call %s: a policy denies it", principal, action))
			case len(result.MissingContextValues) == 0: // else only the call itself can tell
				lacks = append(lacks, fmt.Sprintf("%s may not call %s: no policy allows it", principal, action))
			}
		}
	}
	return lacks, nil
}

// policySource is whose policies a caller has: a session's are its role's. Empty: the caller is the account's root.
func policySource(arn string) string {
	head, rest, ok := strings.Cut(arn, ":sts::")
	if !ok {
		if strings.HasSuffix(arn, ":root") {
			return ""
		}
		return arn
	}
	account, session, ok := strings.Cut(rest, ":assumed-role/")
	if !ok {
		return arn
	}
	role, _, _ := strings.Cut(session, "/")
	return fmt.Sprintf("%s:iam::%s:role/%s", head, account, role)
}
