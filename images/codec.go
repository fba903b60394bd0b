package images

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"github.com/cincbake/cincbake/cluster"
)

// ErrFormat is a record that another release wrote.
var ErrFormat = errors.New("record of another format")

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// Encode returns the record as the JSON that Decode reads. A record that does not hold together is an error, so that
// none is ever written.
func (r Record) Encode() ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}

// Decode reads a record strictly: another format, an unknown field, text behind it or a record that does not hold
// together is an error. A record of another format wraps ErrFormat.
func Decode(text []byte) (Record, error) {
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return Record{}, fmt.Errorf("image record: %w", err)
	}
	if head.Format != RecordFormat {
		return Record{}, fmt.Errorf("%w: it has format %d, this release reads %d: use the release that baked the image, or bake it again",
			ErrFormat, head.Format, RecordFormat)
	}
	var record Record
	if err := decodeStrict(text, &record); err != nil {
		return Record{}, fmt.Errorf("image record: %w", err)
	}
	return record, record.Validate()
}

// DecodeReport reads what the boot agent wrote when it sealed a machine, as strictly as Decode.
func DecodeReport(text []byte) (Report, error) {
	var report Report
	if err := decodeStrict(text, &report); err != nil {
		return Report{}, fmt.Errorf("the boot agent's report: %w", err)
	}
	if err := errors.Join(checkRecipe(report.Recipe), checkDigest("content digest", report.ContentDigest)); err != nil {
		return Report{}, fmt.Errorf("the boot agent's report: %w", err)
	}
	return report, nil
}

func decodeStrict(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more text behind the end")
	}
	return nil
}

// Validate tells everything that does not hold together in the record.
func (r Record) Validate() error {
	problems := []error{checkRecipe(r.Recipe), checkDigest("content digest", r.ContentDigest)}
	check := func(holds bool, format string, args ...any) {
		if !holds {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	check(r.Format == RecordFormat, "format is %d, not %d", r.Format, RecordFormat)
	check(r.Role == r.Recipe.Role, "role is %q, but the recipe is for %q", r.Role, r.Recipe.Role)
	check(r.RecipeDigest == r.Recipe.Digest(), "recipe digest %q is not the recipe's", r.RecipeDigest)
	check(len(r.Packages) > 0, "it lists no packages")
	for _, p := range r.Packages {
		check(p.Name != "" && p.Version != "", "package %q has version %q", p.Name, p.Version)
	}
	check(r.AgentVersion != "", "it does not say which agent is inside")
	check(r.DocumentFormat > 0, "it does not say which document format its agent reads")
	check(!r.Created.IsZero(), "it does not say when it was made")
	check(len(r.Artefacts) > 0, "it has no artefact")
	for i, a := range r.Artefacts {
		check(!slices.ContainsFunc(r.Artefacts[:i], func(b Artefact) bool { return a.Kind == b.Kind && a.Region == b.Region }), "it has two artefacts %s", a.Kind)
		if a.Kind == KindAMI {
			check(a.ID != "" && a.Region != "" && a.File == "", "artefact %s %q in region %q is not one of a cloud", a.Kind, a.ID, a.Region)
			continue
		}
		check(a.File == fileNames[a.Kind] && a.File != "", "artefact %s has file %q", a.Kind, a.File)
		check(hexForm.MatchString(a.SHA256), "sha256 %q is not 64 hexadecimal digits", a.SHA256)
		check(a.Bytes > 0, "bytes is %d", a.Bytes)
		check(a.ID == "" && a.Region == "", "artefact %s is a file, and in region %q", a.Kind, a.Region)
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("image record: %w", err)
	}
	return nil
}

var hexForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

func checkDigest(what, digest string) error {
	if !digestForm.MatchString(digest) {
		return fmt.Errorf("%s %q is not sha256: and 64 hexadecimal digits", what, digest)
	}
	return nil
}

func checkRecipe(r cluster.Recipe) error {
	switch {
	case r.Format != cluster.RecipeFormat:
		return fmt.Errorf("recipe has format %d, this release reads %d", r.Format, cluster.RecipeFormat)
	case !slices.Contains(cluster.Roles(), r.Role):
		return fmt.Errorf("recipe is for an unknown role %q", r.Role)
	case r.OS == "" || r.Arch == "" || r.Platform == "":
		return fmt.Errorf("recipe says platform %q, os %q, arch %q: none may be empty", r.Platform, r.OS, r.Arch)
	}
	return nil
}
