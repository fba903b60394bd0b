//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testDown takes the lab away and looks for what is left of it on this host.
func testDown(t *testing.T, b *bench) { downLeavesNothing(t, b, clusterName) }

func downLeavesNothing(t *testing.T, b *bench, name string) {
	b.must(t, time.Minute, "lab", "down")
	if left := processesOf(t, name, ""); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
	folder := filepath.Join("/var/lib/cincbake/lab", name)
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", folder, err)
	}
	if left := mounts(t, folder); len(left) > 0 {
		t.Errorf("%v are still mounted", left)
	}
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() && strings.HasPrefix(entry.Name(), "cincbake-lab-"+name+".") {
			t.Errorf("the control group %s is left", path)
		}
		return nil // groups of others come and go
	})
	if err != nil {
		t.Fatal(err)
	}
	b.must(t, time.Minute, "lab", "down") // nothing is there any more, which is no error
}
