package launch

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	quotatypes "github.com/aws/aws-sdk-go-v2/service/servicequotas/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// surroundings are what an account lacks of what a cluster needs.
type surroundings struct {
	lacks []string // ids and names
	blind string   // the code with which IAM refuses to look at permissions
	quota float64
}

func (s *surroundings) has(name string) bool { return !slices.Contains(s.lacks, name) }

func (a *account) DescribeSecurityGroups(_ context.Context, in *ec2.DescribeSecurityGroupsInput, _ ...func(*ec2.Options)) (*ec2.DescribeSecurityGroupsOutput, error) {
	out := &ec2.DescribeSecurityGroupsOutput{}
	for _, id := range in.Filters[0].Values {
		if a.around.has(id) {
			out.SecurityGroups = append(out.SecurityGroups, types.SecurityGroup{GroupId: aws.String(id)})
		}
	}
	return out, nil
}

func (a *account) DescribeInstanceTypes(_ context.Context, in *ec2.DescribeInstanceTypesInput, _ ...func(*ec2.Options)) (*ec2.DescribeInstanceTypesOutput, error) {
	out := &ec2.DescribeInstanceTypesOutput{}
	for _, name := range in.Filters[0].Values {
		if a.around.has(name) {
			info := types.InstanceTypeInfo{InstanceType: types.InstanceType(name), VCpuInfo: &types.VCpuInfo{DefaultVCpus: aws.Int32(2)}, ProcessorInfo: &types.ProcessorInfo{}}
			info.ProcessorInfo.SupportedArchitectures = []types.ArchitectureType{types.ArchitectureTypeX8664}
			if !a.around.has(name + " for x86_64") {
				info.ProcessorInfo.SupportedArchitectures = []types.ArchitectureType{types.ArchitectureTypeArm64}
			}
			out.InstanceTypes = append(out.InstanceTypes, info)
		}
	}
	return out, nil
}

func (a *account) DescribeInstanceTypeOfferings(_ context.Context, in *ec2.DescribeInstanceTypeOfferingsInput, _ ...func(*ec2.Options)) (*ec2.DescribeInstanceTypeOfferingsOutput, error) {
	out := &ec2.DescribeInstanceTypeOfferingsOutput{}
	for _, name := range in.Filters[0].Values {
		for _, zone := range []string{"eu-west-1a", "eu-west-1b", "eu-west-1c"} {
			if a.around.has(name + " in " + zone) {
				out.InstanceTypeOfferings = append(out.InstanceTypeOfferings, types.InstanceTypeOffering{InstanceType: types.InstanceType(name), Location: aws.String(zone)})
			}
		}
	}
	return out, nil
}

func (a *account) GetInstanceProfile(_ context.Context, in *iam.GetInstanceProfileInput, _ ...func(*iam.Options)) (*iam.GetInstanceProfileOutput, error) {
	if !a.around.has(*in.InstanceProfileName) {
		return nil, &iamtypes.NoSuchEntityException{}
	}
	return &iam.GetInstanceProfileOutput{}, nil
}

func (a *account) SimulatePrincipalPolicy(_ context.Context, in *iam.SimulatePrincipalPolicyInput, _ ...func(*iam.Options)) (*iam.SimulatePrincipalPolicyOutput, error) {
	if a.around.blind != "" {
		return nil, &smithy.GenericAPIError{Code: a.around.blind}
	}
	if *in.PolicySourceArn != "arn:aws:iam::111122223333:role/ci" {
		a.t.Errorf("asked about %s", *in.PolicySourceArn)
	}
	out := &iam.SimulatePrincipalPolicyOutput{}
	for _, action := range in.ActionNames {
		decision := iamtypes.PolicyEvaluationDecisionTypeAllowed
		if !a.around.has(action) {
			decision = iamtypes.PolicyEvaluationDecisionTypeImplicitDeny
		}
		out.EvaluationResults = append(out.EvaluationResults, iamtypes.EvaluationResult{EvalActionName: aws.String(action), EvalDecision: decision})
	}
	return out, nil
}

func (a *account) GetServiceQuota(context.Context, *servicequotas.GetServiceQuotaInput, ...func(*servicequotas.Options)) (*servicequotas.GetServiceQuotaOutput, error) {
	return &servicequotas.GetServiceQuotaOutput{Quota: &quotatypes.ServiceQuota{Value: aws.Float64(a.around.quota)}}, nil
}

func (a *account) GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error) {
	return &sts.GetCallerIdentityOutput{Arn: aws.String("arn:aws:sts::111122223333:assumed-role/ci/session"), Account: aws.String("111122223333")}, nil
}

