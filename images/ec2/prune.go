package ec2

import (
	"context"
	"fmt"
	"time"

	"github.com/cincbake/cincbake/cluster"
)

// Policy says which images stay when the catalogue is pruned.
type Policy struct {
	Role     cluster.Role  // only images of this role go; empty: of every role
	Keep     int           // how many of the newest images of each recipe stay
	MinAge   time.Duration // what is younger stays, and so does what has a copy that is younger
	Versions int           // how many of the newest versions of each of the cluster's launch templates keep their images
	Now      time.Time     // what age is counted from
	Broken   bool          // what is not recorded goes too
	Shared   bool          // what others may launch goes too
}

// Fate is what becomes of an image, or of what is left of one, and why.
type Fate struct {
	// ID is the image's, or the snapshot's.
	ID   string `json:"id"`
	Keep bool   `json:"keep"`
	Why  string `json:"why"`
	// Places are its AMIs; a snapshot of none has no places.
	Places []Place `json:"places,omitempty"`
	// Region and Snapshot are set for a snapshot of none.
	Region   string `json:"region,omitempty"`
	Snapshot string `json:"snapshot,omitempty"`
}

// Plan decides about everything that the account has in the catalogue's regions: images of the cluster, newest first; then
// what is left of some; then what is not the cluster's. It changes nothing.
func (c *Catalogue) Plan(ctx context.Context, p Policy) ([]Fate, error) {
	fates, _, err := c.plan(ctx, p)
	return fates, err
}

func (c *Catalogue) plan(ctx context.Context, p Policy) ([]Fate, []stock, error) {
	found, err := c.survey(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	j := judge{policy: p, uses: map[string]uses{}, users: map[string][]string{}}
	var ours, foreign []Place
	for _, s := range found {
		j.uses[s.region.Name] = s.uses
		for _, place := range s.places {
			for _, id := range place.Snapshots {
				j.users[id] = append(j.users[id], place.AMI)
			}
			if place.tags.cluster == c.cluster {
				ours = append(ours, place)
			} else {
				foreign = append(foreign, place)
			}
		}
	}
	var fates []Fate
	newer := map[string]int{} // images so far, by recipe
	for _, image := range group(ours) {
		whole, twins := apart(image)
		nth := 0
		if whole.Recorded {
			newer[whole.RecipeDigest]++
			nth = newer[whole.RecipeDigest]
		}
		fates = append(fates, j.fate(whole, nth))
		for _, twin := range twins {
			fates = append(fates, j.twin(whole, twin))
		}
	}
	for _, s := range found {
		for _, left := range s.snapshots {
			if len(j.users[left.id]) == 0 {
				fates = append(fates, j.leftOver(s.region.Name, left))
			}
		}
	}
	for _, place := range foreign {
		why := "of the cluster " + place.tags.cluster
		if place.tags.cluster == "" {
			why = "untagged: it does not say which cluster it is of"
		}
		fates = append(fates, Fate{ID: idOf(place), Keep: true, Why: why, Places: []Place{place}})
	}
	if err := c.spareShared(ctx, fates, p); err != nil {
		return nil, nil, err
	}
	return fates, found, nil
}

// apart separates an image from AMIs that are in a region a second time: the same content was baked again.
func apart(i Image) (whole Image, twins []Place) {
	seen := map[string]bool{}
	places := i.Places
	i.Places = nil
	for _, p := range places {
		if seen[p.Region] {
			twins = append(twins, p)
			continue
		}
		seen[p.Region] = true
		i.Places = append(i.Places, p)
	}
	return i, twins
}

// judge decides about images.
type judge struct {
	policy Policy
	uses   map[string]uses     // by region
	users  map[string][]string // AMIs, by snapshot
}

// fate decides about an image as a whole: where one region needs it, it stays in all. It is the nth of its recipe; 0: it does
// not count.
func (j judge) fate(i Image, nth int) Fate {
	f := Fate{ID: i.ID, Keep: true, Places: i.Places}
	switch reason := j.needed(i.Places, i.Role); {
	case reason != "":
		f.Why = reason
	case nth > 0 && nth <= j.policy.Keep:
		f.Why = fmt.Sprintf("number %d of the newest %d of its recipe", nth, j.policy.Keep)
	case j.young(i.Places) != "":
		f.Why = j.young(i.Places)
	case !i.Recorded && !j.policy.Broken:
		f.Why = "not recorded: cincbake images push completes it, and --broken removes it"
	case !i.Recorded:
		f.Keep, f.Why = false, "not recorded, and nothing needs it"
	default:
		f.Keep, f.Why = false, fmt.Sprintf("made %s, and nothing needs it", i.Created.UTC().Format(time.DateTime))
	}
	return f
}

// twin decides about an AMI that has the content of one that counts.
func (j judge) twin(i Image, p Place) Fate {
	f := Fate{ID: i.ID, Keep: true, Places: []Place{p}}
	counts, _ := i.In(p.Region)
	if f.Why = j.needed(f.Places, i.Role); f.Why == "" {
		f.Why = j.young(f.Places)
	}
	if f.Why == "" {
		f.Keep, f.Why = false, "the same as "+counts.AMI
	}
	return f
}

// needed says why AMIs stay whatever their age; "" for none.
func (j judge) needed(places []Place, role cluster.Role) string {
	if j.policy.Role != "" && role != j.policy.Role {
		return fmt.Sprintf("not a %s image", j.policy.Role)
	}
	for _, p := range places {
		if len(p.Channels) > 0 {
			return fmt.Sprintf("in the channel %s, in %s", join(p.Channels), p.Region)
		}
	}
	for _, p := range places {
		used := j.uses[p.Region]
		for _, id := range append([]string{p.AMI}, p.Snapshots...) {
			if who := used[id]; who != "" {
				return fmt.Sprintf("used by %s, in %s", who, p.Region)
			}
		}
	}
	for _, p := range places {
		if p.Protected && !p.ours {
			return fmt.Sprintf("somebody protected %s in %s from being deregistered", p.AMI, p.Region)
		}
		for _, id := range p.Snapshots {
			for _, other := range j.users[id] {
				if other != p.AMI {
					return fmt.Sprintf("its snapshot %s in %s is that of %s too", id, p.Region, other)
				}
			}
		}
	}
	return ""
}

// young says why AMIs stay for their age; "" when they are old enough.
func (j judge) young(places []Place) string {
	for _, p := range places {
		if age := j.policy.Now.Sub(p.Created); age < j.policy.MinAge {
			return fmt.Sprintf("made %s ago in %s, less than %s", age.Round(time.Minute), p.Region, j.policy.MinAge)
		}
	}
	return ""
}

// leftOver decides about a snapshot of no AMI: what a removal left that was stopped. A copy that AWS is still making has
// snapshots of no AMI too, for as long as it takes.
func (j judge) leftOver(region string, s snapshot) Fate {
	f := Fate{ID: string(s.tags.role) + "/" + s.id, Keep: true, Region: region, Snapshot: s.id}
	switch age := j.policy.Now.Sub(s.created); {
	case j.policy.Role != "" && s.tags.role != j.policy.Role:
		f.Why = fmt.Sprintf("not of a %s image", j.policy.Role)
	case j.uses[region][s.id] != "":
		f.Why = "used by " + j.uses[region][s.id]
	case !s.whole:
		f.Why = "AWS is still making it"
	case age < j.policy.MinAge:
		f.Why = fmt.Sprintf("made %s ago, less than %s", age.Round(time.Minute), j.policy.MinAge)
	default:
		f.Keep, f.Why = false, "left over: it is of no AMI any more"
	}
	return f
}
