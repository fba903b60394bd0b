package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cincbake/cincbake/roles/role"
)

func TestExplain(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"done":          {nil, 0},
		"failed":        {io.ErrUnexpectedEOF, 1},
		"bad arguments": {fmt.Errorf("no command: %w", errUsage), 2},
		"a bad file":    {errInput{io.ErrUnexpectedEOF}, 2},
		"timed out":     {fmt.Errorf("wait: %w", context.DeadlineExceeded), 4},
		"refused":       {&role.Refusal{Reason: "unsafe"}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			if got := explain(c.err, io.Discard); got != c.want {
				t.Errorf("%v ends with %d, want %d", c.err, got, c.want)
			}
		})
	}
}

// A file that is not to be used is a mistake of whoever runs the agent, which tells it from a bake that failed.
func TestBuildSaysWhichFilesAreBad(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	broken := file("broken.json", "{")
	for name, args := range map[string][]string{
		"no recipe there": {"bake", "--dry-run", "--recipe", filepath.Join(dir, "nothing.json")},
		"a broken recipe": {"bake", "--dry-run", "--recipe", broken},
		"a broken lock":   {"verify", "--recipe", file("empty.json", "{}"), "--lock", broken},
		"a broken site":   {"bake", "--dry-run", "--recipe", file("none.json", "{}"), "--site", broken},
	} {
		t.Run(name, func(t *testing.T) {
			if got := explain(run(t.Context(), args, io.Discard, io.Discard), io.Discard); got != 2 {
				t.Errorf("it ends with %d", got)
			}
		})
	}
}
