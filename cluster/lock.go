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

// Lock is what lookups of official packages found, kept beside the spec and in version control with it: a bake installs
// those bytes and no others, whatever the vendor answers by then.
type Lock struct {
	Format   int      `json:"format"`
	Packages []Locked `json:"packages"`
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

// maxLock is far more than a lock of a few packages needs.
const maxLock = 64 << 10

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
