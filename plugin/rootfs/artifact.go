package rootfs

import (
	"fmt"
	"os"
	"path/filepath"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/cincbake/cincbake/images"
)

// builderID tells post-processors what made the artifact.
const builderID = "cincbake.rootfs"

// artifact is a published image.
type artifact struct{ entry images.Entry }

var _ packersdk.Artifact = (*artifact)(nil)

// BuilderId names the builder.
func (a *artifact) BuilderId() string { return builderID } //nolint:revive // Packer's spelling

// Files are the image, in each form, and its record.
func (a *artifact) Files() []string {
	var files []string
	for _, artefact := range a.entry.Record.Artefacts {
		if path, _, err := a.entry.File(artefact.Kind); err == nil {
			files = append(files, path)
		}
	}
	return append(files, filepath.Join(a.entry.Dir, "record.json"))
}

// Id is the image's name in the catalogue.
func (a *artifact) Id() string { return a.entry.ID } //nolint:revive // Packer's spelling

func (a *artifact) String() string { return fmt.Sprintf("image %s in %s", a.entry.ID, a.entry.Dir) }

// State answers nothing: all there is to know is in the record.
func (a *artifact) State(string) any { return nil }

// Destroy removes the image.
func (a *artifact) Destroy() error { return os.RemoveAll(a.entry.Dir) }
