package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// FuzzParse: whatever the file, the answer is a report that a person can use, or a cluster that holds together.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/broken/*.yaml", "../examples/*/cluster.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			if len(text) < maxBytes { // mutations of the oversized one teach nothing
				f.Add(text)
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		spec, err := Parse("cluster.yaml", text)
		if err != nil {
			const longest = 400 // whatever the file holds
			for _, p := range parseBroken(t, "cluster.yaml", text) {
				if len(p.String()) > longest {
					t.Errorf("a problem of %d characters: %s", len(p.String()), p)
				}
			}
			return
		}
		resolved, err := spec.Resolve()
		var problems Problems
		if errors.As(err, &problems) && !slices.ContainsFunc(problems, func(p Problem) bool { return p.Rule != rulePackageFile && p.Rule != ruleCAFile && p.Rule != ruleLock }) {
			return // files that it names are not there
		}
		if err != nil {
			t.Fatalf("a spec that loads does not resolve: %v", err)
		}
		checkResolved(t, resolved)
	})
}
