//go:build integration && linux

package rootfs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/plugin/bake"
)

// small mounts a new file system of so many megabytes.
func small(t *testing.T, megabytes int) string {
	t.Helper()
	folder := t.TempDir()
	file, at := filepath.Join(folder, "file"), filepath.Join(folder, "mounted")
	must(t, os.Mkdir(at, 0o755))
	for _, argv := range [][]string{
		{"truncate", fmt.Sprintf("--size=%dM", megabytes), file},
		{"mkfs.ext4", "-q", "-m0", file},
		{"mount", "-o", "loop", file, at},
	} {
		if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", argv, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.CommandContext(context.Background(), "umount", at).CombinedOutput(); err != nil {
			t.Errorf("something still uses the file system: %v: %s", err, out)
		}
	})
	return at
}

// cacheIn makes a cache in a folder, with the base systems of the shared one.
func cacheIn(t *testing.T, folder string) string {
	t.Helper()
	bases, err := filepath.EvalSymlinks(filepath.Join(newCache(t), "base"))
	must(t, err)
	must(t, os.Symlink(bases, filepath.Join(folder, "base")))
	return folder
}

// listing is everything below a folder, with sizes.
func listing(t *testing.T, folder string) []string {
	t.Helper()
	var rows []string
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && entry.Name() != ".lock" {
			rows = append(rows, fmt.Sprintf("%s %v %d", name, info.Mode(), info.Size()))
		}
		return err
	})
	if !errors.Is(err, fs.ErrNotExist) {
		must(t, err)
	}
	return rows
}

// processes are those that have the folder in their command line.
func processes(t *testing.T, folder string) []string {
	t.Helper()
	var found []string
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	for _, name := range lines {
		if text, err := os.ReadFile(name); err == nil && strings.Contains(string(text), folder) {
			found = append(found, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	return found
}

// failingPackage is a shell line that makes and installs a package that cannot be installed.
const failingPackage = `set -e
mkdir -p /tmp/p/DEBIAN; printf 'Package: doomed\nVersion: 1\nArchitecture: all\nMaintainer: none <none@example.com>\nDescription: fails\n' > /tmp/p/DEBIAN/control
printf '#!/bin/sh\necho the postinst gives up >&2\nexit 9\n' > /tmp/p/DEBIAN/postinst; chmod 0755 /tmp/p/DEBIAN/postinst
dpkg-deb --build /tmp/p /tmp/doomed.deb; dpkg --install /tmp/doomed.deb`

func TestFaults(t *testing.T) {
	agent, tarball := sealer(t), filepath.Join(t.TempDir(), "base.tar")
	put(t, tarball, "other bytes")
	tests := []struct {
		name          string
		cache, images int // megabytes of the file system that they lie on; 0: the large one
		more          map[string]any
		before        string
		says          []string
	}{
		{
			name: "a full cache", cache: 96, before: "dd if=/dev/urandom of=/large bs=1M count=200",
			says: []string{"No space left on device", "cache_dir is full: ", "set cache_dir to a folder on another disk"},
		},
		{
			name: "a full folder of images", images: 40, before: "true",
			says: []string{"no space left on device", "a disk was full: ", "set them to folders on others"},
		},
		{name: "a package that fails", before: failingPackage, says: []string{"\nthe postinst gives up\n", "doomed"}},
		{
			name: "a tarball of other bytes", before: "true",
			more: map[string]any{"base_tarball": tarball, "base_tarball_sha256": strings.Repeat("0", 64)},
			says: []string{"base_tarball: " + tarball + " has sha256 ", "fetch the file again, or correct the option"},
		},
		{
			name: "a mirror that is not there", more: map[string]any{"mirror": "http://127.0.0.1:1"}, before: "true",
			says: []string{"http://127.0.0.1:1/debian", "refused", "offline = true"},
		},
		{
			name: "an offline bake without lists", more: map[string]any{"offline": true}, before: "true",
			says: []string{"offline: ", "holds no lists of the packages of http://deb.debian.org/debian trixie", "bake once without offline"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			place := t.TempDir()
			if tt.cache > 0 {
				place = small(t, tt.cache)
			}
			cache := cacheIn(t, place)
			b, dir := builderFor(t, cache, tt.more)
			if tt.images > 0 {
				dir = filepath.Join(small(t, tt.images), "images")
				b.config.Images = dir
			}
			put(t, filepath.Join(dir, "lb/0123456789ab/record.json"), "an older image")
			before := listing(t, dir)
			_, err := runBuilder(t, b, provisioner{config: &b.config, before: tt.before, after: "true", sealer: agent})
			if err == nil {
				t.Fatal("it went well")
			}
			t.Log(err)
			for _, says := range tt.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("got %v, want it to say %q", err, says)
				}
			}
			if diff := cmp.Diff(before, listing(t, dir)); diff != "" {
				t.Errorf("the catalogue changed: %s", diff)
			}
			if left := processes(t, place); len(left) > 0 {
				t.Errorf("there are processes left: %v", left)
			}
		})
	}
}

// TestStoppedWhileTheBaseIsMade stops the build in the middle of mmdebstrap, which mounts and runs things of its own.
func TestStoppedWhileTheBaseIsMade(t *testing.T) {
	newCache(t) // skips where nothing can be baked
	cache := t.TempDir()
	b, dir := builderFor(t, cache)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ui := &listener{Ui: packersdk.TestUi(t), hears: "installing essential packages", then: cancel}
	_, err := b.Run(ctx, ui, new(packersdk.MockHook))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if left := leftovers(t, cache); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "base/*/.new*")); len(left) > 0 {
		t.Errorf("it left half a base system: %v", left)
	}
	if left := processes(t, cache); len(left) > 0 {
		t.Errorf("there are processes left: %v", left)
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "*")); len(found) > 0 {
		t.Errorf("there is an image: %v", found)
	}
}

