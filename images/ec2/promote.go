package ec2

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
)

// Promote lets the role's channel point to the image in every region of the catalogue, and then protects its AMIs from being
// deregistered. The image must be in all of them, and its record must say that it booted on trial, unless untried is true;
// one that did not is images.ErrUntried. What a channel pointed to before stays in the history of its parameter.
//
// The regions are changed one after the other, so a failure leaves the rest on what they had; promoting once more does them.
func (c *Catalogue) Promote(ctx context.Context, name, channel string, untried bool) (image Image, work Work, err error) {
	if err := images.CheckChannel(channel); err != nil {
		return image, nil, exit.As(exit.Invalid, err)
	}
	if image, err = c.Show(ctx, name); err != nil {
		return image, nil, err
	}
	record, err := c.Record(ctx, image)
	switch {
	case err != nil:
		return image, nil, err
	case !record.Verified, record.Booted.IsZero() && !untried:
		return image, nil, fmt.Errorf("%s: %w: run cincbake images verify on it, and images push", image.ID, images.ErrUntried)
	}
	places, err := c.everyPlace(image)
	if err != nil {
		return image, nil, err
	}
	for n, r := range c.regions {
		if err := c.promote(ctx, r, image, places[n], channel, &work); err != nil {
			return image, nil, in(r.Name, err)
		}
	}
	return image, work, nil
}

// everyPlace returns an image's AMI in each region of the catalogue. All must be whole and recorded.
func (c *Catalogue) everyPlace(i Image) ([]Place, error) {
	places := make([]Place, len(c.regions))
	for n, r := range c.regions {
		p, ok := i.In(r.Name)
		switch {
		case !ok:
			return nil, exit.Errorf(exit.Missing, "%s is not in %s: cincbake images copy %s --to %s brings it there", i.ID, r.Name, i.ID, r.Name)
		case !p.Recorded || p.State != string(ec2types.ImageStateAvailable):
			return nil, exit.Errorf(exit.Missing, "%s is not whole in %s, where %s is %s: push or copy it again", i.ID, r.Name, p.AMI, p.State)
		}
		places[n] = p
	}
	return places, nil
}

func (c *Catalogue) promote(ctx context.Context, r Region, i Image, p Place, channel string, work *Work) error {
	name := cluster.ChannelParameter(c.cluster, i.Role, channel)
	was, err := parameter(ctx, r, name)
	if err != nil {
		return err
	}
	if was != p.AMI {
		text := fmt.Sprintf("let %s@%s be %s", i.Role, channel, p.AMI)
		if was != "" {
			text += ", which was " + was
		}
		work.add(r.Name, func(ctx context.Context) error { return c.write(ctx, r, name, was, i, p) }, "%s", text)
	}
	if p.Protected {
		return nil // by Promote, or by somebody who has reasons of their own
	}
	// The tag first: who finds protection without it takes it for somebody else's, and the image would never go.
	if !p.ours {
		work.tag(r, []string{p.AMI}, []ec2types.Tag{newTag(TagProtected, "true")}, "tag %s as protected by its promotion", p.AMI)
	}
	work.add(r.Name, func(ctx context.Context) error {
		_, err := r.EC2.EnableImageDeregistrationProtection(ctx, &ec2.EnableImageDeregistrationProtectionInput{ImageId: aws.String(p.AMI)})
		return err
	}, "protect %s from being deregistered", p.AMI)
	return nil
}

// channelPatience is how long AWS may take to look for the AMI that a channel is to point to. It takes seconds.
const channelPatience = 2 * time.Minute

// write sets a channel's parameter and waits until it can be read: AWS looks for the AMI after it has answered, and forgets
// a value that is none.
func (c *Catalogue) write(ctx context.Context, r Region, name, was string, i Image, p Place) error {
	input := &ssm.PutParameterInput{
		Name: aws.String(name), Value: aws.String(p.AMI), Type: types.ParameterTypeString, DataType: aws.String("aws:ec2:image"),
		Description: aws.String(i.ID),
	}
	if was != "" {
		input.Overwrite = aws.Bool(true)
	} else {
		// A parameter that is there cannot be given tags and a value at once.
		input.Tags = []types.Tag{
			{Key: aws.String(cluster.TagCluster), Value: aws.String(c.cluster)},
			{Key: aws.String(cluster.TagRole), Value: aws.String(string(i.Role))},
		}
	}
	_, err := r.Parameters.PutParameter(ctx, input)
	if was == "" && codeOf(err) == "ParameterAlreadyExists" {
		// The answer to the first try was lost, or somebody promotes at the same moment. Whose it is shows below.
		err = nil
	}
	if err != nil {
		return err
	}
	err = awaitWithin(ctx, min(c.patience, channelPatience), min(c.interval, time.Second), "the parameter "+name, func(ctx context.Context) (bool, error) {
		is, err := parameter(ctx, r, name)
		if err == nil && is != "" && is != was && is != p.AMI {
			err = fmt.Errorf("the parameter %s points to %s now: somebody else promotes at the same moment", name, is)
		}
		return is == p.AMI, err
	})
	if exit.CodeOf(err) == exit.TimedOut {
		return fmt.Errorf("%w; its data type is aws:ec2:image, so AWS keeps the value only if it finds %s with the caller's permission for ec2:DescribeImages", err, p.AMI)
	}
	return err
}

// parameter reads a parameter; one that is not there is "".
func parameter(ctx context.Context, r Region, name string) (string, error) {
	reply, err := r.Parameters.GetParameters(ctx, &ssm.GetParametersInput{Names: []string{name}})
	if err != nil || len(reply.Parameters) == 0 {
		return "", err
	}
	return value(reply.Parameters[0].Value), nil
}
