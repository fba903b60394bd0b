package bake

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cincbake/cincbake/images"
)

// ResultsKey is the name under which the builder tells provisioners, among the data of a build, the folder where it wants
// the results.
const ResultsKey = "CincbakeResults"

// SiteKey is the name under which the builder tells them, among the same data, where the bake takes place: cluster.Site as
// JSON. So a template says once whether a bake is from a snapshot.
const SiteKey = "CincbakeSite"

// Names of the files in a folder of results.
const (
	reportName   = "report.json"
	manifestName = "manifest.txt"
)

// Results are what the provisioner brings back from a sealed machine, through a folder on this host.
type Results struct {
	Report images.Report
	// Manifest is what the content digest is over.
	Manifest []string
}

// ReadResults reads a folder of results. Without one, nothing was sealed.
func ReadResults(folder string) (Results, error) {
	text, err := os.ReadFile(filepath.Join(folder, reportName))
	if errors.Is(err, os.ErrNotExist) {
		return Results{}, errors.New(`nothing sealed the machine: the build needs a provisioner "cincbake-role", as the last one`)
	}
	if err != nil {
		return Results{}, err
	}
	manifest, err := os.ReadFile(filepath.Join(folder, manifestName))
	if err != nil {
		return Results{}, err
	}
	return decodeResults(text, manifest)
}

// DiscardResults takes away what an earlier bake left in a folder of results, so that it cannot pass for this one's.
func DiscardResults(folder string) error {
	err := os.Remove(filepath.Join(folder, reportName)) // without it, the folder does not count
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// decodeResults checks that report and manifest are of the same machine.
func decodeResults(report, manifest []byte) (Results, error) {
	r, err := images.DecodeReport(report)
	if err != nil {
		return Results{}, err
	}
	lines := strings.Split(strings.TrimSuffix(string(manifest), "\n"), "\n")
	if digest := images.DigestOf(lines); digest != r.ContentDigest {
		return Results{}, fmt.Errorf("the agent's report is of content %s, its manifest of %s", r.ContentDigest, digest)
	}
	return Results{Report: r, Manifest: lines}, nil
}

// WriteResults checks what the agent said and writes it into a folder of results, which is made.
func WriteResults(folder string, report, manifest []byte) (Results, error) {
	r, err := decodeResults(report, manifest)
	if err != nil {
		return r, err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return r, err
	}
	// The report last: with it, the folder counts.
	for _, file := range []struct {
		name string
		text []byte
	}{{manifestName, manifest}, {reportName, report}} {
		if err := replace(filepath.Join(folder, file.name), file.text); err != nil {
			return r, err
		}
	}
	return r, nil
}

// replace writes a file whole or not at all.
func replace(path string, text []byte) error {
	beside, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	_, err = beside.Write(text)
	err = errors.Join(err, beside.Chmod(0o644), beside.Close())
	if err == nil {
		err = os.Rename(beside.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(beside.Name()))
	}
	return nil
}
