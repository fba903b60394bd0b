package catalogue

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/klauspost/compress/zstd"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/plugin/bake"
)

const spec = "../../examples/self-hosted-onprem/cluster.yaml"

// secret stands for the private key and the password that Packer hands to post-processors among the data of a build.
const secret = "planted-and-not-to-be-found"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// made is what a builder made.
type made struct {
	packersdk.MockArtifact
	builder, id string
	files       []string
	data        any
}

func (m *made) BuilderId() string { return m.builder } //nolint:revive // Packer's spelling
func (m *made) Id() string        { return m.id }      //nolint:revive // Packer's spelling
func (m *made) Files() []string   { return m.files }
func (m *made) State(name string) any {
	if name == "generated_data" {
		return m.data
	}
	return secret
}

// disk writes a disk in QEMU's format, as far as anybody here reads it.
func disk(t *testing.T, name, content string, backing byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	head := append([]byte("QFI\xfb\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00"), backing)
	must(t, os.WriteFile(path, append(head, content...), 0o600))
	return path
}

// results writes what a provisioner brings back from a machine of the role.
func results(t *testing.T, role string) string {
	t.Helper()
	job, err := bake.Load(spec, role, false)
	must(t, err)
	lines := []string{"d 755 0:0 /", "f 644 0:0 /etc/passwd"}
	report, err := json.Marshal(images.Report{
		Recipe: job.Recipe, ContentDigest: images.DigestOf(lines), AgentVersion: "0.1.0", DocumentFormat: 1,
		Packages: []images.Package{{Name: "etcd-server", Version: "3.5.16-4", Arch: "amd64"}},
		Phases:   []cluster.Phase{{Name: "seal", Seconds: 1.5}},
	})
	must(t, err)
	folder := filepath.Join(t.TempDir(), "results")
	_, err = bake.WriteResults(folder, report, []byte(strings.Join(lines, "\n")+"\n"))
	must(t, err)
	return folder
}

func configured(t *testing.T, more map[string]any) (*PostProcessor, *images.Catalogue, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "images")
	p := new(PostProcessor)
	must(t, p.Configure(map[string]any{"spec": spec, "role": "postgres", "images": dir, "results": results(t, "postgres")}, more))
	catalogue, err := images.Open(dir)
	must(t, err)
	return p, catalogue, dir
}

// generated is the data of a build, as it arrives from another process.
func generated() map[any]any {
	return map[any]any{
		"SourceAMI": "ami-0f00", "SourceAMIName": "debian-13-amd64-20261101-2299", "SourceAMIOwner": "136693071363", "BuildRegion": "eu-west-1",
		"SSHPrivateKey": secret, "Password": secret, "WinRMPassword": secret, "SSHPublicKey": secret, "User": "admin",
	}
}

func TestDiskOfQemu(t *testing.T) {
	p, catalogue, _ := configured(t, map[string]any{"base": "debian-13-generic-amd64.qcow2"})
	path := disk(t, "packer-postgres", "content", 0)
	other := filepath.Join(t.TempDir(), "efivars.fd")
	must(t, os.WriteFile(other, []byte("no disk, and longer than a header"), 0o600))
	var said bytes.Buffer
	out, keep, mustKeep, err := p.PostProcess(t.Context(), &packersdk.BasicUi{Writer: &said, ErrorWriter: &said}, &made{builder: builderQemu, id: "VM", files: []string{other, path}, data: generated()})
	must(t, err)
	if keep || mustKeep {
		t.Errorf("the builder's disk was copied, so it may go, and keep_input_artifact keeps it: got %v, %v", keep, mustKeep)
	}
	all, err := catalogue.List(t.Context())
	must(t, err)
	if len(all) != 1 || all[0].Err != nil {
		t.Fatalf("the catalogue has %+v", all)
	}
	record := all[0].Record
	if len(record.Artefacts) != 1 || record.Artefacts[0].Kind != images.KindQCOW2 || record.Base != "debian-13-generic-amd64.qcow2" || !record.Verified {
		t.Errorf("%+v", record)
	}
	if len(record.Phases) != 2 || record.Phases[0].Name != "provision/seal" || record.Phases[1].Name != "publish" {
		t.Errorf("phases are %+v", record.Phases)
	}
	copied, err := os.ReadFile(filepath.Join(all[0].Dir, "image.qcow2"))
	must(t, err)
	original, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(copied, original) {
		t.Error("the copy differs")
	}
	// Whoever keeps the builder's disk may boot it, and so write to it.
	must(t, os.WriteFile(path, []byte("booted"), 0o600))
	if again, err := os.ReadFile(filepath.Join(all[0].Dir, "image.qcow2")); err != nil || !bytes.Equal(again, copied) {
		t.Errorf("the catalogue's disk changed with the builder's: %v", err)
	}
	if out.Id() != all[0].ID || len(out.Files()) != 1 || !strings.Contains(said.String(), out.Id()) {
		t.Errorf("%s with %v, and it said %s", out.Id(), out.Files(), said.String())
	}
}

