//go:build integration && linux

package rootfs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/images/archive"
	"github.com/cincbake/cincbake/plugin/bake"
	"github.com/cincbake/cincbake/plugin/mount"
)

// newCache returns a cache of the test's own, but for the base systems: making one takes most of a minute.
func newCache(t *testing.T) string {
	t.Helper()
	if err := preflight(new(Config).needs(), "linux", os.Geteuid(), exec.LookPath, os.Stat); err != nil {
		if os.Getenv("CINCBAKE_REQUIRE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	bases, cache := filepath.Join(defaultCacheDir, "base"), t.TempDir()
	must(t, os.MkdirAll(bases, 0o700))
	must(t, os.Symlink(bases, filepath.Join(cache, "base")))
	return cache
}

// builderFor returns a builder that is ready to run here, and the folder that its images go to.
func builderFor(t *testing.T, cache string, more ...any) (*Builder, string) {
	t.Helper()
	b, dir := new(Builder), filepath.Join(t.TempDir(), "images")
	_, _, err := b.Prepare(append([]any{map[string]any{"spec": spec, "role": "heartbeat", "images": dir, "cache_dir": cache}}, more...)...)
	must(t, err)
	return b, dir
}

// sealer is the program that stands in for the boot agent.
func sealer(t *testing.T) []byte {
	t.Helper()
	program := filepath.Join(t.TempDir(), "sealer")
	command := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./testdata/sealer")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	content, err := os.ReadFile(program)
	must(t, err)
	return content
}

// provisioner is a hook that runs shell in the machine, seals it, and runs more shell.
type provisioner struct {
	config        *Config
	before, after string
	sealer        []byte
}

func (p provisioner) Run(ctx context.Context, hook string, _ packersdk.Ui, comm packersdk.Communicator, data any) error {
	if hook != packersdk.HookProvision {
		return nil
	}
	recipe, err := json.Marshal(p.config.job.Recipe)
	if err != nil {
		return err
	}
	executable, err := os.Stat("/bin/sh")
	if err != nil {
		return err
	}
	if err := errors.Join(
		comm.Upload("/tmp/recipe.json", bytes.NewReader(recipe), nil),
		comm.Upload("/tmp/sealer", bytes.NewReader(p.sealer), &executable),
	); err != nil {
		return err
	}
	for _, line := range []string{p.before, "/tmp/sealer /tmp/recipe.json /tmp/report.json /tmp/manifest.txt", p.after} {
		var out, complaints bytes.Buffer // one for each: they are written at the same time
		command := &packersdk.RemoteCmd{Command: line, Stdout: &out, Stderr: &complaints}
		if err := comm.Start(ctx, command); err != nil {
			return err
		}
		ended := make(chan int, 1)
		go func() { ended <- command.Wait() }()
		select {
		case <-ctx.Done(): // as Packer does: it does not wait
			return ctx.Err()
		case status := <-ended:
			if status != 0 {
				return fmt.Errorf("%s: status %d: %s", line, status, out.String()+complaints.String())
			}
		}
	}
	var report, manifest bytes.Buffer
	if err := errors.Join(comm.Download("/tmp/report.json", &report), comm.Download("/tmp/manifest.txt", &manifest)); err != nil {
		return err
	}
	_, err = bake.WriteResults(data.(map[string]any)[bake.ResultsKey].(string), report.Bytes(), manifest.Bytes())
	return err
}

// leftovers are the mounts and the work folders that are there.
func leftovers(t *testing.T, cache string) []string {
	t.Helper()
	mounts, err := mount.Below(cache)
	must(t, err)
	work, err := filepath.Glob(filepath.Join(cache, "work/[^.]*"))
	must(t, err)
	return append(mounts, work...)
}

func runBuilder(t *testing.T, b *Builder, hook packersdk.Hook) (packersdk.Artifact, error) {
	t.Helper()
	before := leftovers(t, b.config.CacheDir)
	artifact, err := b.Run(t.Context(), packersdk.TestUi(t), hook)
	if diff := cmp.Diff(before, leftovers(t, b.config.CacheDir)); diff != "" {
		t.Errorf("the build left something behind: %s", diff)
	}
	return artifact, err
}

func TestBuild(t *testing.T) {
	agent := sealer(t)
	// Everything that a digest or an archive could lose, and what they must not see.
	const before = `set -e
setcap cap_net_raw=ep /usr/bin/true 2>/dev/null || cp --preserve=all /usr/bin/true /usr/bin/true2
ln /etc/hosts /etc/hosts.hard; ln -s /nowhere /etc/dangling
install -d -o 432 -g 432 -m 0700 /var/lib/thing; install -m 4755 /usr/bin/true /usr/bin/setuid
rm /etc/debian_version; touch "/etc/odd name\"$(printf '\n')x"
echo changed >> /etc/motd; echo message > /var/log/messages; echo 0123456789abcdef0123456789abcdef > /etc/machine-id; touch /run/gone /tmp/gone
grep -q nameserver /etc/resolv.conf; test "$SOURCE_DATE_EPOCH" = 1735689600; test "$(hostname)" = cincbake`
	var digests, files []string
	cache := newCache(t)
	for range 2 {
		b, dir := builderFor(t, cache)
		artifact, err := runBuilder(t, b, provisioner{config: &b.config, before: before, after: "true", sealer: agent})
		must(t, err)

		catalogue, err := images.Open(dir)
		must(t, err)
		entry, err := catalogue.Show(t.Context(), artifact.Id())
		must(t, err)
		if entry.Err != nil || !entry.Record.Verified || len(entry.Record.Phases) < 8 || entry.Record.Recipe != b.config.job.Recipe {
			t.Errorf("the record is %+v", entry)
		}
		digests, files = append(digests, entry.Record.ContentDigest), append(files, entry.Record.Artefacts[0].SHA256)

		tree := filepath.Join(t.TempDir(), "tree")
		image, err := os.Open(artifact.Files()[0])
		must(t, err)
		defer image.Close()
		must(t, archive.Unpack(t.Context(), image, tree))
		digest, err := images.Digest(tree)
		must(t, err)
		if digest != entry.Record.ContentDigest {
			t.Errorf("unpacked, the image has content %s, its record says %s", digest, entry.Record.ContentDigest)
		}
		for _, gone := range []string{"tmp/gone", "tmp/sealer", "run/gone", "etc/resolv.conf", "etc/debian_version"} {
			if _, err := os.Lstat(filepath.Join(tree, gone)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the image holds /%s", gone)
			}
		}
	}
	if digests[0] != digests[1] || files[0] != files[1] {
		t.Errorf("two builds of the same differ: content %v, file %v", digests, files)
	}
}

func TestBuildRefuses(t *testing.T) {
	agent := sealer(t)
	tests := []struct {
		name          string
		before, after string
		says          string
	}{
		{"what was changed after the seal", "true", "sleep 0.1; echo changed > /etc/motd", "/etc/motd"},
		{"what was removed after the seal", "true", "rm /etc/debian_version", "cincbake-role"},
		{"what failed", "exit 7", "", "status 7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, dir := builderFor(t, newCache(t))
			_, err := runBuilder(t, b, provisioner{config: &b.config, before: tt.before, after: tt.after, sealer: agent})
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want it to say %q", err, tt.says)
			}
			if found, _ := filepath.Glob(filepath.Join(dir, "*")); len(found) > 0 {
				t.Errorf("there is an image: %v", found)
			}
		})
	}
}

