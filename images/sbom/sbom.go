// Package sbom writes the bill of materials of an image as a CycloneDX document.
package sbom

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
)

// Of returns the bill of materials of an image: its packages, each with its package URL, and the boot agent. The same record
// makes the same bytes.
func Of(r images.Record) ([]byte, error) {
	bom := cdx.NewBOM()
	bom.SerialNumber = serial(r.ContentDigest)
	bom.Metadata = &cdx.Metadata{
		Timestamp: r.Created.UTC().Format(time.RFC3339),
		Tools:     &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "cincbake", Version: r.AgentVersion}}},
		Component: &cdx.Component{
			BOMRef: "image", Type: cdx.ComponentTypeContainer, Name: "cincbake-" + string(r.Role), Version: r.ContentDigest,
			Description: r.Recipe.String(),
		},
	}
	components := []cdx.Component{
		{BOMRef: "os", Type: cdx.ComponentTypeOS, Name: distribution(r.Recipe), Version: release(r.Recipe)},
		{BOMRef: "cincbake-node", Type: cdx.ComponentTypeApplication, Name: "cincbake-node", Version: r.AgentVersion, Description: "the boot agent"},
	}
	for _, p := range r.Packages {
		components = append(components, component(r.Recipe, p))
	}
	bom.Components = &components

	contains := make([]string, len(components))
	for i, c := range components {
		contains[i] = c.BOMRef
	}
	slices.Sort(contains)
	bom.Dependencies = &[]cdx.Dependency{{Ref: "image", Dependencies: &contains}}

	var b bytes.Buffer
	encoder := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON)
	encoder.SetPretty(true)
	if err := encoder.EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("bill of materials: %w", err)
	}
	return b.Bytes(), nil
}

// serial is the document's own id: a UUID of version 8, whose bits are the maker's, here the content digest's.
func serial(digest string) string {
	id := sha256.Sum256([]byte("cincbake bill of materials " + digest))
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	text := hex.EncodeToString(id[:16])
	return fmt.Sprintf("urn:uuid:%s-%s-%s-%s-%s", text[:8], text[8:12], text[12:16], text[16:20], text[20:])
}

// distribution is the first part of the system's name, like debian.
func distribution(r cluster.Recipe) string {
	name, _, _ := strings.Cut(r.OS, "-")
	return name
}

// release is the other part, like 13.
func release(r cluster.Recipe) string {
	_, version, _ := strings.Cut(r.OS, "-")
	return version
}

// component is an installed package. What a vendor gave, and not the distribution, has the digest that was checked.
func component(recipe cluster.Recipe, p images.Package) cdx.Component {
	c := cdx.Component{Type: cdx.ComponentTypeLibrary, Name: p.Name, Version: p.Version, PackageURL: packageURL(recipe, p)}
	c.BOMRef = c.PackageURL
	if kind, sum, ok := strings.Cut(recipe.Package.Digest, ":"); ok && slices.Contains([]string{cluster.PackageCinc, cluster.PackageOpenSearch}, p.Name) {
		algorithm := map[string]cdx.HashAlgorithm{"sha256": cdx.HashAlgoSHA256, "sha512": cdx.HashAlgoSHA512}[kind]
		c.Hashes = &[]cdx.Hash{{Algorithm: algorithm, Value: sum}}
		if recipe.Package.URL != "" {
			c.ExternalReferences = &[]cdx.ExternalReference{{Type: cdx.ERTypeDistribution, URL: recipe.Package.URL}}
		}
	}
	return c
}

// packageURL names a package as scanners do: https://github.com/package-url/purl-spec, type deb. They look up
// vulnerabilities by the source package, which is the qualifier upstream where it has another name or version.
func packageURL(recipe cluster.Recipe, p images.Package) string {
	escape := func(text string) string { return strings.ReplaceAll(url.PathEscape(text), "+", "%2B") }
	purl := fmt.Sprintf("pkg:deb/%s/%s@%s?arch=%s&distro=%s", distribution(recipe), escape(p.Name), escape(p.Version), url.QueryEscape(p.Arch), url.QueryEscape(recipe.OS))
	if p.Source != "" {
		purl += "&upstream=" + url.QueryEscape(p.Source+"@"+p.SourceVersion)
	}
	return purl
}
