//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func testSpec(t *testing.T, b *bench) {
	b.must(t, time.Minute, "init", b.dir)
	b.must(t, time.Minute, "validate")
	b.must(t, time.Minute, "secrets", "init")

	b.must(t, time.Minute, "render", "--out", "seeds")
	time.Sleep(1100 * time.Millisecond) // so that a clock in the output would show
	b.must(t, time.Minute, "render", "--out", "again")
	if diff := cmp.Diff(tree(t, filepath.Join(b.dir, "seeds")), tree(t, filepath.Join(b.dir, "again"))); diff != "" {
		t.Errorf("rendering twice gave different seeds (-first +second):\n%s", diff)
	}
}

// tree reads every file below a folder.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("%s holds no files", dir)
	}
	return files
}
