package bake_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/plugin/bake"
)

const example = "../../examples/self-hosted-onprem/cluster.yaml"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// locked writes the example with a lock file beside it.
func locked(t *testing.T, lock cluster.Lock) string {
	t.Helper()
	dir := t.TempDir()
	spec, err := os.ReadFile(example)
	must(t, err)
	text, err := json.Marshal(lock)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "cluster.yaml"), spec, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "cluster.lock.json"), text, 0o600))
	return filepath.Join(dir, "cluster.yaml")
}

func lockOf(digest string) cluster.Lock {
	return cluster.Lock{
		Format: cluster.LockFormat, Snapshot: "20261101T000000Z", Images: []cluster.LockedImage{{
			Role: cluster.RolePostgres, RecipeDigest: digest, Packages: []cluster.LockedPackage{{Name: "libc6", Version: "2.41-12", Arch: "amd64"}},
		}},
	}
}

func TestLoad(t *testing.T) {
	job, err := bake.Load(example, "postgres", false)
	must(t, err)
	if job.Recipe.PostgresVersion != 13 || job.Locked != nil || job.Site.Snapshot != "" || job.Cluster.Name != "prod" {
		t.Errorf("%+v", job)
	}
	lock := lockOf(job.Recipe.Digest())
	spec := locked(t, lock)
	job, err = bake.Load(spec, "postgres", true)
	must(t, err)
	if diff := cmp.Diff(&lock.Images[0], job.Locked); diff != "" || job.Site.Snapshot != lock.Snapshot {
		t.Errorf("snapshot %s, locked %s", job.Site.Snapshot, diff)
	}
	if job, err = bake.Load(spec, "heartbeat", false); err != nil || job.Locked != nil || job.Site.Snapshot != "" {
		t.Errorf("a role without a row: %+v, %v", job.Locked, err)
	}
	// Its packages are not looked up yet: that is for whoever bakes to refuse.
	if job, err = bake.Load(example, "api", false); err != nil || job.Recipe.Complete() == nil {
		t.Errorf("%v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct {
		name, spec, role string
		snapshot         bool
		says             []string
	}{
		{"nothing", "", "", false, []string{`role: "" is none of`, "spec: name the cluster's file"}},
		{"no such machines", example, "standalone", false, []string{"cluster prod has no standalone machines"}},
		{"a snapshot without a lock", example, "postgres", true, []string{"snapshot", "cincbake lock"}},
		{"a lock of another recipe", locked(t, lockOf("sha256:"+strings.Repeat("0", 64))), "postgres", false, []string{"for another recipe", "cincbake lock"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := bake.Load(tt.spec, tt.role, tt.snapshot)
			for _, says := range tt.says {
				if err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("got %v, want it to say %q", err, says)
				}
			}
		})
	}
}

// said is what the agent writes of a sealed machine.
func said(t *testing.T, lines ...string) (report, manifest []byte) {
	t.Helper()
	job, err := bake.Load(example, "postgres", false)
	must(t, err)
	report, err = json.Marshal(images.Report{
		Recipe: job.Recipe, ContentDigest: images.DigestOf(lines), AgentVersion: "0.1.0", DocumentFormat: 1,
		Packages: []images.Package{{Name: "libc6", Version: "2.41-12", Arch: "amd64"}},
	})
	must(t, err)
	return report, []byte(strings.Join(lines, "\n") + "\n")
}

func TestResults(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "made", "by", "us")
	must(t, bake.DiscardResults(folder)) // there is nothing yet, not even the folder
	report, manifest := said(t, "d 755 0:0 /", "f 644 0:0 /etc/passwd")
	written, err := bake.WriteResults(folder, report, manifest)
	must(t, err)
	read, err := bake.ReadResults(folder)
	must(t, err)
	if diff := cmp.Diff(written, read); diff != "" || len(read.Manifest) != 2 {
		t.Errorf("%d lines, %s", len(read.Manifest), diff)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 2 {
		t.Errorf("the folder holds more than two files: %v, %v", entries, err)
	}
	must(t, bake.DiscardResults(folder))
	if _, err := bake.ReadResults(folder); err == nil || !strings.Contains(err.Error(), "nothing sealed the machine") {
		t.Errorf("got %v", err)
	}
}

// A report and a manifest of two machines are neither written nor read.
func TestResultsBelongTogether(t *testing.T) {
	report, _ := said(t, "d 755 0:0 /")
	other, manifest := said(t, "d 700 0:0 /")
	folder := t.TempDir()
	if _, err := bake.WriteResults(folder, report, manifest); err == nil || !strings.Contains(err.Error(), "its manifest of") {
		t.Errorf("written: %v", err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 {
		t.Errorf("written all the same: %v, %v", entries, err)
	}
	_, err := bake.WriteResults(folder, other, manifest)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(folder, "manifest.txt"), []byte("d 755 0:0 /\n"), 0o600))
	if _, err := bake.ReadResults(folder); err == nil || !strings.Contains(err.Error(), "its manifest of") {
		t.Errorf("read: %v", err)
	}
}
