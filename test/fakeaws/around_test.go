package fakeaws_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/cincbake/cincbake/test/fakeaws"
)

func TestLoadBalancers(t *testing.T) {
	a := newAccount(t, fakeaws.Options{Polls: 1})
	c, ctx := elb.NewFromConfig(a.sdk()), t.Context()
	balancer := a.server.AddLoadBalancer(a.region, fakeaws.LoadBalancer{Name: "front"})
	group := a.server.AddTargetGroup(a.region, fakeaws.TargetGroup{Name: "api", Balancers: []string{balancer}})
	a.server.AddTargetGroup(a.region, fakeaws.TargetGroup{Name: "other"})
	found := 0
	for p := elb.NewDescribeTargetGroupsPaginator(c, &elb.DescribeTargetGroupsInput{PageSize: aws.Int32(1)}); p.HasMorePages(); {
		found += len(ok(p.NextPage(ctx))(t).TargetGroups)
	}
	same(t, "groups", found, 2)
	of := ok(c.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{LoadBalancerArn: &balancer}))(t).TargetGroups
	same(t, "of the balancer", []any{len(of), *of[0].TargetGroupArn, *of[0].Port, of[0].Protocol}, []any{1, group, int32(443), elbtypes.ProtocolEnumTcp})
	front := ok(c.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{"front"}}))(t).LoadBalancers[0]
	same(t, "the balancer", []any{front.Type, front.State.Code}, []any{elbtypes.LoadBalancerTypeEnumNetwork, elbtypes.LoadBalancerStateEnumActive})
	_, err := c.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{Names: []string{"none"}})
	fails(t, err, "TargetGroupNotFound")
	_, err = c.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{"none"}})
	fails(t, err, "LoadBalancerNotFound")

	id := a.run()
	a.server.RegisterTarget(a.region, group, id)
	state := func() elbtypes.TargetHealthStateEnum {
		return ok(c.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: &group}))(t).TargetHealthDescriptions[0].TargetHealth.State
	}
	states := []elbtypes.TargetHealthStateEnum{state(), state()}
	a.server.SetTargetHealth(a.region, id, "unhealthy")
	same(t, "health", append(states, state()), []elbtypes.TargetHealthStateEnum{"initial", "healthy", "unhealthy"})
}

// With Options.Register a balancer leads nobody to a target at first.
func TestTargetsRegister(t *testing.T) {
	a := newAccount(t, fakeaws.Options{Register: time.Minute})
	c := elb.NewFromConfig(a.sdk())
	group := a.server.AddTargetGroup(a.region, fakeaws.TargetGroup{Name: "api"})
	a.server.RegisterTarget(a.region, group, a.run())
	var states []elbtypes.TargetHealthStateEnum
	for range 3 {
		states = append(states, ok(c.DescribeTargetHealth(t.Context(), &elb.DescribeTargetHealthInput{TargetGroupArn: &group}))(t).TargetHealthDescriptions[0].TargetHealth.State)
		a.server.Advance(30 * time.Second)
	}
	same(t, "each half minute", states, []elbtypes.TargetHealthStateEnum{"initial", "initial", "healthy"})
}

func TestPermissions(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	c, ctx := iam.NewFromConfig(a.sdk()), t.Context()
	a.server.AddInstanceProfile("api")
	a.server.Forbid("ec2:DescribeVolumes")
	same(t, "a profile", *ok(c.GetInstanceProfile(ctx, &iam.GetInstanceProfileInput{InstanceProfileName: aws.String("api")}))(t).InstanceProfile.Roles[0].RoleName, "api")
	_, err := c.GetInstanceProfile(ctx, &iam.GetInstanceProfileInput{InstanceProfileName: aws.String("none")})
	fails(t, err, "NoSuchEntity")
	me := ok(sts.NewFromConfig(a.sdk()).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}))(t)
	decisions := map[string]iamtypes.PolicyEvaluationDecisionType{}
	for p := iam.NewSimulatePrincipalPolicyPaginator(c, &iam.SimulatePrincipalPolicyInput{PolicySourceArn: me.Arn, ActionNames: []string{"ec2:DescribeVolumes", "ec2:RunInstances"}, MaxItems: aws.Int32(1)}); p.HasMorePages(); {
		for _, r := range ok(p.NextPage(ctx))(t).EvaluationResults {
			decisions[*r.EvalActionName] = r.EvalDecision
		}
	}
	same(t, "what it may", decisions, map[string]iamtypes.PolicyEvaluationDecisionType{"ec2:DescribeVolumes": "implicitDeny", "ec2:RunInstances": "allowed"})
	_, err = a.ec2().DescribeVolumes(ctx, &ec2.DescribeVolumesInput{})
	fails(t, err, "UnauthorizedOperation")
}

func TestQuotas(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	c, ctx := servicequotas.NewFromConfig(a.sdk()), t.Context()
	get := func(code string) (float64, error) {
		out, err := c.GetServiceQuota(ctx, &servicequotas.GetServiceQuotaInput{ServiceCode: aws.String("ec2"), QuotaCode: &code})
		if err != nil {
			return 0, err
		}
		return *out.Quota.Value, nil
	}
	same(t, "at first", ok(get("L-1216C47A"))(t), 256.0)
	a.server.SetQuota(a.region, "ec2", "L-1216C47A", 8)
	same(t, "then", ok(get("L-1216C47A"))(t), 8.0)
	_, err := get("L-NONE")
	fails(t, err, "NoSuchResourceException")
}
