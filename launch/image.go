package launch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// Image is what the machines of a role boot from.
type Image struct {
	ID         string `json:"id"`
	Arch       string `json:"arch"` // EC2's word, like x86_64
	RootDevice string `json:"rootDevice"`
	Role       string `json:"role,omitempty"`    // as its tags say
	Recipe     string `json:"recipe,omitempty"`  // the digest of what it was made from; empty: its tags do not say
	Content    string `json:"content,omitempty"` // the digest of what it is; likewise
}

// rolesOf lists the roles of a cluster's machines, in order.
func rolesOf(r *cluster.Resolved) []cluster.Role {
	return slices.DeleteFunc(cluster.Roles(), func(role cluster.Role) bool { return len(r.NodesOf(role)) == 0 })
}

// Images returns the image of every role: the one that is named for it, or else the one that the channel points to now. What
// is missing is exit.Missing, all of it at once.
func (f *Fleet) Images(ctx context.Context, channel string, named map[cluster.Role]string) (map[cluster.Role]Image, error) {
	ids, lacks := maps.Clone(named), []string(nil)
	if ids == nil {
		ids = map[cluster.Role]string{}
	}
	roleOf := map[string]cluster.Role{} // by parameter
	for _, role := range rolesOf(f.Cluster) {
		if ids[role] == "" {
			roleOf[cluster.ChannelParameter(f.Cluster.Name, role, channel)] = role
		}
	}
	if len(roleOf) > 0 {
		out, err := f.Parameters.GetParameters(ctx, &ssm.GetParametersInput{Names: slices.Sorted(maps.Keys(roleOf))})
		if err != nil {
			return nil, fmt.Errorf("read where the channel %s points: %w", channel, err)
		}
		for _, p := range out.Parameters {
			ids[roleOf[aws.ToString(p.Name)]] = aws.ToString(p.Value)
		}
		for _, name := range slices.Sorted(slices.Values(out.InvalidParameters)) {
			lacks = append(lacks, fmt.Sprintf("the channel %s has no %s image: promote one, or name one with --image %[2]s=ami-…", channel, roleOf[name]))
		}
	}
	images := map[cluster.Role]Image{}
	found, err := f.describeImages(ctx, slices.Collect(maps.Values(ids)))
	if err != nil {
		return nil, err
	}
	for _, role := range rolesOf(f.Cluster) {
		id := ids[role]
		if id == "" {
			continue
		}
		image, ok := found[id]
		if !ok {
			lacks = append(lacks, fmt.Sprintf("the %s image %s is not in %s, or this account may not use it", role, id, f.Cluster.Region))
			continue
		}
		lacks = append(lacks, image.unfit(f.Cluster, role)...)
		images[role] = image
	}
	if len(lacks) > 0 {
		return nil, exit.Errorf(exit.Missing, "%s", strings.Join(lacks, "\n"))
	}
	return images, nil
}

// unfit tells why machines of the role would not boot from the image.
func (i Image) unfit(r *cluster.Resolved, role cluster.Role) []string {
	var why []string
	if i.Role == "" {
		why = append(why, fmt.Sprintf("the image %s has no tag %s: it is none of cincbake's, or another account shares it, and AWS shows tags to the owner alone: copy it into this account, and give the copy the tags of its source",
			i.ID, cluster.TagRole))
	} else if i.Role != string(role) {
		why = append(why, fmt.Sprintf("the image %s is of role %q, and not of %s", i.ID, i.Role, role))
	} else if wanted := r.Recipe(role).Digest(); i.Recipe != wanted {
		why = append(why, fmt.Sprintf("the %s image %s was made from the recipe %s, and the spec says %s, so its machines would refuse to join: bake and promote one",
			role, i.ID, shortDigest(i.Recipe), shortDigest(wanted)))
	}
	if wanted := ec2Arch(r.Image.Arch); i.Arch != wanted {
		why = append(why, fmt.Sprintf("the image %s is for %s, and the spec says %s", i.ID, i.Arch, wanted))
	}
	return why
}

// shortDigest is as much of a digest as people compare.
func shortDigest(digest string) string {
	const enough = 12
	hexadecimal := strings.TrimPrefix(digest, "sha256:")
	if hexadecimal == "" {
		return "none"
	}
	return hexadecimal[:min(enough, len(hexadecimal))]
}

// ec2Arch is EC2's word for a processor in Debian's words.
func ec2Arch(arch string) string {
	if arch == "amd64" {
		return "x86_64"
	}
	return arch
}

// describeImages returns those of the images that there are.
func (f *Fleet) describeImages(ctx context.Context, ids []string) (map[string]Image, error) {
	found := map[string]Image{}
	if len(ids) == 0 {
		return found, nil
	}
	slices.Sort(ids)
	// By a filter: an id that there is not would otherwise fail the call for all.
	pages := ec2.NewDescribeImagesPaginator(f.EC2, &ec2.DescribeImagesInput{Filters: filters("image-id", slices.Compact(ids)...)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("look for the images: %w", err)
		}
		for _, image := range page.Images {
			tags := tagMap(image.Tags)
			found[aws.ToString(image.ImageId)] = Image{
				ID: aws.ToString(image.ImageId), Arch: string(image.Architecture), RootDevice: aws.ToString(image.RootDeviceName),
				Role: tags[cluster.TagRole], Recipe: tags[cluster.TagRecipe], Content: tags[cluster.TagContent],
			}
		}
	}
	return found, nil
}
