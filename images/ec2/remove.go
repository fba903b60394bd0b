package ec2

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// stateRemoved is the value of cluster.TagState of snapshots that had no tags of an image when their AMI went.
const stateRemoved = "removed"

// Remove takes away what Plan said goes: for each AMI the protection that Promote gave it, the AMI, and then its snapshots.
// It decides once more: what somebody has come to need since, by an instance, a template or a channel, is an error, and
// nothing is removed. The files in the bucket stay: they are small, and tell what once ran.
func (c *Catalogue) Remove(ctx context.Context, p Policy, fates []Fate) (Work, error) {
	now, found, err := c.plan(ctx, p)
	if err != nil {
		return nil, err
	}
	told := map[string]bool{}
	for _, f := range fates {
		if !f.Keep {
			told[f.key()] = true
		}
	}
	var needed []string
	var work Work
	for _, f := range now {
		switch {
		case !told[f.key()]:
		case f.Keep:
			needed = append(needed, fmt.Sprintf("%s is needed by now: %s", f.ID, f.Why))
		default:
			if err := c.remove(f, found, &work); err != nil {
				return nil, err
			}
		}
	}
	if len(needed) > 0 {
		return nil, exit.Errorf(exit.Unsafe, "%s: nothing was removed", strings.Join(needed, "; "))
	}
	return work, nil
}

// key tells fates apart.
func (f Fate) key() string {
	words := []string{f.ID, f.Region, f.Snapshot}
	for _, p := range f.Places {
		words = append(words, p.Region, p.AMI)
	}
	return strings.Join(words, " ")
}

func (c *Catalogue) remove(f Fate, found []stock, work *Work) error {
	for _, p := range f.Places {
		n := slices.IndexFunc(found, func(s stock) bool { return s.region.Name == p.Region })
		removePlace(found[n], p, work)
	}
	if f.Snapshot == "" {
		return nil
	}
	r, err := c.region(f.Region)
	if err == nil {
		work.deleteSnapshot(r, f.Snapshot)
	}
	return err
}

func removePlace(s stock, p Place, work *Work) {
	bare := slices.DeleteFunc(slices.Clone(p.Snapshots), func(id string) bool {
		return slices.ContainsFunc(s.snapshots, func(known snapshot) bool { return known.id == id })
	})
	if len(bare) > 0 { // without tags nobody would find them once the AMI is gone
		work.tag(s.region, bare, append(p.tags.list(), newTag(cluster.TagState, stateRemoved)), "tag %s", join(bare))
	}
	if p.Protected {
		work.add(p.Region, func(ctx context.Context) error {
			_, err := s.region.EC2.DisableImageDeregistrationProtection(ctx, &ec2.DisableImageDeregistrationProtectionInput{ImageId: aws.String(p.AMI)})
			return err
		}, "end the protection of %s", p.AMI)
	}
	work.add(p.Region, func(ctx context.Context) error {
		_, err := s.region.EC2.DeregisterImage(ctx, &ec2.DeregisterImageInput{ImageId: aws.String(p.AMI)})
		if strings.HasPrefix(codeOf(err), "InvalidAMIID.") { // gone: the answer to the first try was lost
			return nil
		}
		return err
	}, "deregister %s", p.AMI)
	for _, id := range p.Snapshots {
		work.deleteSnapshot(s.region, id)
	}
}

// deleteSnapshot adds a step that deletes a snapshot.
func (w *Work) deleteSnapshot(r Region, id string) {
	w.add(r.Name, func(ctx context.Context) error {
		_, err := r.EC2.DeleteSnapshot(ctx, &ec2.DeleteSnapshotInput{SnapshotId: aws.String(id)})
		if codeOf(err) == "InvalidSnapshot.NotFound" {
			return nil
		}
		return err
	}, "delete %s", id)
}

// list are the tags that say what an AMI is, for its snapshots.
func (x index) list() []types.Tag {
	texts := map[string]string{
		cluster.TagCluster: x.cluster, cluster.TagRole: string(x.role), cluster.TagRecipe: x.recipe, cluster.TagContent: x.content,
	}
	var tags []types.Tag
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		if texts[key] != "" {
			tags = append(tags, newTag(key, texts[key]))
		}
	}
	return tags
}
