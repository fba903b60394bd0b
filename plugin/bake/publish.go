package bake

import (
	"context"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/images/sbom"
)

// Publish adds an image to the catalogue: its record, its bill of materials and its manifest, from what came back from the
// baked machine, and the artefacts that fill puts into the draft. Base says what the bake started from; spent is asked for
// the phases' times when everything is written.
func Publish(ctx context.Context, c *images.Catalogue, r Results, base string, fill func(*images.Draft) error, spent func() []cluster.Phase) (images.Entry, error) {
	return c.Add(ctx, func(draft *images.Draft) (images.Record, error) {
		record := r.Report.Record()
		record.Base = base
		if err := fill(draft); err != nil {
			return record, err
		}
		if err := draft.Manifest(r.Manifest); err != nil {
			return record, err
		}
		document, err := sbom.Of(record)
		if err != nil {
			return record, err
		}
		record.Phases = spent()
		return record, draft.SBOM(document)
	})
}
