package aws

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/role"
)

// Alive extends the time that a slot's machine has until it is ready: a database copies the primary's data as long as it
// takes. A machine of the API pool has nothing to copy: one that is late is given up, so that a bad image ends its refresh.
func (p *Platform) Alive(ctx context.Context, r *cluster.Resolved, self cluster.Node) error {
	if self.Slot == 0 {
		return nil
	}
	_, err := p.tell(ctx, func(ctx context.Context, known identity, s services) error {
		_, err := s.scaling.RecordLifecycleActionHeartbeat(ctx, &autoscaling.RecordLifecycleActionHeartbeatInput{
			AutoScalingGroupName: aws.String(r.GroupName(self)), LifecycleHookName: aws.String(cluster.ReadyHook), InstanceId: &known.instance,
		})
		return err
	})
	return err
}

// Ready completes the hook that holds the machine, and tags the instance with what its image is, where its tag says something
// else. A machine that nothing holds, or that is in no group, is told to nobody.
func (p *Platform) Ready(ctx context.Context, r *cluster.Resolved, self cluster.Node, content string) error {
	completed := p.tellHeld(ctx, func(ctx context.Context, known identity, s services) error {
		_, err := s.scaling.CompleteLifecycleAction(ctx, &autoscaling.CompleteLifecycleActionInput{
			AutoScalingGroupName: aws.String(r.GroupName(self)), LifecycleHookName: aws.String(cluster.ReadyHook), InstanceId: &known.instance,
			LifecycleActionResult: aws.String("CONTINUE"),
		})
		return err
	})
	return errors.Join(completed, p.tag(ctx, content))
}

// Autoscaling holds an instance some time after EC2 lets it run, and until then answers that nothing holds it. A machine that
// is ready before would wait behind its hook until it is given up, and so would the next one. So for a while after its launch a
// machine of a group does not believe that answer.
const (
	holdTime   = 5 * time.Minute
	holdPauses = 10 // of the platform's
)

// tellHeld says something to the machine's group, again and again while it may not be held yet.
func (p *Platform) tellHeld(ctx context.Context, say func(context.Context, identity, services) error) error {
	for {
		held, err := p.tell(ctx, say)
		if held || err != nil {
			return err
		}
		known, _, err := p.connect(ctx)
		if err != nil || known.tags[tagGroup] == "" || time.Since(known.launched) > holdTime {
			return err
		}
		if err := role.Pause(ctx, holdPauses*p.pause); err != nil {
			return err
		}
	}
}

// tell says something to the machine's group, if it is in one, and tells whether it was held.
func (p *Platform) tell(ctx context.Context, say func(context.Context, identity, services) error) (held bool, err error) {
	known, s, err := p.connect(ctx)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if _, err := p.read(ctx, "autoscaling/target-lifecycle-state"); absent(err) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("ask whether this machine is in an autoscaling group: %w", err)
	}
	err = say(ctx, known, s)
	var said smithy.APIError
	if errors.As(err, &said) && said.ErrorCode() == "ValidationError" && strings.Contains(said.ErrorMessage(), "No active Lifecycle Action found") {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("tell the autoscaling group: %w", err)
	}
	return true, nil
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
