//go:build integration && linux

package basetree

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/images/archive"
	"github.com/cincbake/cincbake/plugin/mirrortest"
)

func needs(t *testing.T, programs ...string) {
	t.Helper()
	var missing []string
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if os.Geteuid() != 0 {
		missing = append(missing, "root")
	}
	if len(missing) == 0 {
		return
	}
	says := fmt.Sprintf("%v missing: run hack/packages.sh install integration as root", missing)
	if os.Getenv("CINCBAKE_REQUIRE") == "1" {
		t.Fatal(says)
	}
	t.Skip(says)
}

// TestTwoSitesMakeOneTree makes the base system twice, with nothing in common but the recipe: straight from Debian, and from
// a mirror of another name and certificate, through a proxy.
func TestTwoSitesMakeOneTree(t *testing.T) {
	needs(t, "mmdebstrap")
	mirror, proxy := mirrortest.New(t), mirrortest.Proxy(t)
	recipe := For(debian13(t), "amd64", true)
	var manifests [2][]string
	var sums [2]string
	for i, site := range []cluster.Site{{}, {Mirror: mirror.URL, Proxy: proxy.URL, CACertificates: mirror.CA}} {
		base, err := Store{Dir: t.TempDir(), Say: t.Logf}.Take(t.Context(), Wanted{Recipe: recipe, Site: site})
		must(t, err)
		defer func() { must(t, base.Leave()) }()
		if manifests[i], err = images.Manifest(base.Tree()); err != nil {
			t.Fatal(err)
		}
		manifests[i] = append(manifests[i], times(t, base.Tree())...)
		sum := sha256.New()
		must(t, archive.Pack(t.Context(), base.Tree(), sum, archive.Times{Made: Epoch.AddDate(100, 0, 0), Epoch: Epoch}))
		sums[i] = fmt.Sprintf("%x", sum.Sum(nil))

		for _, secret := range []string{strings.TrimPrefix(mirror.URL, "https://"), proxy.URL, strings.Split(mirror.CA, "\n")[3]} {
			if found := holding(t, filepath.Join(base.Tree(), "etc"), secret); len(found) > 0 {
				t.Errorf("%q of the site is in %v", secret, found)
			}
		}
		sources, err := os.ReadFile(filepath.Join(base.Tree(), "etc/apt/sources.list"))
		must(t, err)
		if diff := cmp.Diff("deb http://deb.debian.org/debian trixie main\ndeb http://deb.debian.org/debian trixie-updates main\ndeb http://deb.debian.org/debian-security trixie-security main\n", string(sources)); diff != "" {
			t.Error(diff)
		}
		left, err := os.ReadDir(filepath.Dir(base.Tree()))
		must(t, err)
		if len(left) != 3 { // tree, lock, origin
			t.Errorf("beside the tree lie %v", left)
		}
	}
	if mirror.Served.Load() == 0 || proxy.Served.Load() == 0 {
		t.Errorf("the mirror served %d requests, the proxy %d", mirror.Served.Load(), proxy.Served.Load())
	}
	if diff := images.Diff(manifests[0], manifests[1]); len(diff) > 0 {
		t.Errorf("the trees differ:\n%s", strings.Join(diff, "\n"))
	}
	if sums[0] != sums[1] {
		t.Errorf("packed, they are %v", sums)
	}
}

// holding names the files below dir that hold the text.
func holding(t *testing.T, dir, text string) []string {
	t.Helper()
	var found []string
	must(t, filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(name)
		if bytes.Contains(content, []byte(text)) {
			rel, _ := filepath.Rel(dir, name)
			found = append(found, rel)
		}
		return err
	}))
	return found
}

// times are the times of all files, which the digest does not count, as lines of a manifest.
func times(t *testing.T, tree string) []string {
	t.Helper()
	var lines []string
	must(t, filepath.WalkDir(tree, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(tree, name)
		line := fmt.Sprintf("%q %s", "time of /"+rel, info.ModTime().UTC())
		if strings.HasPrefix(rel, "var/cache") && info.Mode().IsRegular() { // what the digest leaves out, the archive does not
			content, err := os.Open(name)
			if err != nil {
				return err
			}
			sum := sha256.New()
			_, err = io.Copy(sum, content)
			line += fmt.Sprintf(" %x", sum.Sum(nil))
			if err != nil {
				return err
			}
			_ = content.Close()
		}
		lines = append(lines, line)
		return err
	}))
	return lines
}
