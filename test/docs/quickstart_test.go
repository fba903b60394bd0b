package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestQuickStartsRun runs every block of commands that begins with cincbake init, each in an empty folder, as a reader would.
func TestQuickStartsRun(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("the blocks are written for sh, and there is none on the PATH")
	}
	bin := t.TempDir()
	if said, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../../cmd/cincbake").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	path := "PATH=" + bin + string(filepath.ListSeparator) + os.Getenv("PATH")
	blocks := 0
	for _, page := range []string{"README.md", "docs/topologies.md"} {
		text, err := os.ReadFile(filepath.Join("../..", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?s)\n```\n(cincbake init .*?)```").FindAllStringSubmatch(string(text), -1) {
			blocks++
			title, _, _ := strings.Cut(block[1], " &&")
			t.Run(page+"/"+title, func(t *testing.T) {
				t.Parallel()
				command := exec.CommandContext(t.Context(), shell, "-euc", block[1])
				command.Dir, command.Env = t.TempDir(), append(os.Environ(), path)
				if said, err := command.CombinedOutput(); err != nil {
					t.Errorf("%s\n%v\n%s", block[1], err, said)
				}
			})
		}
	}
	if blocks == 0 {
		t.Error("no page has a quick start")
	}
}
