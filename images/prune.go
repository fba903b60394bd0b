package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images/flock"
)

// Policy says which images stay when a catalogue is pruned.
type Policy struct {
	Role   cluster.Role      // only images of this role go; empty: of every role
	Keep   int               // how many of the newest verified images of each role and recipe stay
	MinAge time.Duration     // what is younger stays
	Now    time.Time         // what age is counted from
	Used   map[string]string // who uses an image, by content digest
	Broken bool              // broken images go too
}

// Fate is what becomes of an image, and why.
type Fate struct {
	Entry Entry
	Keep  bool
	Why   string
}

// Plan decides about every image, in the order of List. It changes nothing.
func (c *Catalogue) Plan(ctx context.Context, p Policy) ([]Fate, error) {
	all, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	var fates []Fate
	newer := map[string]int{} // verified ones so far, by role and recipe
	for _, e := range all {
		fate, err := c.fate(e, p, newer)
		if err != nil {
			return nil, err
		}
		fates = append(fates, fate)
	}
	return fates, nil
}

func (c *Catalogue) fate(e Entry, p Policy, newer map[string]int) (Fate, error) {
	keep := func(format string, args ...any) (Fate, error) {
		return Fate{e, true, fmt.Sprintf(format, args...)}, nil
	}
	role, _, _ := strings.Cut(e.ID, "/")
	if e.Err != nil {
		switch {
		case p.Role != "" && string(p.Role) != role:
			return keep("not a %s image", p.Role)
		case !p.Broken:
			return keep("broken, and only --broken removes what nobody can read: %v", e.Err)
		}
		return Fate{e, false, fmt.Sprintf("broken: %v", e.Err)}, nil
	}
	r := e.Record
	nth := 0
	if r.Verified {
		newer[r.RecipeDigest]++ // a recipe is one role's
		nth = newer[r.RecipeDigest]
	}
	channels, err := c.ChannelsOf(e)
	if err != nil {
		return Fate{}, err
	}
	age := p.Now.Sub(r.Created)
	switch {
	case p.Role != "" && r.Role != p.Role:
		return keep("not a %s image", p.Role)
	case len(channels) > 0:
		return keep("in the channel %s", strings.Join(channels, ", "))
	case p.Used[r.ContentDigest] != "":
		return keep("used by %s", p.Used[r.ContentDigest])
	case nth > 0 && nth <= p.Keep:
		return keep("number %d of the newest %d of its recipe", nth, p.Keep)
	case age < p.MinAge:
		return keep("made %s ago, less than %s", age.Round(time.Minute), p.MinAge)
	}
	return Fate{e, false, fmt.Sprintf("made %s, and nothing needs it", r.Created.UTC().Format(time.DateTime))}, nil
}

// Remove takes images away, unless a channel has come to point to one since. Artefacts in a cloud stay there.
func (c *Catalogue) Remove(ctx context.Context, entries []Entry) (err error) {
	lock, err := flock.Exclusive(ctx, filepath.Join(c.dir, lockName))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.Err == nil {
			channels, err := c.ChannelsOf(e)
			if err != nil {
				return err
			}
			if len(channels) > 0 {
				return fmt.Errorf("%s is in the channel %s by now", e.ID, strings.Join(channels, ", "))
			}
		}
		// It disappears at once, and then bit by bit; what a killed prune leaves, the next bake takes away.
		aside := filepath.Join(c.dir, draftPrefix+"pruned-"+strings.ReplaceAll(e.ID, "/", "-"))
		if err := os.Rename(e.Dir, aside); err != nil {
			return err
		}
		if err := os.RemoveAll(aside); err != nil {
			return err
		}
	}
	return nil
}
