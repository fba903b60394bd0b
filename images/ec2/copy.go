package ec2

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// Target is a region that an image is copied to.
type Target struct {
	Region string
	// Key encrypts the copy: a key's id, ARN or alias of that region. Empty: the key that the source is encrypted with has a
	// counterpart in no other region, so it is the account's default there, and the copy cannot be shared.
	Key string
}

// Sharer is who may launch an image beside the account that has it: an account's 12 digits, or the ARN of an organization or
// of an organizational unit.
type Sharer string

var (
	accountForm      = regexp.MustCompile(`^[0-9]{12}$`)
	organizationForm = regexp.MustCompile(`^arn:aws[a-z-]*:organizations::[0-9]{12}:(organization|ou)/o-[a-z0-9/-]+$`)
)

func (s Sharer) permission() (types.LaunchPermission, error) {
	text := string(s)
	switch match := organizationForm.FindStringSubmatch(text); {
	case accountForm.MatchString(text):
		return types.LaunchPermission{UserId: aws.String(text)}, nil
	case match == nil:
		return types.LaunchPermission{}, exit.Errorf(exit.Invalid, "%q is neither an account's 12 digits nor the ARN of an organization or of one of its units", text)
	case match[1] == "organization":
		return types.LaunchPermission{OrganizationArn: aws.String(text)}, nil
	}
	return types.LaunchPermission{OrganizationalUnitArn: aws.String(text)}, nil
}

// sharerOf is who a permission is for.
func sharerOf(p types.LaunchPermission) Sharer {
	for _, text := range []*string{p.UserId, p.OrganizationArn, p.OrganizationalUnitArn} {
		if text != nil {
			return Sharer(*text)
		}
	}
	return Sharer(p.Group)
}

// Copy brings an image to other regions, encrypted there with each target's own key and with all tags of its source, waits
// until it can be used, lets others launch it, and makes it part of the catalogue. A region that has the image is given
// what it lacks; a copy that was begun is waited for. A target may be a region where the image was made: then it is only
// shared.
func (c *Catalogue) Copy(ctx context.Context, name string, targets []Target, share []Sharer) (image Image, work Work, err error) {
	var permissions []types.LaunchPermission
	for _, one := range share {
		permission, err := one.permission()
		if err != nil {
			return image, nil, err
		}
		permissions = append(permissions, permission)
	}
	if image, err = c.Show(ctx, name); err != nil {
		return image, nil, err
	}
	source, err := c.source(ctx, image)
	if err != nil {
		return image, nil, err
	}
	// All copies are begun before the first is waited for: AWS makes them at the same time.
	var rest Work
	for _, target := range targets {
		r, err := c.region(target.Region)
		if err != nil {
			return image, nil, err
		}
		if err := c.copyTo(ctx, r, source, target, permissions, &work, &rest); err != nil {
			return image, nil, in(target.Region, err)
		}
	}
	return image, append(work, rest...), nil
}

// copyTo adds what it takes to have the image in a region: how to begin, and how to finish.
func (c *Catalogue) copyTo(ctx context.Context, r Region, source original, target Target, permissions []types.LaunchPermission, begin, finish *Work) error {
	id := source.AMI
	if r.Name != source.Region {
		var err error
		if id, err = c.copies(ctx, r, source); err != nil {
			return err
		}
	}
	if id != "" {
		image, ok, err := ami(ctx, r, id)
		if err != nil {
			return err
		}
		if ok && image.State == types.ImageStateAvailable {
			return c.finish(ctx, r, source, image, permissions, finish)
		}
	} else {
		with := "the account's default key"
		if target.Key != "" {
			with = target.Key
		}
		begin.add(r.Name, func(ctx context.Context) (err error) {
			id, err = c.begin(ctx, r, source, target)
			return err
		}, "copy %s of %s, encrypted with %s", source.AMI, source.Region, with)
	}
	what := "wait for the copy"
	for _, p := range permissions {
		what += ", let " + string(sharerOf(p)) + " launch it"
	}
	finish.add(r.Name, func(ctx context.Context) error {
		image, err := c.awaitCopy(ctx, r, id)
		if err != nil {
			return err
		}
		var rest Work
		if err := c.finish(ctx, r, source, image, permissions, &rest); err != nil {
			return err
		}
		return rest.Do(ctx, func(Step) {})
	}, "%s, and record it", what)
	return nil
}

// original is what a copy is made of.
type original struct {
	Place
	image types.Image
}

// source returns an AMI of the image that can be copied.
func (c *Catalogue) source(ctx context.Context, i Image) (original, error) {
	for _, p := range i.Places {
		if !p.Recorded || p.State != string(types.ImageStateAvailable) {
			continue
		}
		r, err := c.region(p.Region)
		if err != nil {
			return original{}, err
		}
		image, ok, err := ami(ctx, r, p.AMI)
		if err != nil {
			return original{}, in(p.Region, err)
		}
		if ok {
			return original{p, image}, nil
		}
	}
	return original{}, exit.Errorf(exit.Missing, "%s is whole in none of the catalogue's regions: cincbake images push completes it", i.ID)
}

