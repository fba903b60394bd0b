//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRoles bakes an image of every role, and does with images what their owner would. Cinc Server's and OpenSearch's
// packages are stand-ins: see test/standin.
func TestRoles(t *testing.T) {
	b := newWorkbench(t)
	t.Cleanup(func() { t.Logf("figures:\n  %s", strings.Join(b.figures, "\n  ")) })

	for _, part := range []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		{"a spec with every tier", testRolesSpec},
		{"every role is baked at once", testRolesBake},
		{"each image boots on trial", testRolesVerify},
		{"an unchanged role has the same bytes", testRolesAgain},
		{"a standalone server's image", testStandalone},
		{"what is locked must be in the image", testLock},
		{"two images are told apart", testDiff},
		{"an image is promoted, and others are pruned", testPromote},
		{"a bake that fails leaves nothing", testBakeFails},
		{"what is in an image and must not be is found", testPlanted},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, b) }) {
			t.Fatalf("the story ends here")
		}
	}
}

// roles are those of a cluster that hosts everything itself.
func selfHosted() []string { return []string{"api", "heartbeat", "lb", "opensearch", "postgres"} }

// standins builds the stand-in packages, which are kept for the next run, and returns their paths.
func (b *bench) standins(t *testing.T) (cinc, search string) {
	t.Helper()
	packages := filepath.Join(b.home, ".cache/standin")
	built := func(which string) string {
		command := exec.CommandContext(t.Context(), "go", "run", "./test/standin/"+which+"/build", "--out", packages)
		command.Dir = b.home
		out, err := command.Output()
		if err != nil {
			var failed *exec.ExitError
			if errors.As(err, &failed) {
				t.Fatalf("%s: %v\n%s", command, err, failed.Stderr)
			}
			t.Fatalf("%s: %v", command, err)
		}
		return strings.Fields(string(out))[0]
	}
	return built("cinc"), built("opensearch")
}

func testRolesSpec(t *testing.T, b *bench) {
	cinc, search := b.standins(t)
	b.must(t, time.Minute, "init", b.dir)
	b.edit(t, "cluster.yaml", func(text string) string {
		for _, file := range []string{cinc, search} { // in the order in which the spec asks for them
			text = strings.Replace(text, "package: {official: true}", "package: {file: "+file+"}", 1)
		}
		return text
	})
	b.must(t, time.Minute, "validate")
}

