// Package golden compares what a test made with a file that somebody has read.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files, and fail so that nobody forgets to read the difference")

// Compare compares text with a file, whose path has slashes and begins at the package's folder. With -update a file that
// differs is rewritten, and the test fails: no run that wrote its own expectations counts as passed.
func Compare(t *testing.T, path, got string) {
	t.Helper()
	path = filepath.FromSlash(path)
	want, err := os.ReadFile(path)
	if err == nil && string(want) == got {
		return
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Errorf("%s was rewritten: read the difference, then run the test without -update", path)
		return
	}
	if err != nil {
		t.Fatalf("%v (run this package's tests with -update to write it)", err)
	}
	t.Errorf("%s differs (-want +got), run this package's tests with -update to rewrite it:\n%s", path, cmp.Diff(string(want), got))
}
