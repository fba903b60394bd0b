package ec2

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
)

// Image is what has one content, in all regions where it is.
type Image struct {
	// ID is the role and 12 digits of the content digest, as in a folder; of an AMI that does not say its content, the role and
	// its own id.
	ID            string       `json:"id"`
	Role          cluster.Role `json:"role"`
	ContentDigest string       `json:"contentDigest,omitempty"`
	RecipeDigest  string       `json:"recipeDigest,omitempty"`
	// Created is when it was baked, Booted when it last booted on trial; zero: never.
	Created time.Time `json:"created"`
	Booted  time.Time `json:"booted,omitzero"`
	// Recorded tells that it is of the catalogue in at least one region. What is not is what a bake or a push left.
	Recorded bool `json:"recorded"`
	// Places are the AMIs, by region. Where a region has several, the first is the one that counts.
	Places []Place `json:"places"`
}

// In returns the AMI that counts in a region.
func (i Image) In(region string) (Place, bool) {
	for _, p := range i.Places {
		if p.Region == region {
			return p, true
		}
	}
	return Place{}, false
}

// Channels returns the channels that point to it, sorted; one that does not in all regions has them in brackets, like
// "stable (eu-west-1)".
func (i Image) Channels() []string {
	where := map[string][]string{}
	for _, p := range i.Places {
		for _, name := range p.Channels {
			where[name] = append(where[name], p.Region)
		}
	}
	var names []string
	for name, regions := range where {
		if len(regions) < len(i.regions()) {
			name += " (" + strings.Join(regions, ", ") + ")"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// regions are those where it is.
func (i Image) regions() []string {
	var names []string
	for _, p := range i.Places {
		if !slices.Contains(names, p.Region) {
			names = append(names, p.Region)
		}
	}
	return names
}

// List returns every image of the cluster, newest first, and behind them what is not recorded yet. It reads tags and
// channels, no record.
func (c *Catalogue) List(ctx context.Context) ([]Image, error) {
	found, err := everywhere(ctx, c.regions, func(ctx context.Context, r Region) ([]Place, error) {
		places, err := own(ctx, r, tagged(cluster.TagCluster, c.cluster))
		if err != nil {
			return nil, err
		}
		channels, err := c.channels(ctx, r)
		if err != nil {
			return nil, err
		}
		point(places, channels)
		return places, nil
	})
	if err != nil {
		return nil, err
	}
	return group(slices.Concat(found...)), nil
}

// Show returns the one image that is meant: by its id, the beginning of its digits, its whole content digest, an AMI's id, or
// a role's channel, like postgres@stable, which must mean the same in all regions. None is images.ErrNotFound; several are an
// error that names them.
func (c *Catalogue) Show(ctx context.Context, name string) (Image, error) {
	all, err := c.List(ctx)
	if err != nil {
		return Image{}, err
	}
	return pick(all, name)
}

// pick returns the image of a list that a name means.
func pick(all []Image, name string) (Image, error) {
	var meant []Image
	for _, i := range all {
		if name != "" && i.called(name) {
			meant = append(meant, i)
		}
	}
	switch len(meant) {
	case 0:
		return Image{}, fmt.Errorf("%w: %q in EC2: cincbake images list shows what there is", images.ErrNotFound, name)
	case 1:
		return meant[0], nil
	}
	var ids []string
	for _, i := range meant {
		ids = append(ids, fmt.Sprintf("%s (%s)", i.ID, strings.Join(i.regions(), ", ")))
	}
	return Image{}, fmt.Errorf("%q means several images: %s: name one of them", name, strings.Join(ids, ", "))
}

func (i Image) called(name string) bool {
	if role, channel, ok := strings.Cut(name, "@"); ok {
		return role == string(i.Role) && slices.ContainsFunc(i.Places, func(p Place) bool { return slices.Contains(p.Channels, channel) })
	}
	_, digits, _ := strings.Cut(i.ID, "/")
	return strings.HasPrefix(i.ID, name) && strings.Contains(name, "/") || strings.HasPrefix(digits, name) || i.ContentDigest == name ||
		slices.ContainsFunc(i.Places, func(p Place) bool { return p.AMI == name })
}

// group makes images of AMIs: one of each content and role, and one of each AMI that does not say its content.
func group(places []Place) []Image {
	byID := map[string]*Image{}
	var order []string
	for _, p := range places {
		id := idOf(p)
		i := byID[id]
		if i == nil {
			i = &Image{ID: id, Role: p.tags.role, ContentDigest: p.tags.content, RecipeDigest: p.tags.recipe}
			byID[id] = i
			order = append(order, id)
		}
		i.Places = append(i.Places, p)
	}
	all := make([]Image, 0, len(order))
	for _, id := range order {
		i := *byID[id]
		slices.SortFunc(i.Places, comparePlaces)
		for _, p := range i.Places {
			i.Recorded = i.Recorded || p.Recorded
			if p.tags.booted.After(i.Booted) {
				i.Booted = p.tags.booted
			}
			if when := cmp.Or(p.tags.created, p.Created); i.Created.IsZero() || when.Before(i.Created) {
				i.Created = when
			}
		}
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b Image) int {
		switch {
		case a.Recorded != b.Recorded && a.Recorded:
			return -1
		case a.Recorded != b.Recorded:
			return 1
		}
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
	})
	return all
}

// comparePlaces orders by region, and within one, first what counts: what is recorded, then what was there first.
func comparePlaces(a, b Place) int {
	if order := strings.Compare(a.Region, b.Region); order != 0 {
		return order
	}
	if a.Recorded != b.Recorded {
		if a.Recorded {
			return -1
		}
		return 1
	}
	return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.AMI, b.AMI))
}

// idDigits is how much of a content digest names an image.
const idDigits = 12

func idOf(p Place) string {
	digits, ok := strings.CutPrefix(p.tags.content, "sha256:")
	if !ok || len(digits) < idDigits {
		digits = p.AMI
	}
	role := cmp.Or(string(p.tags.role), "unknown")
	if len(digits) > idDigits && ok {
		digits = digits[:idDigits]
	}
	return role + "/" + digits
}

// channels reads which AMIs the cluster's channels of a region point to, as ROLE@CHANNEL.
func (c *Catalogue) channels(ctx context.Context, r Region) (map[string][]string, error) {
	root := "/cincbake/" + c.cluster + "/"
	found := map[string][]string{}
	pages := ssm.NewGetParametersByPathPaginator(r.Parameters, &ssm.GetParametersByPathInput{Path: aws.String(root), Recursive: aws.Bool(true), MaxResults: aws.Int32(10)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range page.Parameters {
			role, channel, ok := strings.Cut(strings.TrimPrefix(value(p.Name), root), "/")
			if ok && !strings.Contains(channel, "/") {
				found[value(p.Value)] = append(found[value(p.Value)], role+"@"+channel)
			}
		}
	}
	for _, names := range found {
		slices.Sort(names)
	}
	return found, nil
}

// point tells places which channels point to them.
func point(places []Place, channels map[string][]string) {
	for i, p := range places {
		for _, name := range channels[p.AMI] {
			_, channel, _ := strings.Cut(name, "@")
			places[i].Channels = append(places[i].Channels, channel)
		}
	}
}
