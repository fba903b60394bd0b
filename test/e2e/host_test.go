//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cincbake/cincbake/images/flock"
)

// watch is a writer that says when what was written so far satisfies a condition.
type watch struct {
	mu     sync.Mutex
	buffer bytes.Buffer
	until  func(text string) bool
	seen   chan struct{}
	done   bool
}

func newWatch(until func(text string) bool) *watch {
	return &watch{until: until, seen: make(chan struct{})}
}

func (w *watch) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buffer.Write(p)
	if !w.done && w.until(w.buffer.String()) {
		w.done = true
		close(w.seen)
	}
	return len(p), nil
}

func (w *watch) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buffer.String()
}

// mounts lists this host's mount points below a folder.
func mounts(t *testing.T, below string) []string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var points []string
	for line := range strings.Lines(string(text)) {
		if point := strings.Fields(line)[4]; strings.HasPrefix(point, below+"/") {
			points = append(points, point)
		}
	}
	return points
}

// bakery is where a bake has a folder to work in, and mounts the tree that it works on.
const bakery = "/var/cache/cincbake/work"

// left lists the folders that bakes left behind, as the next bake would find them: a bake that lives holds its folder's lock.
// Some may live: what CI runs beside this suite bakes too.
func left(t *testing.T) []string {
	t.Helper()
	sweep, err := flock.Exclusive(t.Context(), filepath.Join(bakery, ".lock"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(bakery)
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		folder := filepath.Join(bakery, e.Name())
		lock, err := flock.Try(folder)
		if errors.Is(err, flock.ErrHeld) || errors.Is(err, fs.ErrNotExist) {
			continue // its bake lives, or ended just now
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(folder); err == nil { // a bake that ended between the two took it away
			folders = append(folders, folder)
		}
		if err := lock.Release(); err != nil {
			t.Error(err)
		}
	}
	if err := sweep.Release(); err != nil {
		t.Error(err)
	}
	return folders
}

// names lists every path below a folder, but for logs and their folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil && !strings.HasSuffix(path, ".log") && filepath.Base(path) != "logs" {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// without returns what is in list and not in known.
func without(list, known []string) []string {
	there := make(map[string]bool, len(known))
	for _, k := range known {
		there[k] = true
	}
	var rest []string
	for _, l := range list {
		if !there[l] {
			rest = append(rest, l)
		}
	}
	return rest
}
