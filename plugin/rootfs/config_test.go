package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
)

const spec = "../../examples/self-hosted-onprem/cluster.yaml"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func prepared(t *testing.T, more map[string]any) *Config {
	t.Helper()
	var c Config
	must(t, c.prepare(map[string]any{"spec": spec, "role": "heartbeat", "images": "images"}, more))
	return &c
}

func TestDefaults(t *testing.T) {
	c := prepared(t, nil)
	got := []string{c.job.Site.Mirror, c.CacheDir, c.maxAge.String(), c.job.Recipe.String(), c.system.Codename, fmt.Sprint(c.kinds, c.disk>>30)}
	want := []string{"", "/var/cache/cincbake", (7 * 24 * time.Hour).String(), "heartbeat on debian-13 amd64", "trixie", "[rootfs] 4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPrepareRefuses(t *testing.T) {
	tests := []struct {
		name   string
		config map[string]any
		says   []string
	}{
		{"nothing", map[string]any{"spec": "", "role": "", "images": ""}, []string{`role: ""`, "spec: name", "images: name"}},
		{"an unknown role", map[string]any{"role": "cook"}, []string{`role: "cook" is none of [`}},
		{"a mirror without a scheme", map[string]any{"mirror": "deb.debian.org"}, []string{`mirror: "deb.debian.org"`}},
		{"a mirror with options", map[string]any{"mirror": "http://x/ main [trusted=yes]"}, []string{"mirror: "}},
		{"an unknown format", map[string]any{"formats": []string{"iso"}}, []string{`formats: "iso" is none of [rootfs qcow2]`}},
		{"a format twice", map[string]any{"formats": []string{"qcow2", "qcow2"}}, []string{`formats: "qcow2" is there twice`}},
		{"a size of nothing", map[string]any{"disk_size": "big"}, []string{`disk_size: "big" is no size like 4G`}},
		{"a size that is too small", map[string]any{"disk_size": "512M"}, []string{"disk_size: 512M is too small"}},
		{"a tarball without its digest", map[string]any{"base_tarball": "base.tar"}, []string{"base_tarball_sha256: say which bytes base.tar must be"}},
		{"a digest without a tarball", map[string]any{"base_tarball_sha256": "00"}, []string{"base_tarball_sha256: there is no base_tarball"}},
		{"a snapshot without a lock", map[string]any{"snapshot": true}, []string{"snapshot: ", "cincbake lock"}},
		{"a bad age", map[string]any{"base_max_age": "a week"}, []string{`base_max_age: "a week"`}},
		{"a negative age", map[string]any{"base_max_age": "-1h"}, []string{`base_max_age: "-1h"`}},
		{"a cache that overlayfs cannot name", map[string]any{"cache_dir": "/a:b"}, []string{"cache_dir"}},
		{"two at once", map[string]any{"mirror": "x", "images": ""}, []string{"mirror: ", "images: "}},
		{"an unknown option", map[string]any{"output_dir": "x"}, []string{"output_dir"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := new(Config).prepare(map[string]any{"spec": spec, "role": "heartbeat", "images": "images"}, tt.config)
			for _, says := range tt.says {
				if err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("got %v, want it to say %q", err, says)
				}
			}
		})
	}
}

func TestPreflight(t *testing.T) {
	all := func(string) (string, error) { return "", nil }
	none := func(string) (string, error) { return "", os.ErrNotExist }
	there := func(string) (os.FileInfo, error) { return nil, nil }
	gone := func(string) (os.FileInfo, error) { return nil, os.ErrNotExist }
	tests := []struct {
		name   string
		config map[string]any
		system string
		uid    int
		look   func(string) (string, error)
		stat   func(string) (os.FileInfo, error)
		says   []string // none: it passes
	}{
		{"all is there", nil, "linux", 0, all, there, nil},
		{"another system", nil, "darwin", 501, all, there, []string{"needs Linux"}},
		{"a user", nil, "linux", 1000, all, there, []string{"sudo"}},
		{"no programs", nil, "linux", 0, none, there, []string{"apt-get install mmdebstrap", "apt-get install systemd-container"}},
		{"no programs for a disk", map[string]any{"formats": []string{"qcow2"}}, "linux", 0, none, there, []string{"apt-get install qemu-utils", "apt-get install mtools"}},
		{"nothing at all", nil, "linux", 1000, none, gone, []string{"sudo", "apt-get install mmdebstrap", "apt-get install debian-archive-keyring"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := preflight(prepared(t, tt.config).needs(), tt.system, tt.uid, tt.look, tt.stat)
			if (err == nil) != (tt.says == nil) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
			for _, says := range tt.says {
				if err != nil && !strings.Contains(err.Error(), says) {
					t.Errorf("got %v, want it to say %q", err, says)
				}
			}
		})
	}
}

func TestPhasesAreNamedOnce(t *testing.T) {
	// The names are in every image's record: whoever changes one changes what people compare.
	var got []string
	for _, step := range (&build{}).phases() {
		switch p := step.(type) {
		case *phase:
			got = append(got, p.name)
		case *provision:
			got = append(got, p.name)
		}
	}
	want := []string{"preflight", "base", "package", "workspace", "mount", "machine", "provision", "compare", "export"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRelativeCacheBecomesAbsolute(t *testing.T) {
	if c := prepared(t, map[string]any{"cache_dir": "cache"}); !filepath.IsAbs(c.CacheDir) {
		t.Errorf("cache_dir is %s", c.CacheDir)
	}
}

func TestSite(t *testing.T) {
	c := prepared(t, map[string]any{"mirror": "http://mirror.example.com/", "offline": true})
	if diff := cmp.Diff(cluster.Site{Mirror: "http://mirror.example.com", Offline: true}, c.job.Site); diff != "" {
		t.Error(diff)
	}
}
