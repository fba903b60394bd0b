package cluster

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Recipe is the part of a resolved cluster that an image depends on. Clusters that differ in nothing else share images.
type Recipe struct {
	Format   int      `json:"format"` // RecipeFormat
	Role     Role     `json:"role"`
	Platform Platform `json:"platform"`
	OS       string   `json:"os"`
	Arch     string   `json:"arch"`
	// PostgresVersion is the major that a postgres image holds; 0 for other roles.
	PostgresVersion int `json:"postgresVersion,omitempty"`
	// Package is the one package that is not in the distribution: Cinc Server's on api and standalone, OpenSearch's on
	// opensearch; zero for other roles.
	Package RecipePackage `json:"package,omitzero"`
}

// RecipePackage is a package that is not in the distribution, as a bake gets it.
type RecipePackage struct {
	Version string `json:"version"` // upstream's, like 15.10.91
	Digest  string `json:"digest"`  // "sha256:…" or "sha512:…", in hexadecimal
	// URL is where it comes from. Empty: whoever bakes puts it into the machine first, at base.PackageFile. It is no part of
	// the recipe's digest: the same bytes from elsewhere make the same image.
	URL string `json:"url,omitempty"`
}

// RecipeFormat is the format of Recipe that this release writes and reads.
const RecipeFormat = 1

// Recipe returns what an image of the role must be made from.
func (r *Resolved) Recipe(role Role) Recipe {
	recipe := Recipe{Format: RecipeFormat, Role: role, Platform: r.Platform, OS: r.Image.OS, Arch: r.Image.Arch}
	switch role {
	case RolePostgres:
		recipe.PostgresVersion = r.Postgres.Version
	case RoleAPI, RoleStandalone:
		recipe.Package = RecipePackage{Version: r.Cinc.Version, Digest: r.Cinc.Package.Digest, URL: r.Cinc.Package.URL}
	case RoleOpenSearch:
		recipe.Package = RecipePackage{Version: r.OpenSearch.Version, Digest: r.OpenSearch.Package.Digest, URL: r.OpenSearch.Package.URL}
	}
	return recipe
}

// Digest identifies the recipe: "sha256:" and 64 hexadecimal digits over its canonical JSON.
func (r Recipe) Digest() string {
	r.Package.URL = ""
	text, err := json.Marshal(r)
	if err != nil { // strings and numbers only
		panic(fmt.Sprintf("recipe does not marshal: %v", err))
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// DecodeRecipe reads a recipe strictly: a field that this release does not know belongs to another one's image.
func DecodeRecipe(text []byte) (Recipe, error) {
	var r Recipe
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return Recipe{}, err
	}
	if r.Format != RecipeFormat {
		return Recipe{}, fmt.Errorf("recipe format %d, and this release reads %d: bake with the same release", r.Format, RecipeFormat)
	}
	return r, nil
}

// String is the recipe as people say it, like "postgres 13 on debian-13 amd64".
func (r Recipe) String() string {
	what := string(r.Role)
	if r.PostgresVersion != 0 {
		what += fmt.Sprintf(" %d", r.PostgresVersion)
	}
	if r.Package.Version != "" {
		what += " " + r.Package.Version
	}
	return fmt.Sprintf("%s on %s %s", what, r.OS, r.Arch)
}

// PackageFile returns the file on the host that holds the package of the role's recipe; empty: it is fetched, or there is
// none.
func (r *Resolved) PackageFile(role Role) string {
	switch role {
	case RoleAPI, RoleStandalone:
		return r.Cinc.Package.File
	case RoleOpenSearch:
		return r.OpenSearch.Package.File
	}
	return ""
}
