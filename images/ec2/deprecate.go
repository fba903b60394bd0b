package ec2

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/cincbake/cincbake/internal/exit"
)

// Deprecate lets AWS hide the image from other accounts' searches from that moment on, in every region where it is. Whoever
// knows its id still launches it. AWS counts in minutes; the moment must lie ahead, and no more than ten years.
func (c *Catalogue) Deprecate(ctx context.Context, name string, at time.Time) (image Image, work Work, err error) {
	at = at.UTC().Truncate(time.Minute)
	if !at.After(c.now()) {
		return image, nil, exit.Errorf(exit.Invalid, "%s is past: name a moment that is to come", at.Format(time.RFC3339))
	}
	if image, err = c.Show(ctx, name); err != nil {
		return image, nil, err
	}
	for _, p := range image.Places {
		if p.Deprecated.Truncate(time.Minute).Equal(at) {
			continue
		}
		r, err := c.region(p.Region)
		if err != nil {
			return image, nil, err
		}
		work.deprecate(r, p.AMI, at)
	}
	return image, work, nil
}

// deprecate adds a step that deprecates an AMI from a moment on.
func (w *Work) deprecate(r Region, id string, at time.Time) {
	w.add(r.Name, func(ctx context.Context) error {
		_, err := r.EC2.EnableImageDeprecation(ctx, &ec2.EnableImageDeprecationInput{ImageId: aws.String(id), DeprecateAt: aws.Time(at)})
		return err
	}, "deprecate %s from %s on", id, at.UTC().Format(time.RFC3339))
}
