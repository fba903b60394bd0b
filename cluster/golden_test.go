package cluster

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files, and fail")

// golden compares got with the file at path. With -update it rewrites the file and fails, so that no run that wrote its
// own expectations counts as passed.
func golden(t *testing.T, path, got string) {
	t.Helper()
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
		t.Errorf("%s rewritten: look at the difference and run again without -update", path)
		return
	}
	if err != nil {
		t.Fatalf("%v (run with -update to write it)", err)
	}
	t.Errorf("%s differs (-want +got), run with -update to rewrite it:\n%s", path, cmp.Diff(string(want), got))
}