func TestBuildWithoutASeal(t *testing.T) {
	b, _ := builderFor(t, newCache(t))
	before := leftovers(t, b.config.CacheDir)
	_, err := b.Run(t.Context(), packersdk.TestUi(t), new(packersdk.MockHook))
	if err == nil || !strings.Contains(err.Error(), "cincbake-role") {
		t.Errorf("got %v, want it to name the provisioner", err)
	}
	if diff := cmp.Diff(before, leftovers(t, b.config.CacheDir)); diff != "" {
		t.Errorf("the build left something behind: %s", diff)
	}
}

func TestBuildCannotHarmTheHost(t *testing.T) {
	b, _ := builderFor(t, newCache(t))
	_, err := runBuilder(t, b, provisioner{config: &b.config, sealer: sealer(t), after: "true", before: `
mount -t tmpfs none /mnt && exit 1
mknod /tmp/disk b 254 0 && exit 1
date -s 2001-01-01 && exit 1
true`})
	must(t, err)
}

func TestStoppedBuild(t *testing.T) {
	b, dir := builderFor(t, newCache(t))
	before := leftovers(t, b.config.CacheDir)
	ctx, cancel := context.WithCancel(t.Context())
	hook := stopping{provisioner{config: &b.config, before: "sleep 300", sealer: sealer(t)}, cancel}
	_, err := b.Run(ctx, packersdk.TestUi(t), hook)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if diff := cmp.Diff(before, leftovers(t, b.config.CacheDir)); diff != "" {
		t.Errorf("the stopped build left something behind: %s", diff)
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "*")); len(found) > 0 {
		t.Errorf("there is an image: %v", found)
	}
}

// stopping cancels the build while its first command runs.
type stopping struct {
	provisioner
	cancel context.CancelFunc
}

func (s stopping) Run(ctx context.Context, hook string, ui packersdk.Ui, comm packersdk.Communicator, data any) error {
	go func() {
		started := make(chan struct{})
		probe := &packersdk.RemoteCmd{Command: "true"}
		go func() { defer close(started); _ = comm.Start(ctx, probe); probe.Wait() }()
		<-started
		s.cancel()
	}()
	return s.provisioner.Run(ctx, hook, ui, comm, data)
}

func TestKilledBuildIsSwept(t *testing.T) {
	cache := newCache(t)
	b, _ := builderFor(t, cache)
	// What a killed build leaves: a folder that nobody has locked, with its mount.
	left := filepath.Join(cache, "work/heartbeat-killed")
	for _, dir := range []string{"root", "upper", "overlay", "lower"} {
		must(t, os.MkdirAll(filepath.Join(left, dir), 0o755))
	}
	put(t, filepath.Join(left, "lower/file"), "of a base system")
	must(t, mount.Overlay(filepath.Join(left, "root"), "lowerdir="+filepath.Join(left, "lower")+",upperdir="+filepath.Join(left, "upper")+",workdir="+filepath.Join(left, "overlay")))
	_, err := b.Run(t.Context(), packersdk.TestUi(t), provisioner{config: &b.config, before: "true", after: "true", sealer: sealer(t)})
	must(t, err)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", left, err)
	}
}