func TestPreflight(t *testing.T) {
	for name, c := range map[string]struct {
		around surroundings
		want   []string // a part of each line
		heard  string
	}{
		"nothing is missing": {surroundings{quota: 30}, nil, ""},
		"everything at once": {
			surroundings{quota: 29, lacks: []string{
				"sg-00000000000000a02", "r6i.large", "m6i.xlarge in eu-west-1b", "m6i.large for x86_64", "prod-heartbeat", "ec2:CreateVolume", "autoscaling:CreateAutoScalingGroup",
			}},
			[]string{
				"no security group sg-00000000000000a02",
				"instances of type m6i.large do not run images for x86_64",
				"type m6i.xlarge are not offered in eu-west-1b",
				"no instances of type r6i.large",
				"no instance profile prod-heartbeat",
				"may not call autoscaling:CreateAutoScalingGroup",
				"may not call ec2:CreateVolume",
			},
			"",
		},
		"the quota is too small":   {surroundings{quota: 17}, []string{"the account's quota is 17"}, ""},
		"nobody may look at rules": {surroundings{quota: 30, blind: "AccessDenied"}, nil, "permissions were not checked"},
		// A session's name has no path, and a role of IAM Identity Center has one.
		"the role is not found by the session": {surroundings{quota: 30, blind: "NoSuchEntity"}, nil, "permissions were not checked, as IAM cannot tell what arn:aws:sts:"},
		"a federated user":                     {surroundings{quota: 30, blind: "InvalidInput"}, nil, "permissions were not checked"},
	} {
		t.Run(name, func(t *testing.T) {
			f, a := fleet(t, cluster.SelfHosted)
			var heard []string
			f.Heard = func(_, what string) { heard = append(heard, what) }
			a.around = c.around
			plan, err := f.Plan(t.Context(), imagesOf(t, f))
			if err != nil {
				t.Fatal(err)
			}
			err = f.Preflight(t.Context(), plan)
			if (err == nil) != (c.want == nil) || err != nil && exit.CodeOf(err) != exit.Missing {
				t.Fatalf("got %v", err)
			}
			if err != nil {
				lines := strings.Split(err.Error(), "\n")
				if len(lines) != len(c.want) {
					t.Errorf("%d lines instead of %d:\n%v", len(lines), len(c.want), err)
				}
				for i := range min(len(lines), len(c.want)) {
					if !strings.Contains(lines[i], c.want[i]) {
						t.Errorf("line %d is %q, and not about %q", i, lines[i], c.want[i])
					}
				}
			}
			if c.heard != "" && !strings.Contains(strings.Join(heard, "\n"), c.heard) {
				t.Errorf("heard %q", heard)
			}
			if len(a.calls) > 0 {
				t.Errorf("the preflight changed something: %v", a.calls)
			}
		})
	}
}

// TestCounts holds what takes from the quota of instances on demand.
func TestCounts(t *testing.T) {
	for name, c := range map[string]struct {
		instance types.Instance
		want     bool
	}{
		"on demand":           {types.Instance{InstanceType: "m6i.large", Placement: &types.Placement{Tenancy: types.TenancyDefault}}, true},
		"dedicated":           {types.Instance{InstanceType: "m6i.large", Placement: &types.Placement{Tenancy: types.TenancyDedicated}}, true},
		"on a dedicated host": {types.Instance{InstanceType: "m6i.large", Placement: &types.Placement{Tenancy: types.TenancyHost}}, false},
		"spot":                {types.Instance{InstanceType: "m6i.large", InstanceLifecycle: types.InstanceLifecycleTypeSpot}, false},
		"of another family":   {types.Instance{InstanceType: "g5.xlarge"}, false},
	} {
		if got := counts(c.instance); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestImages(t *testing.T) {
	f, a := fleet(t, cluster.SelfHosted)
	good := imagesOf(t, f)
	if len(good) != 4 || good[cluster.RolePostgres].RootDevice != "/dev/xvda" {
		t.Errorf("got %+v", good)
	}
	other := a.images["ami-00000000000000021"]
	other.ImageId, other.Architecture = aws.String("ami-arm"), types.ArchitectureValuesArm64
	a.images["ami-arm"] = other
	old := a.images["ami-00000000000000051"]
	old.ImageId, old.Tags = aws.String("ami-old"), tagList(map[string]string{cluster.TagRole: "heartbeat", cluster.TagRecipe: "sha256:0123456789abcdef"})
	a.images["ami-old"] = old
	delete(a.parameters, cluster.ChannelParameter("prod", cluster.RoleOpenSearch, "stable"))
	named := map[cluster.Role]string{cluster.RoleAPI: "ami-arm", cluster.RolePostgres: "ami-00000000000000021", cluster.RoleHeartbeat: "ami-old"}
	_, err := f.Images(t.Context(), "stable", named)
	if exit.CodeOf(err) != exit.Missing {
		t.Fatalf("got %v", err)
	}
	for _, part := range []string{
		"channel stable has no opensearch image", "ami-arm is for arm64", `ami-00000000000000021 is of role "api", and not of postgres`,
		"heartbeat image ami-old was made from the recipe 0123456789ab",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("nothing says that %s:\n%v", part, err)
		}
	}
	if _, err := f.Images(t.Context(), "stable", map[cluster.Role]string{cluster.RoleOpenSearch: "ami-gone"}); !strings.Contains(err.Error(), "ami-gone is not in eu-west-1") {
		t.Errorf("got %v", err)
	}
}

func TestPolicySource(t *testing.T) {
	for arn, want := range map[string]string{
		"arn:aws:sts::111122223333:assumed-role/ci/session": "arn:aws:iam::111122223333:role/ci",
		"arn:aws:iam::111122223333:user/ops":                "arn:aws:iam::111122223333:user/ops",
		"arn:aws:iam::111122223333:root":                    "",
		"arn:aws-cn:sts::111122223333:assumed-role/a/b":     "arn:aws-cn:iam::111122223333:role/a",
	} {
		if diff := cmp.Diff(want, policySource(arn)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", arn, diff)
		}
	}
}
