// Command sealer stands in for the boot agent in the builder's test: it digests the machine that it runs in and reports.
// Usage: sealer RECIPE REPORT MANIFEST
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
)

func main() {
	if err := seal(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func seal(recipeFile, reportFile, manifestFile string) error {
	text, err := os.ReadFile(recipeFile)
	if err != nil {
		return err
	}
	recipe, err := cluster.DecodeRecipe(text)
	if err != nil {
		return err
	}
	report := images.Report{
		Recipe: recipe, AgentVersion: "test", DocumentFormat: 1,
		Packages: []images.Package{{Name: "none", Version: "1", Arch: "all"}},
	}
	if err := os.MkdirAll("/usr/lib/cincbake", 0o755); err != nil {
		return err
	}
	manifest, err := images.Manifest("/")
	if err != nil {
		return err
	}
	report.ContentDigest = images.DigestOf(manifest)
	if err := os.WriteFile(manifestFile, []byte(strings.Join(manifest, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile("/usr/lib/cincbake/content-digest", []byte(report.ContentDigest), 0o644); err != nil {
		return err
	}
	if text, err = json.Marshal(report); err != nil {
		return err
	}
	return os.WriteFile(reportFile, text, 0o644)
}
