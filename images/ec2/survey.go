package ec2

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/cluster"
)

// stock is all that the account has in a region, and who uses it.
type stock struct {
	region    Region
	places    []Place
	snapshots []snapshot // those that are tagged as the cluster's
	uses      uses
}

// snapshot is a snapshot that is tagged as the cluster's.
type snapshot struct {
	id      string
	created time.Time
	whole   bool
	tags    index
}

// survey reads all of that, in all regions at once.
func (c *Catalogue) survey(ctx context.Context, p Policy) ([]stock, error) {
	return everywhere(ctx, c.regions, func(ctx context.Context, r Region) (stock, error) {
		s := stock{region: r}
		var err error
		// Everything of the account's, so that what is not the catalogue's to remove is told as well.
		if s.places, err = own(ctx, r); err != nil {
			return s, err
		}
		if s.snapshots, err = c.snapshots(ctx, r); err != nil {
			return s, err
		}
		channels, err := c.channels(ctx, r)
		if err != nil {
			return s, err
		}
		point(s.places, channels)
		s.uses, err = c.uses(ctx, r, p.Versions)
		return s, err
	})
}

func (c *Catalogue) snapshots(ctx context.Context, r Region) ([]snapshot, error) {
	var all []snapshot
	pages := ec2.NewDescribeSnapshotsPaginator(r.EC2, &ec2.DescribeSnapshotsInput{
		OwnerIds: []string{"self"}, Filters: []types.Filter{tagged(cluster.TagCluster, c.cluster)}, MaxResults: aws.Int32(pageSize),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range page.Snapshots {
			tags, _ := indexOf(s.Tags)
			if tags.content == "" && tags.recipe == "" && tags.state != stateRemoved {
				continue // of a data volume: no image's
			}
			all = append(all, snapshot{value(s.SnapshotId), aws.ToTime(s.StartTime), s.State == types.SnapshotStateCompleted, tags})
		}
	}
	return all, nil
}
