package launch

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// failure is a launch that failed. Without an id there was none, or nobody may ask.
type failure struct {
	id  string
	at  time.Time
	why string // in AWS's words
}

// String is a sentence; empty: there was none.
func (f failure) String() string {
	if f.id == "" {
		return f.why
	}
	return fmt.Sprintf("no machine started at %s UTC: %s", f.at.UTC().Format(time.DateTime), f.why)
}

// failure returns the newest launch of a group, if it failed: what is under way decides nothing yet. That nobody may ask is said
// in its place: a group that lacks a machine is none the worse for that.
func (f *Fleet) failure(ctx context.Context, group string) failure {
	const newest = 20 // activities, of which each launch is one: a group tries again every few minutes at most
	out, err := f.AutoScaling.DescribeScalingActivities(ctx, &autoscaling.DescribeScalingActivitiesInput{
		AutoScalingGroupName: aws.String(group), MaxRecords: aws.Int32(newest),
	})
	if err != nil {
		return failure{why: fmt.Sprintf("why no machine starts cannot be told: %v", err)}
	}
	for _, a := range out.Activities {
		switch {
		case !strings.HasPrefix(aws.ToString(a.Description), "Launching"):
		case a.StatusCode == types.ScalingActivityStatusCodeSuccessful:
			return failure{}
		case a.StatusCode == types.ScalingActivityStatusCodeFailed || a.StatusCode == types.ScalingActivityStatusCodeCancelled:
			return failure{aws.ToString(a.ActivityId), aws.ToTime(a.StartTime), aws.ToString(a.StatusMessage)}
		}
	}
	return failure{}
}

// failures returns what tells why a group's machines do not start: by the newest launch that failed from now on. It is said aloud
// whenever it is another one than before, however often AWS tries.
func (f *Fleet) failures(ctx context.Context, group string) func(context.Context) string {
	known, told := f.failure(ctx, group), ""
	return func(ctx context.Context) string {
		last := f.failure(ctx, group)
		switch {
		case last.id == "":
			return last.why
		case last.id == known.id:
			return ""
		case last.why != told:
			told = last.why
			f.say(group, last.String())
		}
		return last.String()
	}
}
