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
	ContentDigest string    `json:"contentDigest"`
	Packages      []Package `json:"packages"`
	AgentVersion  string    `json:"agentVersion"`
	// DocumentFormat is the node-document format that the image's agent reads.
	DocumentFormat int       `json:"documentFormat"`
	Created        time.Time `json:"created"`
	Verified       bool      `json:"verified"`
	// File is the artefact's name beside the record, SHA256 and Bytes what it must be.
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
	// Phases are the seconds that each phase of the bake took.
	Phases []cluster.Phase `json:"phases,omitempty"`
}

// Package is one installed package.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
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
