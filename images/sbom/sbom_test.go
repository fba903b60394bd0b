package sbom

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
)

func record() images.Record {
	recipe := cluster.Recipe{
		Format: cluster.RecipeFormat, Role: cluster.RoleAPI, Platform: cluster.OnPrem, OS: "debian-13", Arch: "amd64",
		Package: cluster.RecipePackage{Version: "15.10.91", Digest: "sha256:" + strings.Repeat("ab", 32), URL: "https://example.com/cinc.deb"},
	}
	return images.Record{
		Role: cluster.RoleAPI, Recipe: recipe, ContentDigest: "sha256:" + strings.Repeat("1", 64), AgentVersion: "0.1.0",
		Created: time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC),
		Packages: []images.Package{
			{Name: "cinc-server-core", Version: "15.10.91-1", Arch: "amd64"},
			{Name: "libstdc++6", Version: "14.2.0-19", Arch: "amd64", Source: "gcc-14", SourceVersion: "14.2.0-19"},
			{Name: "openssh-server", Version: "1:10.0p1-7+deb13u4", Arch: "amd64", Source: "openssh", SourceVersion: "1:10.0p1-7+deb13u4"},
		},
	}
}

func TestOf(t *testing.T) {
	text, err := Of(record())
	if err != nil {
		t.Fatal(err)
	}
	again, err := Of(record())
	if err != nil || !bytes.Equal(text, again) {
		t.Errorf("the same record made other bytes, %v", err)
	}
	var bom cdx.BOM
	if err := json.Unmarshal(text, &bom); err != nil {
		t.Fatal(err)
	}
	if bom.SpecVersion != cdx.SpecVersion1_6 || bom.Metadata.Component.Version != record().ContentDigest {
		t.Errorf("version %s, of %s", bom.SpecVersion, bom.Metadata.Component.Version)
	}
	var urls, hashed []string
	for _, c := range *bom.Components {
		if c.PackageURL != "" {
			urls = append(urls, c.PackageURL)
		}
		if c.Hashes != nil {
			hashed = append(hashed, c.Name+" "+(*c.Hashes)[0].Value)
		}
	}
	if want := []string{
		"pkg:deb/debian/cinc-server-core@15.10.91-1?arch=amd64&distro=debian-13",
		"pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=amd64&distro=debian-13&upstream=gcc-14%4014.2.0-19",
		"pkg:deb/debian/openssh-server@1:10.0p1-7%2Bdeb13u4?arch=amd64&distro=debian-13&upstream=openssh%401%3A10.0p1-7%2Bdeb13u4",
	}; !slices.Equal(urls, want) {
		t.Errorf("package URLs\n%s\nwant\n%s", strings.Join(urls, "\n"), strings.Join(want, "\n"))
	}
	if want := "cinc-server-core " + strings.Repeat("ab", 32); len(hashed) != 1 || hashed[0] != want {
		t.Errorf("with a digest: %v, want %s alone", hashed, want)
	}

	other := record()
	other.ContentDigest = "sha256:" + strings.Repeat("2", 64)
	if text, err := Of(other); err != nil || strings.Contains(string(text), bom.SerialNumber) {
		t.Errorf("another image has the same serial number, %v", err)
	}
}