// edit changes a file of the cluster's folder.
func (b *bench) edit(t *testing.T, name string, change func(string) string) {
	t.Helper()
	path := filepath.Join(b.dir, name)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := change(string(text))
	if changed == string(text) {
		t.Fatalf("nothing changed in %s:\n%s", name, text)
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

func testRolesBake(t *testing.T, b *bench) {
	began := time.Now()
	b.baked = b.bake(t, b.images)
	b.figure(t, "all five roles at once: %.1f s", time.Since(began).Seconds())
	for _, role := range selfHosted() {
		i, ok := b.baked[role]
		if !ok {
			t.Fatalf("no %s image among %v", role, b.baked)
		}
		b.figure(t, "%s: %.1f s, %s", role, i.Seconds, i.Image)
	}
}

func testRolesVerify(t *testing.T, b *bench) {
	for _, role := range selfHosted() {
		began := time.Now()
		b.must(t, 5*time.Minute, "images", "verify", b.baked[role].Image, "--images", b.images)
		b.figure(t, "%s on trial: %.1f s", role, time.Since(began).Seconds())
	}
}

// record is the part of an image's record that the suite looks at.
type record struct {
	ContentDigest string `json:"contentDigest"`
	Booted        string `json:"booted"`
	Packages      []struct{ Name, Version, Arch string }
	Artefacts     []struct{ Kind, File, SHA256 string }
}

func (b *bench) record(t *testing.T, images, id string) record {
	t.Helper()
	return ask[record](t, b, time.Minute, "images", "show", id, "--images", images, "-o", "json")
}

// testRolesAgain bakes into an empty folder of images: nothing of the first bake can stand in for the second's.
func testRolesAgain(t *testing.T, b *bench) {
	again := b.images + "-again"
	began := time.Now()
	for role, i := range b.bake(t, again) {
		first, second := b.record(t, b.images, b.baked[role].Image), b.record(t, again, i.Image)
		if first.ContentDigest != second.ContentDigest {
			t.Errorf("%s: a second bake has content %s, the first had %s", role, second.ContentDigest, first.ContentDigest)
		}
		if diff := cmp.Diff(first.Packages, second.Packages); diff != "" {
			t.Errorf("%s: other packages (-first +second):\n%s", role, diff)
		}
		if diff := cmp.Diff(first.Artefacts, second.Artefacts); diff != "" {
			t.Errorf("%s: not the same bytes (-first +second):\n%s", role, diff)
		}
	}
	b.figure(t, "all five roles again: %.1f s", time.Since(began).Seconds())
}

func testStandalone(t *testing.T, b *bench) {
	cinc, _ := b.standins(t)
	alone := &bench{home: b.home, env: b.env, images: b.images, dir: filepath.Join(filepath.Dir(b.dir), "standalone")}
	alone.must(t, time.Minute, "init", "--topology", "standalone", alone.dir)
	alone.edit(t, "cluster.yaml", func(text string) string {
		return strings.Replace(text, "package: {official: true}", "package: {file: "+cinc+"}", 1)
	})
	made := alone.bake(t, b.images)["standalone"]
	b.must(t, 5*time.Minute, "images", "verify", made.Image, "--images", b.images)
	b.figure(t, "standalone: %.1f s", made.Seconds)
}

// testLock bakes what is locked, and then against a lock that says otherwise.
func testLock(t *testing.T, b *bench) {
	b.must(t, time.Minute, "lock", "--images", b.images)
	again := b.bake(t, b.images, "lb")["lb"]
	if again.ContentDigest != b.baked["lb"].ContentDigest {
		t.Errorf("baked with a lock, lb has content %s and not %s", again.ContentDigest, b.baked["lb"].ContentDigest)
	}
	whole, err := os.ReadFile(filepath.Join(b.dir, "cluster.lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.Remove(filepath.Join(b.dir, "cluster.lock.json")); err != nil {
			t.Error(err)
		}
	}()
	var lock map[string]any
	if err := json.Unmarshal(whole, &lock); err != nil {
		t.Fatal(err)
	}
	var want string
	for _, image := range lock["images"].([]any) {
		image := image.(map[string]any)
		if image["role"] != "lb" {
			continue
		}
		for _, p := range image["packages"].([]any) {
			if p := p.(map[string]any); p["name"] == "haproxy" {
				want = fmt.Sprint(p["version"])
				p["version"] = "1.0"
			}
		}
	}
	if want == "" {
		t.Fatalf("the lock has no haproxy in lb's image:\n%.2000s", whole)
	}
	changed, err := json.MarshalIndent(lock, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "cluster.lock.json"), changed, 0o600); err != nil {
		t.Fatal(err)
	}
	b.fails(t, "haproxy", want, "1.0")("bake", "lb")
}

// fails runs a bake that must fail, say the words, and leave nothing, neither what it worked in nor files among the images.
func (b *bench) fails(t *testing.T, words ...string) func(args ...string) {
	return func(args ...string) {
		t.Helper()
		files := names(t, b.images)
		out := b.try(t, 5*time.Minute, append(args, "--packer", filepath.Join(b.home, ".cache/tools/packer"), "--images", b.images)...)
		if out.code == 0 {
			t.Fatalf("%v ended well:\n%s", args, out.stderr)
		}
		for _, word := range words {
			if !strings.Contains(out.stderr, word) {
				t.Errorf("%v does not say %q:\n%s", args, word, out.stderr)
			}
		}
		if folders := left(t); len(folders) > 0 {
			t.Errorf("it left what it worked in: %v", folders)
		}
		if more := without(names(t, b.images), files); len(more) > 0 {
			t.Errorf("it left files among the images: %v", more)
		}
	}
}

// withFile returns a template that puts a file into the image of a role, as a user's own might.
func (b *bench) withFile(t *testing.T, name, shell string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, "packer/rootfs.pkr.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(withShell(t, string(text), shell)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// withShell returns a template that runs a command before it bakes the role.
func withShell(t *testing.T, template, shell string) string {
	t.Helper()
	const mark = "  provisioner \"cincbake-role\""
	before, after, ok := strings.Cut(template, mark)
	if !ok {
		t.Fatalf("the template has no line %q:\n%s", mark, template)
	}
	quoted, err := json.Marshal(shell)
	if err != nil {
		t.Fatal(err)
	}
	return before + "  provisioner \"shell\" {\n    inline = [" + string(quoted) + "]\n  }\n\n" + mark + after
}

func testDiff(t *testing.T, b *bench) {
	b.withFile(t, "packer/changed.pkr.hcl", "echo changed > /etc/motd && apt-get install --yes --no-install-recommends less")
	changed := b.bake(t, b.images, "lb", "--template", "packer/changed.pkr.hcl")["lb"]
	if changed.ContentDigest == b.baked["lb"].ContentDigest {
		t.Fatal("an image with another file has the same content digest")
	}
	out := b.must(t, time.Minute, "images", "diff", b.baked["lb"].Image, changed.Image, "--images", b.images)
	for _, word := range []string{"less", "/etc/motd", "/usr/bin/less"} {
		if !strings.Contains(out.stdout, word) {
			t.Errorf("diff does not name %s:\n%.3000s", word, out.stdout)
		}
	}
	out = b.must(t, time.Minute, "images", "diff", b.baked["lb"].Image, b.baked["lb"].Image, "--images", b.images)
	if strings.Contains(out.stdout, "motd") {
		t.Errorf("an image differs from itself:\n%s", out.stdout)
	}
	b.baked["lb-changed"] = changed
}

func testPromote(t *testing.T, b *bench) {
	first, changed := b.baked["lb"].Image, b.baked["lb-changed"].Image
	if out := b.try(t, time.Minute, "images", "promote", changed, "stable", "--images", b.images); out.code != 5 {
		t.Errorf("promoting an image that never booted ended with %d:\n%s", out.code, out.stderr)
	}
	b.must(t, time.Minute, "images", "promote", first, "stable", "--images", b.images)
	out := b.must(t, time.Minute, "images", "show", "lb@stable", "--images", b.images)
	if !strings.Contains(out.stdout, first) {
		t.Errorf("lb@stable is not %s:\n%s", first, out.stdout)
	}
	prune := []string{"images", "prune", "--images", b.images, "--keep", "0", "--min-age", "0s", "--role", "lb"}
	b.must(t, time.Minute, prune...)
	if !b.there(t, changed) {
		t.Fatal("a prune that was not told to apply removed an image")
	}
	b.must(t, time.Minute, append(prune, "--apply")...)
	if !b.there(t, first) || b.there(t, changed) {
		t.Errorf("after the prune: %s there %v, %s there %v; want the promoted one alone", first, b.there(t, first), changed, b.there(t, changed))
	}
}

func (b *bench) there(t *testing.T, image string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(b.images, image))
	return err == nil
}

// testBakeFails is what goes wrong with other people's servers and files.
func testBakeFails(t *testing.T, b *bench) {
	spec, err := os.ReadFile(filepath.Join(b.dir, "cluster.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := os.WriteFile(filepath.Join(b.dir, "cluster.yaml"), spec, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.edit(t, "cluster.yaml", func(text string) string {
		return strings.Replace(text, "image: {os: debian-13}", "image: {os: debian-13, mirror: \"http://127.0.0.1:9\"}", 1)
	})
	b.fails(t, "127.0.0.1:9", "offline")("bake", "lb")
	restore()

	b.edit(t, "cluster.yaml", func(text string) string {
		lines := strings.Split(text, "\n")
		i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "  package: {file: ") })
		lines[i] = "  package: {url: \"http://127.0.0.1:9/cinc.deb\", sha256: " + strings.Repeat("0", 64) + "}"
		return strings.Join(lines, "\n")
	})
	b.fails(t, "127.0.0.1:9/cinc.deb")("bake", "api")
	restore()

	b.withFile(t, "packer/failing.pkr.hcl", "echo out of coffee >&2; exit 7")
	b.fails(t, "out of coffee")("bake", "lb", "--template", "packer/failing.pkr.hcl")
}

// testPlanted bakes with things in the image that sealing does not take away; the agent must refuse to call it an image.
func testPlanted(t *testing.T, b *bench) {
	for _, planted := range []struct{ check, shell string }{
		{"private-key", "install -d /opt/tool && openssl genrsa 2048 > /opt/tool/key.pem 2>/dev/null || echo '-----BEGIN PRIVATE KEY-----' > /opt/tool/key.pem"},
		{"password", "echo 'root:hunter2' | chpasswd"},
		{"world-writable", "touch /etc/everybody && chmod 666 /etc/everybody"},
		{"enabled-service", "printf '[Service]\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n' > /etc/systemd/system/mine.service && systemctl enable mine.service"},
	} {
		b.withFile(t, "packer/planted.pkr.hcl", planted.shell)
		b.fails(t, planted.check)("bake", "heartbeat", "--template", "packer/planted.pkr.hcl")
	}
}
