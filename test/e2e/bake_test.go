//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// image is a row of `bake -o json`.
type image struct {
	Role          string  `json:"role"`
	Image         string  `json:"image"`
	ContentDigest string  `json:"contentDigest"`
	Seconds       float64 `json:"seconds"`
}

// bake bakes into a folder of images and returns what was made, by role.
func (b *bench) bake(t *testing.T, images string, args ...string) map[string]image {
	t.Helper()
	args = append([]string{"bake", "--packer", filepath.Join(b.home, ".cache/tools/packer"), "--images", images}, args...)
	found := make(map[string]image)
	for _, i := range ask[[]image](t, b, 10*time.Minute, args...) {
		found[i.Role] = i
	}
	return found
}

func testBake(t *testing.T, b *bench) {
	began := time.Now()
	b.baked = b.bake(t, b.images)
	for _, role := range []string{"postgres", "heartbeat"} {
		i, ok := b.baked[role]
		if !ok {
			t.Fatalf("no %s image among %v", role, b.baked)
		}
		b.figure(t, "%s: %.1f s", role, i.Seconds)
	}
	b.figure(t, "both at once: %.1f s", time.Since(began).Seconds())

	type row struct {
		ID      string `json:"id"`
		Problem string `json:"problem"`
		Record  struct {
			Verified bool `json:"verified"`
		} `json:"record"`
	}
	for _, r := range ask[[]row](t, b, time.Minute, "images", "list", "--images", b.images) {
		if r.Problem != "" || !r.Record.Verified {
			t.Errorf("%s: problem %q, verified %v", r.ID, r.Problem, r.Record.Verified)
		}
	}
}

func testBakeAgain(t *testing.T, b *bench) {
	for role, again := range b.bake(t, b.images) {
		if first := b.baked[role].ContentDigest; again.ContentDigest != first {
			t.Errorf("%s: a second bake has content %s, the first had %s", role, again.ContentDigest, first)
		}
		b.figure(t, "%s again: %.1f s", role, again.Seconds)
	}
}

// testBakeChanged bakes with one file more, as a user's own template might.
func testBakeChanged(t *testing.T, b *bench) {
	b.withFile(t, "packer/changed.pkr.hcl", "echo changed > /etc/motd")
	again := b.bake(t, b.images+"-changed", "heartbeat", "--template", "packer/changed.pkr.hcl")["heartbeat"]
	if again.ContentDigest == b.baked["heartbeat"].ContentDigest {
		t.Errorf("an image with another /etc/motd has the same content digest %s", again.ContentDigest)
	}
}

func testBakeStopped(t *testing.T, b *bench) {
	files := names(t, b.images)

	// In the middle of the longest step: etcd is installed, PostgreSQL is on its way.
	said := newWatch(func(text string) bool { return strings.Contains(text, "Install etcd") })
	command := b.start(t.Context(), t, said, said, "bake", "postgres", "--packer", filepath.Join(b.home, ".cache/tools/packer"), "--images", b.images)
	select {
	case <-said.seen:
	case <-time.After(2 * time.Minute):
		t.Fatalf("the bake never got going:\n%s", said.text())
	}
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := command.Wait(); err == nil {
		t.Fatalf("a bake that was stopped ended well:\n%s", said.text())
	}
	b.figure(t, "stopped within %.1f s", time.Since(began).Seconds())
	if code := command.ProcessState.ExitCode(); code != 1 {
		t.Errorf("it ended with %d, want 1:\n%s", code, said.text())
	}
	if folders := left(t); len(folders) > 0 {
		t.Errorf("it left what it worked in: %v", folders)
	}
	if more := without(names(t, b.images), files); len(more) > 0 {
		t.Errorf("it left files among the images: %v", more)
	}
}
