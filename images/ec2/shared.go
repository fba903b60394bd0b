package ec2

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// spareShared keeps what others may launch or make volumes of, since their machines cannot be seen from here. It asks for
// what would go alone, and some at a time.
func (c *Catalogue) spareShared(ctx context.Context, fates []Fate, p Policy) error {
	if p.Shared {
		return nil
	}
	var doomed []*Fate
	for n := range fates {
		if !fates[n].Keep {
			doomed = append(doomed, &fates[n])
		}
	}
	const most = 16
	_, err := together(ctx, doomed, most, func(ctx context.Context, f *Fate) (struct{}, error) {
		who, err := c.sharedWith(ctx, *f)
		if err == nil && who != "" {
			f.Keep, f.Why = true, who+", whose machines cannot be seen from here: --shared removes it"
		}
		return struct{}{}, err
	})
	return err
}

// sharedWith says who else may use an image; "" for nobody.
func (c *Catalogue) sharedWith(ctx context.Context, f Fate) (string, error) {
	for _, p := range f.Places {
		r, err := c.region(p.Region)
		if err != nil {
			return "", err
		}
		if p.public {
			return fmt.Sprintf("%s is public in %s", p.AMI, p.Region), nil
		}
		has, err := launchers(ctx, r, p.AMI)
		if err != nil {
			return "", in(p.Region, err)
		}
		if len(has) > 0 {
			return fmt.Sprintf("%s in %s may be launched by %s", p.AMI, p.Region, has[0]), nil
		}
		for _, id := range p.Snapshots {
			if who, err := snapshotShared(ctx, r, id); err != nil || who != "" {
				return who, err
			}
		}
	}
	if f.Snapshot == "" {
		return "", nil
	}
	r, err := c.region(f.Region)
	if err != nil {
		return "", err
	}
	return snapshotShared(ctx, r, f.Snapshot)
}

func snapshotShared(ctx context.Context, r Region, id string) (string, error) {
	reply, err := r.EC2.DescribeSnapshotAttribute(ctx, &ec2.DescribeSnapshotAttributeInput{SnapshotId: aws.String(id), Attribute: types.SnapshotAttributeNameCreateVolumePermission})
	if err != nil || len(reply.CreateVolumePermissions) == 0 {
		return "", in(r.Name, err)
	}
	who := value(reply.CreateVolumePermissions[0].UserId)
	if who == "" {
		who = string(reply.CreateVolumePermissions[0].Group)
	}
	return fmt.Sprintf("%s in %s may be used by %s", id, r.Name, who), nil
}
