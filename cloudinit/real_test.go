//go:build integration

package cloudinit_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cloudinit"
)

// release is a Debian release, and the variable that names an unpacked tree of it with its own cloud-init in it. hack/tree.sh makes them.
type release struct{ suite, variable string }

var (
	debian12 = release{"bookworm", "CINCBAKE_CLOUDINIT_ROOT_12"} // 22.4.2
	debian13 = release{"trixie", "CINCBAKE_CLOUDINIT_ROOT"}      // 25.1.4; / is the cloud-init of this machine
)

// tree is a file tree with the real cloud-init. Only its /tmp is written to.
type tree struct{ root, scratch string }

func newTree(t *testing.T, from release) tree {
	t.Helper()
	missing := func(reason string) {
		reason += fmt.Sprintf(": as root, run mmdebstrap --variant=minbase --include=cloud-init %s TREE, and set %s=TREE", from.suite, from.variable)
		if os.Getenv("CINCBAKE_REQUIRE") == "1" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	root := os.Getenv(from.variable)
	switch {
	case root == "":
		missing(from.variable + " is not set")
	case os.Geteuid() != 0:
		missing("chroot needs root")
	}
	if _, err := os.Stat(filepath.Join(root, "usr/bin/cloud-init")); err != nil {
		missing("no cloud-init in " + root)
	}
	scratch, err := os.MkdirTemp(filepath.Join(root, "tmp"), "cincbake-test-*") //nolint:usetesting // inside the tree
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(scratch) })
	return tree{root, scratch}
}

// put writes a file and returns its path inside the tree.
func (tr tree) put(t *testing.T, name string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(tr.scratch, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
	return tr.inside(name)
}

func (tr tree) inside(name string) string {
	return filepath.Join("/tmp", filepath.Base(tr.scratch), name)
}

func (tr tree) run(t *testing.T, argv ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "chroot", append([]string{tr.root}, argv...)...)
	command.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

// Every role's cloud-config of every topology on both platforms, by the schemas of both releases' packages. The older one has no
// schema for network-config.
func TestRealCloudInitAcceptsSeeds(t *testing.T) {
	for _, from := range []release{debian12, debian13} {
		t.Run(from.suite, func(t *testing.T) {
			tr := newTree(t, from)
			accept := func(name string, config []byte, argv ...string) {
				tr.run(t, append(append([]string{"cloud-init", "schema"}, argv...), "-c", tr.put(t, name, config))...)
			}
			for _, r := range onPremises() {
				for _, node := range oneOfEach(r) {
					seed := render(t, r, node)
					accept("user-data", seed.UserData)
					if from == debian13 {
						accept("network-config", seed.NetworkConfig, "-t", "network-config")
					}
				}
			}
			for _, r := range inCloud() {
				for _, node := range oneOfEach(r) {
					accept("user-data", userData(t, r, node).Text)
				}
			}
		})
	}
}

func TestRealCloudInitRendersNetwork(t *testing.T) {
	tr := newTree(t, debian13)
	r := testCluster()
	seed := render(t, r, r.Nodes[0])
	tr.run(t, "cloud-init", "devel", "net-convert", "--network-data", tr.put(t, "network-config", seed.NetworkConfig),
		"--kind", "yaml", "--distro", "debian", "--output-kind", "networkd", "--directory", tr.inside("out"))
	found, err := filepath.Glob(filepath.Join(tr.scratch, "out/etc/systemd/network/*"))
	if err != nil || len(found) != 1 || filepath.Base(found[0]) != "10-cloud-init-eth0.network" {
		t.Fatalf("rendered %v, %v", found, err)
	}
	got, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	want := `[Address]
Address=10.20.0.31/24

[Match]
Name=eth0

[Network]
DHCP=no
DNS=10.20.0.2 10.20.0.3

[Route]
Destination=0.0.0.0/0
Gateway=10.20.0.1

`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What PyYAML reads of a seed is what was put in: both files byte for byte, and any text that a user may write.
func TestRealParserReadsWhatWasWritten(t *testing.T) {
	tr := newTree(t, debian13)
	r := testCluster()
	r.Access.SSH = awkwardTexts(3000)
	seed := render(t, r, r.Nodes[0])
	const script = `import json, sys, yaml
config = yaml.safe_load(open(sys.argv[1], encoding="utf-8"))
json.dump({"files": {f["path"]: f["content"] for f in config["write_files"]}, "keys": config["users"][0]["ssh_authorized_keys"]}, sys.stdout)`
	var got struct {
		Files map[string]string
		Keys  []string
	}
	out := tr.run(t, "python3", "-c", script, tr.put(t, "user-data", seed.UserData))
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(written(t, seed.UserData), got.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if len(got.Keys) != len(r.Access.SSH) {
		t.Fatalf("%d texts, want %d", len(got.Keys), len(r.Access.SSH))
	}
	for i, want := range r.Access.SSH {
		if got.Keys[i] != want {
			t.Errorf("got %q, want %q", got.Keys[i], want)
		}
	}
	document, err := cloudinit.DecodeDocument([]byte(got.Files[cloudinit.DocumentPath]))
	if err != nil || !slices.Equal(document.Cluster.Access.SSH, r.Access.SSH) {
		t.Errorf("the document does not survive: %v", err)
	}
}

// awkwardTexts are random strings over pieces that YAML gives a meaning to; the same ones every time.
func awkwardTexts(count int) []string {
	pieces := []string{
		"=", "on", "no", "y", "~", "null", "true", "0", "1", "7", "o", "x", "e", ".", "_", ":", "-", "+", "<<", "!", "&", "*", "#", "|", ">", "?", "%", "@", "`",
		"{", "}", "[", "]", ",", "'", `"`, "\\", " ", "  ", "\t", "\n", "\r\n", "\x7f", "\u0085", "\u2028", "\ufeff", "é", "😀", "a", "Z", "{{", "---", "...",
	}
	random := rand.New(rand.NewPCG(1, 2))
	texts := slices.Clone(pieces)
	for len(texts) < count {
		var b strings.Builder
		for range 1 + random.IntN(6) {
			fmt.Fprint(&b, pieces[random.IntN(len(pieces))])
		}
		texts = append(texts, b.String())
	}
	return texts
}
