package aws

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"github.com/cincbake/cincbake/cluster"
)

// Alive extends the time that a slot's machine has until it is ready: a database copies the primary's data as long as it
// takes. A machine of the API pool has nothing to copy: one that is late is given up, so that a bad image ends its refresh.
func (p *Platform) Alive(ctx context.Context, r *cluster.Resolved, self cluster.Node) error {
	if self.Slot == 0 {
		return nil
	}
	return p.tell(ctx, func(ctx context.Context, known identity, s services) error {
		_, err := s.scaling.RecordLifecycleActionHeartbeat(ctx, &autoscaling.RecordLifecycleActionHeartbeatInput{
			AutoScalingGroupName: aws.String(r.GroupName(self)), LifecycleHookName: aws.String(cluster.ReadyHook), InstanceId: &known.instance,
		})
		return err
	})
}

// Ready completes the hook that holds the machine, and tags the instance with what its image is, where its tag says something
// else. A machine that nothing holds, or that is in no group, is told to nobody.
func (p *Platform) Ready(ctx context.Context, r *cluster.Resolved, self cluster.Node, content string) error {
	completed := p.tell(ctx, func(ctx context.Context, known identity, s services) error {
		_, err := s.scaling.CompleteLifecycleAction(ctx, &autoscaling.CompleteLifecycleActionInput{
			AutoScalingGroupName: aws.String(r.GroupName(self)), LifecycleHookName: aws.String(cluster.ReadyHook), InstanceId: &known.instance,
			LifecycleActionResult: aws.String("CONTINUE"),
		})
		return err
	})
	return errors.Join(completed, p.tag(ctx, content))
}

// tell says something to the machine's group, if it is in one and is held.
func (p *Platform) tell(ctx context.Context, say func(context.Context, identity, services) error) error {
	known, s, err := p.connect(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if _, err := p.read(ctx, "autoscaling/target-lifecycle-state"); absent(err) {
		return nil
	} else if err != nil {
		return fmt.Errorf("ask whether this machine is in an autoscaling group: %w", err)
	}
	err = say(ctx, known, s)
	var said smithy.APIError
	if errors.As(err, &said) && said.ErrorCode() == "ValidationError" && strings.Contains(said.ErrorMessage(), "No active Lifecycle Action found") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tell the autoscaling group: %w", err)
	}
	return nil
}

func (p *Platform) tag(ctx context.Context, content string) error {
	known, s, err := p.connect(ctx)
	if err != nil || content == "" || content == known.tags[cluster.TagContent] {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err = s.ec2.CreateTags(ctx, &ec2.CreateTagsInput{
		Resources: []string{known.instance}, Tags: []types.Tag{{Key: aws.String(cluster.TagContent), Value: &content}},
	})
	if err != nil {
		return fmt.Errorf("tag this instance with its content: %w", err)
	}
	return nil
}
