package images_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
)

// catalogueOf returns a catalogue with an image of the role for each digit, and its folder.
func catalogueOf(t *testing.T, booted time.Time, role cluster.Role, digits ...string) (*images.Catalogue, string, []images.Entry) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "images")
	c, err := images.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var entries []images.Entry
	for _, digit := range digits {
		entry, err := c.Add(t.Context(), func(d *images.Draft) (images.Record, error) {
			record := images.Report{
				Recipe:        cluster.Recipe{Format: cluster.RecipeFormat, Role: role, Platform: cluster.OnPrem, OS: "debian-13", Arch: "amd64"},
				ContentDigest: "sha256:" + strings.Repeat(digit, 64), AgentVersion: "0.1.0", DocumentFormat: 1,
				Packages: []images.Package{{Name: "libc6", Version: "2.41-12", Arch: "amd64"}},
			}.Record()
			record.Booted = booted
			return record, d.Stream(images.KindRootfs, func(w io.Writer) error {
				_, err := io.WriteString(w, "image "+digit)
				return err
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry)
	}
	return c, dir, entries
}

var today = time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)

// A channel points to what was promoted last, for each role by itself.
func TestPromote(t *testing.T) {
	c, dir, entries := catalogueOf(t, today, cluster.RolePostgres, "a", "b")
	for _, e := range []images.Entry{entries[0], entries[1], entries[0]} {
		if _, err := c.Promote(t.Context(), e.ID, "stable", false); err != nil {
			t.Fatal(err)
		}
		got, err := c.Channel(cluster.RolePostgres, "stable")
		if err != nil || got.ID != e.ID || got.Record.ContentDigest != e.Record.ContentDigest {
			t.Errorf("got %s, %v, want %s", got.ID, err, e.ID)
		}
	}
	if _, err := c.Promote(t.Context(), entries[1].ID, "testing", false); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Channel(cluster.RolePostgres, "stable"); err != nil || got.ID != entries[0].ID {
		t.Errorf("another channel moved this one to %s, %v", got.ID, err)
	}
	if _, err := c.Channel(cluster.RoleHeartbeat, "stable"); !errors.Is(err, images.ErrNotFound) {
		t.Errorf("another role: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".channels-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestPromoteRefuses(t *testing.T) {
	c, dir, entries := catalogueOf(t, time.Time{}, cluster.RolePostgres, "a")
	tests := []struct{ name, image, channel, says string }{
		{"an untried image", entries[0].ID, "stable", "images verify " + entries[0].ID},
		{"no such image", "postgres/ffffffffffff", "stable", "no such image"},
		{"a name that is a path", entries[0].ID, "../stable", "small letters"},
		{"no name", entries[0].ID, "", "small letters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := c.Promote(t.Context(), tt.image, tt.channel, false); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want it to say %q", err, tt.says)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "channels.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
}

// What a channel cannot answer is said, and never guessed.
func TestChannelFails(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(dir string, e images.Entry) error
		says  string
	}{
		{"the image is gone", func(_ string, e images.Entry) error { return os.RemoveAll(e.Dir) }, "is gone"},
		{"the image is damaged", func(_ string, e images.Entry) error { return os.Truncate(filepath.Join(e.Dir, "image.tar.zst"), 1) }, "its record says"},
		{"no channels", func(dir string, _ images.Entry) error { return os.Remove(filepath.Join(dir, "channels.json")) }, `no postgres image is in the channel "stable"`},
		{"another release's file", func(dir string, _ images.Entry) error {
			return os.WriteFile(filepath.Join(dir, "channels.json"), []byte(`{"format":2,"channels":null}`), 0o600)
		}, "has format 2"},
		{"no digest", func(dir string, _ images.Entry) error {
			return os.WriteFile(filepath.Join(dir, "channels.json"), []byte(`{"format":1,"channels":{"postgres":{"stable":"../../etc"}}}`), 0o600)
		}, "no content digest"},
		{"half a file", func(dir string, _ images.Entry) error { return os.Truncate(filepath.Join(dir, "channels.json"), 9) }, "channels.json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, dir, entries := catalogueOf(t, today, cluster.RolePostgres, "a")
			if _, err := c.Promote(t.Context(), entries[0].ID, "stable", false); err != nil {
				t.Fatal(err)
			}
			if err := tt.spoil(dir, entries[0]); err != nil {
				t.Fatal(err)
			}
			if e, err := c.Channel(cluster.RolePostgres, "stable"); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %s, %v, want it to say %q", e.ID, err, tt.says)
			}
		})
	}
}
