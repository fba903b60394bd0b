// Package ec2 is the catalogue of images on AWS: each image is an AMI in one or more regions, with its snapshots. Tags index
// them, and are all that listing reads; what an image holds lies in a bucket, once for all regions:
//
//	BUCKET/images/ROLE/CONTENT12/record.json     images.Record
//	BUCKET/images/ROLE/CONTENT12/sbom.cdx.json   its bill of materials
//	BUCKET/images/ROLE/CONTENT12/manifest.zst    what the content digest is over
//
// An image is of the catalogue once its AMI has the tag cincbake:state with the value "recorded". That tag comes last, so
// whatever stops halfway leaves something that the same command completes when it runs again, and that Plan explains:
//
//	stopped                               | what is there                  | what it is until then
//	--------------------------------------+--------------------------------+------------------------------------------------
//	after the bake                        | AMI, the bake's own tags       | "not recorded": Push completes it
//	Push, while it writes the files   | files, the record perhaps      | the same; files without an AMI cost next to nothing
//	Push, between the two tag calls   | AMI and snapshots, no state    | the same
//	Copy, while AWS copies                | a tagged AMI that is pending   | a part of the image that it is a copy of: it stays
//	                                      |                                | and goes with it, and Copy waits for it
//	Copy, before the launch permissions   | a tagged AMI without state     | the same
//	Promote, after the parameter          | the channel points to it       | kept by the channel; Promote adds the protection
//	Promote, between tag and protection   | a tag that promises protection | Promote adds the protection
//	Remove, after the protection          | an image without protection    | what it was before: it goes by the next Remove
//	Remove, after the deregistration      | tagged snapshots of no AMI     | "left over": they go by the next Remove
package ec2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"github.com/cincbake/cincbake/internal/exit"
)

// The tags that images have beside those of package cluster.
const (
	// TagCreated is when the image was baked, and TagBooted when it last booted on trial, as RFC 3339 writes them. What never
	// booted has no TagBooted.
	TagCreated = "cincbake:created"
	TagBooted  = "cincbake:booted"
	// TagProtected says that Promote enabled the deregistration protection, so Remove may disable it.
	TagProtected = "cincbake:protected"
)

// StateRecorded is the value of cluster.TagState that makes an AMI part of the catalogue.
const StateRecorded = "recorded"

// Options are what a catalogue is made of.
type Options struct {
	// Cluster is whose images they are.
	Cluster string
	// Bucket holds the records, below Prefix; without one, "images".
	Bucket, Prefix string
	Objects        Objects
	// Regions are all that the catalogue is about. What lies in others it neither sees nor removes.
	Regions []Region
	// Interval is about how long to wait between two looks at what takes its time; 0: 15 s.
	Interval time.Duration
	// Patience is how long a copy may take; 0: one hour.
	Patience time.Duration
	// Now is the clock; nil: the real one.
	Now func() time.Time
}

// Region is what the catalogue calls in one region.
type Region struct {
	Name       string
	EC2        EC2
	Parameters Parameters
	Groups     Groups
}

// Catalogue is the images of a cluster in EC2.
type Catalogue struct {
	cluster  string
	records  store
	regions  []Region
	interval time.Duration
	patience time.Duration
	now      func() time.Time
}

// New makes a catalogue. It calls nothing.
func New(o Options) (*Catalogue, error) {
	switch {
	case o.Cluster == "":
		return nil, errors.New("whose images? Name the cluster")
	case o.Bucket == "":
		return nil, errors.New("name the bucket that holds the images' records")
	case len(o.Regions) == 0:
		return nil, errors.New("name the regions that the images are in")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Catalogue{
		cluster:  o.Cluster,
		records:  store{objects: o.Objects, bucket: o.Bucket, prefix: strings.Trim(cmp.Or(o.Prefix, "images"), "/")},
		regions:  o.Regions,
		interval: cmp.Or(o.Interval, 15*time.Second),
		patience: cmp.Or(o.Patience, time.Hour),
		now:      o.Now,
	}, nil
}

// region returns what to call in a region of the catalogue.
func (c *Catalogue) region(name string) (Region, error) {
	var names []string
	for _, r := range c.regions {
		if r.Name == name {
			return r, nil
		}
		names = append(names, r.Name)
	}
	return Region{}, exit.Errorf(exit.Invalid, "%s is none of the catalogue's regions, which are %s: name it among them", name, strings.Join(names, ", "))
}

// everywhere does something in all regions at once, and returns what it came to in the order of the regions. One failure
// ends the others.
func everywhere[T any](ctx context.Context, regions []Region, do func(context.Context, Region) (T, error)) ([]T, error) {
	return together(ctx, regions, len(regions), func(ctx context.Context, r Region) (T, error) {
		result, err := do(ctx, r)
		return result, in(r.Name, err)
	})
}

// together does something for each of a list, at most so many at once. One failure ends the others.
func together[I, T any](ctx context.Context, list []I, most int, do func(context.Context, I) (T, error)) ([]T, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var (
		group sync.WaitGroup
		once  sync.Once
		first error
		free  = make(chan struct{}, most)
		found = make([]T, len(list))
	)
	for i, item := range list {
		group.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			if ctx.Err() != nil {
				return
			}
			result, err := do(ctx, item)
			if err != nil {
				once.Do(func() { first = err; stop() })
				return
			}
			found[i] = result
		})
	}
	group.Wait()
	if first == nil {
		first = context.Cause(ctx)
	}
	return found, first
}

// in says where an error happened. A permission that is missing is exit.Missing.
func in(where string, err error) error {
	switch code := codeOf(err); {
	case err == nil:
		return nil
	case code == "UnauthorizedOperation", strings.HasPrefix(code, "AccessDenied"):
		return exit.Errorf(exit.Missing, "%s: the role that this runs as lacks a permission: %w", where, err)
	}
	return fmt.Errorf("%s: %w", where, err)
}

// codeOf is the code of AWS's own error; "" for others.
func codeOf(err error) string {
	var said smithy.APIError
	if errors.As(err, &said) {
		return said.ErrorCode()
	}
	return ""
}

// await looks about every interval until done. What takes longer than the catalogue's patience is exit.TimedOut.
func (c *Catalogue) await(ctx context.Context, interval time.Duration, what string, look func(context.Context) (done bool, err error)) error {
	return awaitWithin(ctx, c.patience, interval, what, look)
}

func awaitWithin(ctx context.Context, patience, interval time.Duration, what string, look func(context.Context) (done bool, err error)) error {
	late := exit.Errorf(exit.TimedOut, "%s took longer than %s: run this again to go on waiting", what, patience)
	within, stop := context.WithTimeoutCause(ctx, patience, late)
	defer stop()
	for {
		done, err := look(within)
		switch {
		case within.Err() != nil && ctx.Err() == nil:
			return late
		case done || err != nil:
			return err
		}
		// Between a half and three halves of the interval, so that many who wait do not ask at the same moments.
		timer := time.NewTimer(interval/2 + rand.N(interval)) //nolint:gosec // no secret
		select {
		case <-within.Done():
			timer.Stop()
			return context.Cause(within)
		case <-timer.C:
		}
	}
}

// rfc3339 reads a moment; what is none is zero.
func rfc3339(text string) time.Time {
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return when.UTC()
}

func value(text *string) string { return aws.ToString(text) }
