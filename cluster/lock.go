package cluster

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// LockFormat is the format of Lock that this release writes and reads.
const LockFormat = 1

// Names of the packages that can be looked up.
const (
	PackageCinc       = "cinc-server-core"
	PackageOpenSearch = "opensearch"
)

// Lock says exactly what images are made of, kept beside the spec and in version control with it. What lookups of official
// packages found: a bake installs those bytes and no others, whatever the vendor answers by then. And what the
// distribution's part of each image was: a bake that comes to anything else fails.
type Lock struct {
	Format   int      `json:"format"`
	Packages []Locked `json:"packages"`
	// Snapshot is the moment of which Debian's state still has every version in Images, in the form of SnapshotForm; empty
	// without Images.
	Snapshot string        `json:"snapshot,omitempty"`
	Images   []LockedImage `json:"images,omitempty"`
}

// LockedImage is everything that is installed in the image of a role.
type LockedImage struct {
	Role         Role            `json:"role"`
	RecipeDigest string          `json:"recipeDigest"` // of the recipe that it was locked for: another one makes another image
	Packages     []LockedPackage `json:"packages"`     // sorted by name, then processor
}

// LockedPackage is a package that an image holds.
type LockedPackage struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
}

// Image returns what is locked for a role.
func (l Lock) Image(role Role) (LockedImage, bool) {
	i := slices.IndexFunc(l.Images, func(image LockedImage) bool { return image.Role == role })
	if i < 0 {
		return LockedImage{}, false
	}
	return l.Images[i], true
}

// Wanted is an official package, as it is looked up.
type Wanted struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	OS      string `json:"os"`   // a row of the OS table
	Arch    string `json:"arch"` // Debian's word
}

// Locked is an official package, and what the vendor said of it.
type Locked struct {
	Wanted
	URL    string `json:"url"`
	Digest string `json:"digest"` // "sha256:…" or "sha512:…"
}

// Find returns what is known of a package.
func (l Lock) Find(w Wanted) (Locked, bool) {
	i := slices.IndexFunc(l.Packages, func(p Locked) bool { return p.Wanted == w })
	if i < 0 {
		return Locked{}, false
	}
	return l.Packages[i], true
}

// Official lists the packages that the spec takes from their vendors.
func (s *Spec) Official() []Wanted {
	os, err := OSFor(s.Image.OS)
	if err != nil { // a spec that keeps the rules has one
		return nil
	}
	arch := s.Image.Arch
	if arch == "" {
		arch = os.Arches[0]
	}
	var list []Wanted
	if s.Cinc != nil && s.Cinc.Package.Official {
		list = append(list, Wanted{PackageCinc, string(s.Cinc.Version), os.Name, arch})
	}
	if s.OpenSearch != nil && s.OpenSearch.Package.Official {
		list = append(list, Wanted{PackageOpenSearch, s.opensearch().Version, os.Name, arch})
	}
	return list
}

// LockPath returns the absolute path of the spec's lock file: cluster.lock.json for cluster.yaml.
func (s *Spec) LockPath() string {
	name := filepath.Base(s.file)
	return s.path(strings.TrimSuffix(name, filepath.Ext(name)) + ".lock.json")
}

// maxLock is far more than a lock needs: some 300 packages for each role, at 100 bytes.
const maxLock = 4 << 20

// lock reads the spec's lock file; one that is not there holds nothing.
func (s *Spec) lock() (Lock, error) {
	file, err := s.open(s.LockPath())
	if errors.Is(err, errNoFile) {
		return Lock{}, nil
	}
	if err != nil {
		return Lock{}, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxLock))
	if err != nil {
		return Lock{}, errors.New("the file cannot be read to its end")
	}
	return DecodeLock(text)
}

// DecodeLock reads a lock strictly: it decides which bytes are installed.
func DecodeLock(text []byte) (Lock, error) {
	var l Lock
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&l) != nil || decoder.More() {
		return Lock{}, errors.New("the file is not a lock")
	}
	if l.Format != LockFormat {
		return Lock{}, fmt.Errorf("the lock has format %d, and this release reads %d", l.Format, LockFormat)
	}
	for _, p := range l.Packages {
		if p.URL == "" || !isDigest(p.Digest) {
			return Lock{}, fmt.Errorf("the lock's row of %s has no URL or no digest", show(p.Name))
		}
	}
	if err := (Site{Snapshot: l.Snapshot}).Validate(); err != nil {
		return Lock{}, fmt.Errorf("the lock's %w", err)
	}
	for _, image := range l.Images {
		switch {
		case !slices.Contains(Roles(), image.Role):
			return Lock{}, fmt.Errorf("the lock has an image of an unknown role %s", show(string(image.Role)))
		case l.Snapshot == "":
			return Lock{}, fmt.Errorf("the lock's image of %s has no snapshot that it is from", image.Role)
		case !strings.HasPrefix(image.RecipeDigest, "sha256:") || !isDigest(image.RecipeDigest):
			return Lock{}, fmt.Errorf("the lock's image of %s has no digest of its recipe", image.Role)
		case len(image.Packages) == 0 || slices.ContainsFunc(image.Packages, func(p LockedPackage) bool { return p.Name == "" || p.Version == "" }):
			return Lock{}, fmt.Errorf("the lock's image of %s has no packages, or one without name or version", image.Role)
		}
	}
	return l, nil
}

// isDigest tells whether a text is the digest of a package, in the form of Package.Digest.
func isDigest(text string) bool {
	kind, sum, _ := strings.Cut(text, ":")
	length := map[string]int{"sha256": 32, "sha512": 64}[kind]
	raw, err := hex.DecodeString(sum)
	return err == nil && length > 0 && len(raw) == length
}

// Complete fails on a recipe whose package is not known to its bytes yet, which no image can be made from.
func (r Recipe) Complete() error {
	if r.Package != (RecipePackage{}) && !isDigest(r.Package.Digest) {
		return fmt.Errorf("%s: the official package is not in the lock file yet, so nobody knows which bytes it must be (run \"cincbake lock\")", r)
	}
	return nil
}