// begin lets AWS make a copy, and returns its id.
func (c *Catalogue) begin(ctx context.Context, r Region, source original, target Target) (string, error) {
	tags := slices.DeleteFunc(slices.Clone(source.image.Tags), func(t types.Tag) bool {
		key := value(t.Key)
		return strings.HasPrefix(key, "aws:") || key == cluster.TagState || key == TagProtected
	})
	input := &ec2.CopyImageInput{
		SourceRegion: aws.String(source.Region), SourceImageId: aws.String(source.AMI), Name: source.image.Name, Description: source.image.Description,
		// Images are encrypted wherever they are.
		Encrypted: aws.Bool(true),
		TagSpecifications: []types.TagSpecification{
			{ResourceType: types.ResourceTypeImage, Tags: tags},
			{ResourceType: types.ResourceTypeSnapshot, Tags: tags},
		},
	}
	if target.Key != "" {
		input.KmsKeyId = aws.String(target.Key)
	}
	reply, err := r.EC2.CopyImage(ctx, input)
	if codeOf(err) == "InvalidAMIName.Duplicate" {
		// The answer to the first try was lost; its tags tell. An image of the same name that is another one is an error.
		there, lookErr := c.copies(ctx, r, source)
		if lookErr != nil || there != "" {
			return there, lookErr
		}
		return "", exit.Errorf(exit.Unsafe, "another image of this account has the name %q: %w", value(source.image.Name), err)
	}
	if err != nil {
		return "", err
	}
	return value(reply.ImageId), nil
}

// copies returns the AMI of a region that has the source's content, whole or not; none is "". A copy that failed is none.
func (c *Catalogue) copies(ctx context.Context, r Region, source original) (string, error) {
	there, err := own(ctx, r, tagged(cluster.TagCluster, c.cluster), tagged(cluster.TagContent, source.tags.content))
	if err != nil {
		return "", err
	}
	slices.SortFunc(there, comparePlaces)
	for _, p := range there {
		switch types.ImageState(p.State) {
		case types.ImageStateAvailable, types.ImageStatePending:
			return p.AMI, nil
		}
	}
	return "", nil
}

// awaitCopy waits until an AMI can be used.
func (c *Catalogue) awaitCopy(ctx context.Context, r Region, id string) (image types.Image, err error) {
	err = c.await(ctx, c.interval, "the copy "+id, func(ctx context.Context) (bool, error) {
		there, ok, err := ami(ctx, r, id)
		if err != nil || !ok {
			return false, err // AWS may not know yet what it has just made
		}
		image = there
		return whole(there)
	})
	return image, err
}

// finish adds what an AMI lacks that can be used already: tags of its snapshots, permissions, and its place in the catalogue.
func (c *Catalogue) finish(ctx context.Context, r Region, source original, image types.Image, permissions []types.LaunchPermission, work *Work) error {
	if err := c.tagSnapshots(ctx, r, source, image, work); err != nil {
		return err
	}
	if err := grant(ctx, r, value(image.ImageId), permissions, work); err != nil {
		return err
	}
	// A moment that is past cannot be given to a copy.
	if at := rfc3339(value(source.image.DeprecationTime)); at.After(c.now()) && value(image.DeprecationTime) == "" {
		work.deprecate(r, value(image.ImageId), at)
	}
	c.recordState(r, image, work)
	return nil
}

// tagSnapshots tags those of a copy that somebody made who did not.
func (c *Catalogue) tagSnapshots(ctx context.Context, r Region, source original, image types.Image, work *Work) error {
	ids := placeOf(r.Name, image).Snapshots
	if len(ids) == 0 {
		return nil
	}
	reply, err := r.EC2.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: ids})
	if err != nil {
		return err
	}
	var bare []string
	for _, s := range reply.Snapshots {
		if !hasTag(s.Tags, cluster.TagContent, source.tags.content) || !hasTag(s.Tags, cluster.TagCluster, c.cluster) {
			bare = append(bare, value(s.SnapshotId))
		}
	}
	if len(bare) > 0 {
		work.tag(r, bare, source.tags.list(), "tag %s", join(bare))
	}
	return nil
}

// grant lets those launch an AMI who may not yet. Nobody loses a permission.
func grant(ctx context.Context, r Region, id string, permissions []types.LaunchPermission, work *Work) error {
	if len(permissions) == 0 {
		return nil
	}
	has, err := launchers(ctx, r, id)
	if err != nil {
		return err
	}
	var missing []types.LaunchPermission
	var names []string
	for _, p := range permissions {
		if name := sharerOf(p); !slices.Contains(has, name) {
			missing, names = append(missing, p), append(names, string(name))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	work.add(r.Name, func(ctx context.Context) error {
		_, err := r.EC2.ModifyImageAttribute(ctx, &ec2.ModifyImageAttributeInput{
			ImageId: aws.String(id), LaunchPermission: &types.LaunchPermissionModifications{Add: missing},
		})
		if err != nil {
			return fmt.Errorf("%w (what the account's default key encrypts cannot be shared: copy with a key of your own)", err)
		}
		return nil
	}, "let %s launch %s", join(names), id)
	return nil
}

// launchers lists who may launch an AMI beside its account.
func launchers(ctx context.Context, r Region, id string) ([]Sharer, error) {
	reply, err := r.EC2.DescribeImageAttribute(ctx, &ec2.DescribeImageAttributeInput{ImageId: aws.String(id), Attribute: types.ImageAttributeNameLaunchPermission})
	if err != nil {
		return nil, err
	}
	var all []Sharer
	for _, p := range reply.LaunchPermissions {
		all = append(all, sharerOf(p))
	}
	return all, nil
}