func TestAMIs(t *testing.T) {
	for name, data := range map[string]any{"of another process": generated(), "of this process": map[string]any{
		"SourceAMI": "ami-0f00", "SourceAMIName": "debian-13-amd64-20261101-2299", "SourceAMIOwner": "136693071363", "BuildRegion": "eu-west-1", "Password": secret,
	}} {
		t.Run(name, func(t *testing.T) {
			p, catalogue, dir := configured(t, nil)
			var said bytes.Buffer
			out, keep, mustKeep, err := p.PostProcess(t.Context(), &packersdk.BasicUi{Writer: &said, ErrorWriter: &said},
				&made{builder: builderEBS, id: "eu-west-1:ami-0a1b,us-east-1:ami-0c2d", data: data})
			must(t, err)
			if !keep || !mustKeep {
				t.Errorf("an AMI that is not kept is deregistered: got %v, %v", keep, mustKeep)
			}
			entry, err := catalogue.Show(t.Context(), out.Id())
			must(t, err)
			want := []images.Artefact{{Kind: images.KindAMI, Region: "eu-west-1", ID: "ami-0a1b"}, {Kind: images.KindAMI, Region: "us-east-1", ID: "ami-0c2d"}}
			if diff := cmp.Diff(want, entry.Record.Artefacts); diff != "" {
				t.Error(diff)
			}
			if got, want := entry.Record.Base, "debian-13-amd64-20261101-2299 (ami-0f00 of 136693071363 in eu-west-1)"; got != want {
				t.Errorf("base is %q, want %q", got, want)
			}
			nowhere(t, dir)
			if strings.Contains(said.String(), secret) || strings.Contains(out.String(), secret) {
				t.Error("it told the secret")
			}
		})
	}
}

// nowhere fails if the secret is in any file below the folder, compressed ones too.
func nowhere(t *testing.T, dir string) {
	t.Helper()
	unpack, err := zstd.NewReader(nil)
	must(t, err)
	defer unpack.Close()
	seen := 0
	must(t, filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		seen++
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if filepath.Ext(name) == ".zst" {
			if text, err = unpack.DecodeAll(text, nil); err != nil {
				return err
			}
		}
		if bytes.Contains(text, []byte(secret)) || bytes.Contains(text, []byte("SSHPrivateKey")) {
			t.Errorf("%s holds the secret", name)
		}
		return nil
	}))
	if seen < 3 { // record, bill of materials, manifest
		t.Errorf("only %d files were searched", seen)
	}
}

// A disk and AMIs of the same content are one image in several forms.
func TestFormsOfOneImage(t *testing.T) {
	p, catalogue, _ := configured(t, nil)
	for _, input := range []*made{
		{builder: builderQemu, files: []string{disk(t, "a", "content", 0)}},
		{builder: builderEBS, id: "eu-west-1:ami-0a1b"},
	} {
		_, _, _, err := p.PostProcess(t.Context(), packersdk.TestUi(t), input)
		must(t, err)
	}
	all, err := catalogue.List(t.Context())
	must(t, err)
	if len(all) != 1 || len(all[0].Record.Artefacts) != 2 {
		t.Errorf("%+v", all)
	}
}

// What cannot be published changes nothing.
func TestPostProcessRefuses(t *testing.T) {
	good := disk(t, "disk", "content", 0)
	tests := []struct {
		name  string
		more  map[string]any
		input *made
		says  string
	}{
		{"another builder", nil, &made{builder: "packer.docker"}, `"packer.docker"`},
		{"our own builder", nil, &made{builder: builderRootfs}, "in the catalogue already"},
		{"a raw disk", nil, &made{builder: builderQemu, files: []string{filepath.Join(spec)}}, `format = "qcow2"`},
		{"two disks", nil, &made{builder: builderQemu, files: []string{good, good}}, "made 2 disks"},
		{"a disk on top of another", nil, &made{builder: builderQemu, files: []string{disk(t, "disk", "content", 1)}}, "use_backing_file"},
		{"a missing disk", nil, &made{builder: builderQemu, files: []string{"/nowhere"}}, "/nowhere"},
		{"no AMI", nil, &made{builder: builderEBS, id: ""}, "no list of AMIs"},
		{"no results", map[string]any{"results": t.TempDir()}, &made{builder: builderQemu, files: []string{good}}, "nothing sealed the machine"},
		{"results of another role", map[string]any{"results": results(t, "heartbeat")}, &made{builder: builderQemu, files: []string{good}}, "the same spec, role and folder"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, catalogue, dir := configured(t, tt.more)
			_, keep, mustKeep, err := p.PostProcess(t.Context(), packersdk.TestUi(t), tt.input)
			if err == nil || !strings.Contains(err.Error(), tt.says) || keep || mustKeep {
				t.Errorf("got %v, %v, %v, want it to say %q", err, keep, mustKeep, tt.says)
			}
			if all, err := catalogue.List(t.Context()); err != nil || len(all) > 0 {
				t.Errorf("the catalogue has %+v, %v", all, err)
			}
			if left, err := filepath.Glob(filepath.Join(dir, ".new-*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestConfigureRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	tests := []struct {
		name   string
		config map[string]any
		says   []string
	}{
		{"everything at once", nil, []string{`role: ""`, "spec: name the cluster's file", "images: name the folder", "results: name the folder"}},
		{"no folder", map[string]any{"spec": spec, "role": "postgres", "images": file, "results": "x"}, []string{"is no folder"}},
		{"an unknown option", map[string]any{"colour": 1}, []string{"colour"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := new(PostProcessor).Configure(tt.config)
			for _, says := range tt.says {
				if err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("got %v, want it to say %q", err, says)
				}
			}
		})
	}
}

func TestDestroy(t *testing.T) {
	p, catalogue, _ := configured(t, nil)
	out, _, _, err := p.PostProcess(t.Context(), packersdk.TestUi(t), &made{builder: builderEBS, id: "eu-west-1:ami-0a1b"})
	must(t, err)
	must(t, out.Destroy())
	if all, err := catalogue.List(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("still there: %+v, %v", all, err)
	}
}
