package ec2

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/internal/exit"
)

// Push makes the AMIs of an image part of the catalogue: it writes the record and what lies beside it into the bucket, then
// the tags of each AMI and its snapshots, and at last the tag that says that all of it is there.
//
// Where a region has the same content already, that AMI stays the one that counts; the new one is tagged as what it is, and
// goes when the catalogue is pruned.
func (c *Catalogue) Push(ctx context.Context, e images.Entry) (Work, error) {
	amis, err := pushable(e)
	if err != nil {
		return nil, err
	}
	// What there is in every region comes first, so that whatever is refused is refused before the first change.
	work, err := c.records.keep(ctx, e)
	if err != nil {
		return nil, err
	}
	for _, a := range amis {
		r, err := c.region(a.Region)
		if err != nil {
			return nil, err
		}
		s, err := c.subject(ctx, r, a.ID, e.Record)
		if err != nil {
			return nil, in(a.Region, err)
		}
		c.index(s, e.Record, &work)
	}
	return work, nil
}

// pushable returns the AMIs of an image that may be pushed.
func pushable(e images.Entry) ([]images.Artefact, error) {
	switch {
	case e.Err != nil:
		return nil, fmt.Errorf("%s is broken: %w: bake it again", e.ID, e.Err)
	case !e.Record.Verified:
		return nil, exit.Errorf(exit.Unsafe, "%s was not verified by its bake: bake it again", e.ID)
	}
	var amis []images.Artefact
	for _, a := range e.Record.Artefacts {
		if a.Kind == images.KindAMI {
			amis = append(amis, a)
		}
	}
	if len(amis) == 0 {
		return nil, exit.Errorf(exit.Invalid, "%s is in no region as an AMI: bake it with the amazon-ebs template", e.ID)
	}
	return amis, nil
}

// subject is an AMI that is about to be tagged.
type subject struct {
	region    Region
	image     types.Image
	snapshots []types.Snapshot
	// twin is an AMI of the same content that counts in this region already.
	twin string
}

// subject looks an AMI up, waits until it is whole, and refuses one that is somebody else's.
func (c *Catalogue) subject(ctx context.Context, r Region, id string, record images.Record) (subject, error) {
	s := subject{region: r}
	err := c.await(ctx, c.interval, id, func(ctx context.Context) (bool, error) {
		image, ok, err := ami(ctx, r, id)
		if err != nil {
			return false, err
		}
		if !ok {
			return false, exit.Errorf(exit.Invalid, "there is no AMI %s that is this account's: bake again, or name the region and account that it is in", id)
		}
		s.image = image
		return whole(image)
	})
	if err != nil {
		return s, err
	}
	tags, _ := indexOf(s.image.Tags)
	for _, one := range []struct{ what, is, must string }{
		{cluster.TagCluster, tags.cluster, c.cluster},
		{cluster.TagContent, tags.content, record.ContentDigest},
		{cluster.TagRole, string(tags.role), string(record.Role)},
	} {
		if one.is != "" && one.is != one.must {
			return s, exit.Errorf(exit.Unsafe, "%s has the tag %s=%s, and the record says %s: it is another image", id, one.what, one.is, one.must)
		}
	}
	ids := placeOf(r.Name, s.image).Snapshots
	if len(ids) > 0 {
		reply, err := r.EC2.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: ids})
		if err != nil {
			return s, err
		}
		s.snapshots = reply.Snapshots
	}
	same, err := own(ctx, r, tagged(cluster.TagCluster, c.cluster), tagged(cluster.TagContent, record.ContentDigest), tagged(cluster.TagState, StateRecorded))
	if err != nil {
		return s, err
	}
	slices.SortFunc(same, comparePlaces)
	if len(same) > 0 && same[0].AMI != id {
		s.twin = same[0].AMI
	}
	return s, nil
}

// whole tells whether an AMI can be used.
func whole(i types.Image) (bool, error) {
	switch i.State {
	case types.ImageStateAvailable:
		return true, nil
	case types.ImageStatePending:
		return false, nil
	}
	why := ""
	if i.StateReason != nil {
		why = ": " + value(i.StateReason.Message)
	}
	return false, fmt.Errorf("AMI %s is %s%s", value(i.ImageId), i.State, why)
}

// index tags an AMI and its snapshots, where they are not.
func (c *Catalogue) index(s subject, record images.Record, work *Work) {
	want := c.indexTags(record)
	id := value(s.image.ImageId)
	untagged := func(has []types.Tag) bool {
		return slices.ContainsFunc(want, func(t types.Tag) bool { return !hasTag(has, value(t.Key), value(t.Value)) })
	}
	var resources []string
	if untagged(s.image.Tags) {
		resources = append(resources, id)
	}
	for _, snapshot := range s.snapshots {
		if untagged(snapshot.Tags) {
			resources = append(resources, value(snapshot.SnapshotId))
		}
	}
	if len(resources) > 0 {
		work.tag(s.region, resources, want, "tag %s", join(resources))
	}
	if s.twin == "" {
		c.recordState(s.region, s.image, work)
	}
}

// recordState makes an AMI part of the catalogue.
func (c *Catalogue) recordState(r Region, i types.Image, work *Work) {
	if !hasTag(i.Tags, cluster.TagState, StateRecorded) {
		work.tag(r, []string{value(i.ImageId)}, []types.Tag{newTag(cluster.TagState, StateRecorded)}, "record %s", value(i.ImageId))
	}
}

// indexTags are those that a record gives to its AMIs and their snapshots.
func (c *Catalogue) indexTags(r images.Record) []types.Tag {
	tags := []types.Tag{
		newTag(cluster.TagCluster, c.cluster),
		newTag(cluster.TagRole, string(r.Role)),
		newTag(cluster.TagRecipe, r.RecipeDigest),
		newTag(cluster.TagContent, r.ContentDigest),
		newTag(TagCreated, r.Created.UTC().Format(time.RFC3339)),
	}
	if !r.Booted.IsZero() {
		tags = append(tags, newTag(TagBooted, r.Booted.UTC().Format(time.RFC3339)))
	}
	return tags
}

// tag adds a step that gives tags to AMIs and snapshots.
func (w *Work) tag(r Region, resources []string, tags []types.Tag, format string, args ...any) {
	w.add(r.Name, func(ctx context.Context) error {
		_, err := r.EC2.CreateTags(ctx, &ec2.CreateTagsInput{Resources: resources, Tags: tags})
		return err
	}, format, args...)
}

func newTag(key, value string) types.Tag {
	return types.Tag{Key: aws.String(key), Value: aws.String(value)}
}

// hasTag tells whether a tag is among others with that value.
func hasTag(tags []types.Tag, key, want string) bool {
	return slices.ContainsFunc(tags, func(t types.Tag) bool { return value(t.Key) == key && value(t.Value) == want })
}
