// Package sbom writes the bill of materials of an image as a CycloneDX document.
package sbom

import "github.com/cincbake/cincbake/images"

// Of returns the bill of materials of an image: its packages, each with its package URL. The same record makes the same
// bytes.
func Of(r images.Record) ([]byte, error) { panic("sbom.Of") }