// listener does something once it hears a line.
type listener struct {
	packersdk.Ui
	hears string
	then  func()
}

func (l *listener) Say(line string) {
	if strings.Contains(line, l.hears) {
		l.then()
	}
	l.Ui.Say(line)
}

// TestOffline bakes once with a network and once without, from what the first bake has left.
func TestOffline(t *testing.T) {
	agent, cache := sealer(t), newCache(t)
	const install = `apt-get -o Acquire::http::Proxy=http://127.0.0.1:1 install --yes --no-install-recommends jq; test -x /usr/bin/jq; rm -f /var/cache/apt/*.bin /var/log/*.log /var/log/apt/*; sed -i 's/^\([^:]*:[^:]*:\)[0-9]*:/\119000:/' /etc/shadow`
	var digests []string
	for _, tt := range []struct {
		offline bool
		shell   string
	}{
		{false, "set -e; apt-get update; apt-get install --yes --download-only --no-install-recommends jq; " + install},
		{true, "set -e; ls /var/lib/apt/lists/*InRelease /var/cache/apt/archives/jq_*; " + install},
	} {
		b, dir := builderFor(t, cache, map[string]any{"offline": tt.offline})
		hook := provisioner{config: &b.config, before: tt.shell, after: "rm -rf /var/lib/apt/lists/* /var/cache/apt/*", sealer: agent}
		artifact, err := runBuilder(t, b, siteChecking{hook, t})
		must(t, err)
		catalogue, err := images.Open(dir)
		must(t, err)
		entry, err := catalogue.Show(t.Context(), artifact.Id())
		must(t, err)
		digests = append(digests, entry.Record.ContentDigest)
	}
	if digests[0] != digests[1] {
		t.Errorf("with a network it is %s, without %s", digests[0], digests[1])
	}
}

// siteChecking is a provisioner that looks at what the builder says about the site.
type siteChecking struct {
	provisioner
	t *testing.T
}

func (s siteChecking) Run(ctx context.Context, hook string, ui packersdk.Ui, comm packersdk.Communicator, data any) error {
	if hook == packersdk.HookProvision {
		var site cluster.Site
		must(s.t, json.Unmarshal([]byte(data.(map[string]any)[bake.SiteKey].(string)), &site))
		if diff := cmp.Diff(s.config.job.Site, site); diff != "" {
			s.t.Error(diff)
		}
	}
	return s.provisioner.Run(ctx, hook, ui, comm, data)
}

// TestPoolIsPruned keeps what bakes use and removes what none has used for long.
func TestPoolIsPruned(t *testing.T) {
	cache := newCache(t)
	pool := filepath.Join(cache, "apt/debian-13-amd64")
	for name, age := range map[string]time.Duration{"old_1_all.deb": 91, "none_1_all.deb": 91, "young_1_all.deb": 89} {
		put(t, filepath.Join(pool, name), "")
		at := time.Now().Add(-age * 24 * time.Hour)
		must(t, os.Chtimes(filepath.Join(pool, name), at, at))
	}
	b, _ := builderFor(t, cache)
	_, err := runBuilder(t, b, provisioner{config: &b.config, before: "true", after: "true", sealer: sealer(t)}) // it reports "none"
	must(t, err)
	if diff := cmp.Diff([]string{".lock", "lists", "none_1_all.deb", "young_1_all.deb"}, names(t, pool)); diff != "" {
		t.Error(diff)
	}
}
