package ec2

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/cluster"
)

// pageSize is how many of a kind AWS is asked for at once: the most that it gives.
const pageSize = 1000

// Place is an AMI: an image in one region.
type Place struct {
	Region string `json:"region"`
	AMI    string `json:"ami"`
	Name   string `json:"name"`
	// State is what EC2 says of it: pending, available, failed and more.
	State string `json:"state"`
	// Recorded tells that it is of the catalogue: its record is whole.
	Recorded bool `json:"recorded"`
	// Created is when this AMI was made; a copy is younger than its image.
	Created time.Time `json:"created"`
	// Deprecated is when others do not find it any more; zero: always.
	Deprecated time.Time `json:"deprecated,omitzero"`
	// Protected tells that it cannot be deregistered.
	Protected bool     `json:"protected"`
	Snapshots []string `json:"snapshots"`
	// Channels are those of the region that point to it, sorted.
	Channels []string `json:"channels,omitempty"`

	ours   bool // the protection is Promote's
	public bool
	tags   index
}

// index is what the tags of an AMI or a snapshot say.
type index struct {
	cluster string
	role    cluster.Role
	recipe  string
	content string
	state   string
	created time.Time
	booted  time.Time
}

func indexOf(tags []types.Tag) (found index, protected bool) {
	for _, tag := range tags {
		text := value(tag.Value)
		switch value(tag.Key) {
		case cluster.TagCluster:
			found.cluster = text
		case cluster.TagRole:
			found.role = cluster.Role(text)
		case cluster.TagRecipe:
			found.recipe = text
		case cluster.TagContent:
			found.content = text
		case cluster.TagState:
			found.state = text
		case TagCreated:
			found.created = rfc3339(text)
		case TagBooted:
			found.booted = rfc3339(text)
		case TagProtected:
			protected = text == "true"
		}
	}
	return found, protected
}

func placeOf(region string, i types.Image) Place {
	p := Place{
		Region: region, AMI: value(i.ImageId), Name: value(i.Name), State: string(i.State),
		Created: rfc3339(value(i.CreationDate)), Deprecated: rfc3339(value(i.DeprecationTime)), public: aws.ToBool(i.Public),
	}
	// With or without a cooldown, and what is in its cooldown: none of them can be deregistered.
	p.Protected = value(i.DeregistrationProtection) != "" && value(i.DeregistrationProtection) != "disabled"
	p.tags, p.ours = indexOf(i.Tags)
	p.Recorded = p.tags.state == StateRecorded
	for _, device := range i.BlockDeviceMappings {
		if device.Ebs != nil && value(device.Ebs.SnapshotId) != "" {
			p.Snapshots = append(p.Snapshots, value(device.Ebs.SnapshotId))
		}
	}
	return p
}

// own lists the account's own AMIs of a region that pass the filters.
func own(ctx context.Context, r Region, filters ...types.Filter) ([]Place, error) {
	var places []Place
	pages := ec2.NewDescribeImagesPaginator(r.EC2, &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: filters, MaxResults: aws.Int32(pageSize)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, image := range page.Images {
			places = append(places, placeOf(r.Name, image))
		}
	}
	return places, nil
}

// ami describes one AMI whole; without it, ok is false.
func ami(ctx context.Context, r Region, id string) (image types.Image, ok bool, err error) {
	reply, err := r.EC2.DescribeImages(ctx, &ec2.DescribeImagesInput{ImageIds: []string{id}, Owners: []string{"self"}})
	switch code := codeOf(err); {
	case strings.HasPrefix(code, "InvalidAMIID."):
		return types.Image{}, false, nil
	case err != nil || len(reply.Images) == 0:
		return types.Image{}, false, err
	}
	return reply.Images[0], true, nil
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: aws.String(name), Values: values}
}

func tagged(key, value string) types.Filter { return filter("tag:"+key, value) }
