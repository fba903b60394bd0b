// Package images knows the baked images: what each holds (Record), and where they are kept (the local catalogue).
package images

import (
	"time"

	"github.com/cincbake/cincbake/cluster"
)

// RecordFormat is the format of Record that this release writes and reads.
const RecordFormat = 1

// Record says what an image is. It lies beside the image and is written only after the image is whole and verified.
type Record struct {
	Format int            `json:"format"`
	Role   cluster.Role   `json:"role"`
	Recipe cluster.Recipe `json:"recipe"`
	// RecipeDigest is Recipe.Digest(): a machine refuses to boot from an image of another recipe.
	RecipeDigest string `json:"recipeDigest"`
	// ContentDigest is over every path's type, mode, owner and content, less what each boot makes anew; see Digest.
	ContentDigest string `json:"contentDigest"`
	// Base is what the bake started from, as people say it, like "debian-13, made 2026-11-26" or the name of a disk image.
	Base         string    `json:"base"`
	Packages     []Package `json:"packages"`
	AgentVersion string    `json:"agentVersion"`
	// DocumentFormat is the node-document format that the image's agent reads.
	DocumentFormat int       `json:"documentFormat"`
	Created        time.Time `json:"created"`
	// Verified tells that the agent checked the machine when it sealed it.
	Verified bool `json:"verified"`
	// Booted is when the finished image last booted on trial and everything was as it must be; zero: it never did.
	Booted time.Time `json:"booted,omitzero"`
	// Artefacts are the forms that the image is there in, at most one of each kind and region. All have the same content.
	Artefacts []Artefact `json:"artefacts"`
	// Phases are the seconds that each phase of the bake took.
	Phases []cluster.Phase `json:"phases,omitempty"`
}

// Kind is a form of an image.
type Kind string

// The kinds.
const (
	KindRootfs Kind = "rootfs" // the tree of files, as tar.zst
	KindQCOW2  Kind = "qcow2"  // a disk that boots, for QEMU and everything that imports its format
	KindAMI    Kind = "ami"    // an image of EC2
)

// Artefact is an image in one of its forms: a file beside the record, or something in a cloud.
type Artefact struct {
	Kind Kind `json:"kind"`
	// File is its name beside the record, SHA256 and Bytes what it must be; empty for what lies in a cloud.
	File   string `json:"file,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
	// Region and ID are where it lies in a cloud.
	Region string `json:"region,omitempty"`
	ID     string `json:"id,omitempty"`
}

// Artefact returns the image in that form; in a cloud, the first one.
func (r Record) Artefact(kind Kind) (Artefact, bool) {
	for _, a := range r.Artefacts {
		if a.Kind == kind {
			return a, true
		}
	}
	return Artefact{}, false
}

// Package is one installed package.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
	// Source and SourceVersion are what it was built from, where that has another name or version: vulnerabilities are
	// reported by source.
	Source        string `json:"source,omitempty"`
	SourceVersion string `json:"sourceVersion,omitempty"`
}

// Report is what the agent says after it baked, verified and sealed a machine; the provisioner brings it back.
type Report struct {
	Recipe         cluster.Recipe  `json:"recipe"`
	ContentDigest  string          `json:"contentDigest"`
	Packages       []Package       `json:"packages"`
	AgentVersion   string          `json:"agentVersion"`
	DocumentFormat int             `json:"documentFormat"`
	Phases         []cluster.Phase `json:"phases"`
}

// Record makes the image's record of what the agent reported; what only the catalogue or the bake knows is still missing.
func (r Report) Record() Record {
	return Record{
		Format:         RecordFormat,
		Role:           r.Recipe.Role,
		Recipe:         r.Recipe,
		RecipeDigest:   r.Recipe.Digest(),
		ContentDigest:  r.ContentDigest,
		Packages:       r.Packages,
		AgentVersion:   r.AgentVersion,
		DocumentFormat: r.DocumentFormat,
		Created:        time.Now().UTC().Truncate(time.Second),
		Verified:       true, // there is no report of a machine that did not pass
	}
}
