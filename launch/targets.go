package launch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// settlingTime is how long a network load balancer takes, by AWS's word and then some, until it leads connections to a new target,
// and until it leads none to one that goes.
const settlingTime = 5 * time.Minute

// settling is how long a machine of the group is in service before it counts, and how long one that goes stays: nothing where no
// balancer is in front. Autoscaling looks at the instance alone, and would end the old machines of a pool before the balancer
// leads anybody to the first new one.
func (g Group) settling() time.Duration {
	if len(g.TargetGroups) == 0 {
		return 0
	}
	return settlingTime
}

// balanced waits until the balancer leads connections to one of those machines of a group, by each of the target groups that it
// leads any to.
func (f *Fleet) balanced(ctx context.Context, g Group, machines []Instance, within time.Duration) error {
	return f.await(ctx, within, func(ctx context.Context) (lacks string, err error) {
		for _, arn := range g.TargetGroups {
			out, err := f.Targets.DescribeTargetHealth(ctx, &elasticloadbalancingv2.DescribeTargetHealthInput{TargetGroupArn: aws.String(arn)})
			if err != nil {
				return "", fmt.Errorf("ask what the load balancer finds of %s: %w", g.Name, err)
			}
			found := "not registered"
			for _, d := range out.TargetHealthDescriptions {
				if d.Target == nil || d.TargetHealth == nil || !slices.ContainsFunc(machines, func(i Instance) bool { return i.ID == aws.ToString(d.Target.Id) }) {
					continue
				}
				found = string(d.TargetHealth.State)
				if d.TargetHealth.Description != nil {
					found += ", " + *d.TargetHealth.Description
				}
				if s := d.TargetHealth.State; s == types.TargetHealthStateEnumHealthy || s == types.TargetHealthStateEnumUnused {
					found = ""
					break
				}
			}
			if found != "" {
				return fmt.Sprintf("the load balancer leads nobody to a new machine: in %s it is %s", arn, found), nil
			}
		}
		return "", nil
	})
}
