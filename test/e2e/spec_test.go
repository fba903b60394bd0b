//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func testSpec(t *testing.T, b *bench) {
	b.must(t, time.Minute, "init", "--topology", "database", b.dir)
	rename(t, filepath.Join(b.dir, "cluster.yaml"))
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

// rename gives the cluster a name of the suite's own, so that its lab is nobody else's.
func rename(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	renamed := strings.Replace(string(text), "\nname: prod ", "\nname: "+clusterName+" ", 1)
	if renamed == string(text) {
		t.Fatal("the spec that init writes names its cluster otherwise")
	}
	if err := os.WriteFile(path, []byte(renamed), 0o600); err != nil {
		t.Fatal(err)
	}
}

// architectureMap reads which files a boot writes, and on which machines, from docs/architecture.md.
func architectureMap(t *testing.T, b *bench) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.home, "docs/architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, row := range regexp.MustCompile("(?m)^\\| `(/[^`]+)` \\| ([^|]+) \\|").FindAllStringSubmatch(string(text), -1) {
		on, when, _ := strings.Cut(row[2], ", ")
		if when != "during a rescue" {
			files[row[1]] = on
		}
	}
	if len(files) == 0 {
		t.Fatal("docs/architecture.md holds no map of files")
	}
	return files
}
