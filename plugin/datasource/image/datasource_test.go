package image

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images"
	"github.com/cincbake/cincbake/plugin/bake"
)

const spec = "../../../examples/self-hosted-onprem/cluster.yaml"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// added puts an image of the example's postgres machines into a catalogue.
func added(t *testing.T, dir, digit string, at time.Time) images.Entry {
	t.Helper()
	job, err := bake.Load(spec, "postgres", false)
	must(t, err)
	catalogue, err := images.Open(dir)
	must(t, err)
	entry, err := catalogue.Add(t.Context(), func(d *images.Draft) (images.Record, error) {
		record := images.Report{
			Recipe: job.Recipe, ContentDigest: "sha256:" + strings.Repeat(digit, 64), AgentVersion: "0.1.0", DocumentFormat: 1,
			Packages: []images.Package{{Name: "patroni", Version: "4.0.4-1", Arch: "all"}, {Name: "libc6", Version: "2.41-12", Arch: "amd64"}, {Name: "libc6", Version: "2.41-11", Arch: "i386"}},
		}.Record()
		record.Created, record.Booted = at, at
		d.InCloud(images.Artefact{Kind: images.KindAMI, Region: "eu-west-1", ID: "ami-0" + digit})
		return record, d.Stream(images.KindQCOW2, func(w io.Writer) error {
			_, err := io.WriteString(w, "disk")
			return err
		})
	})
	must(t, err)
	return entry
}

func configured(t *testing.T, more map[string]any) *Datasource {
	t.Helper()
	d := new(Datasource)
	must(t, d.Configure(map[string]any{"role": "postgres"}, more))
	return d
}

func TestExecute(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC)
	added(t, dir, "a", now.Add(-time.Hour))
	newest := added(t, dir, "b", now)
	d := configured(t, map[string]any{"images": dir, "spec": spec})
	entry, err := d.find(t.Context())
	must(t, err)
	want := Output{
		ID: newest.ID, Role: "postgres", ContentDigest: "sha256:" + strings.Repeat("b", 64), RecipeDigest: newest.Record.RecipeDigest,
		Created: "2026-11-26T09:30:00Z", QCOW2: filepath.Join(newest.Dir, "image.qcow2"), QCOW2SHA256: newest.Record.Artefacts[1].SHA256,
		AMIs:     map[string]string{"eu-west-1": "ami-0b"},
		Versions: map[string]string{"patroni": "4.0.4-1", "libc6": "2.41-12", "libc6:i386": "2.41-11"},
	}
	if diff := cmp.Diff(want, describe(entry)); diff != "" {
		t.Error(diff)
	}
	value, err := d.Execute()
	must(t, err)
	fields := value.AsValueMap()
	if fields["id"].AsString() != newest.ID || fields["rootfs"].AsString() != "" || fields["versions"].AsValueMap()["patroni"].AsString() != "4.0.4-1" {
		t.Errorf("Packer sees %#v", value)
	}
}

// A channel points to an image that need not be the newest.
func TestExecuteByChannel(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC)
	old := added(t, dir, "a", now.Add(-time.Hour))
	added(t, dir, "b", now)
	catalogue, err := images.Open(dir)
	must(t, err)
	_, err = catalogue.Promote(t.Context(), old.ID, "stable", false)
	must(t, err)
	entry, err := configured(t, map[string]any{"images": dir, "channel": "stable"}).find(t.Context())
	must(t, err)
	if diff := cmp.Diff(old.ID, entry.ID); diff != "" {
		t.Error(diff)
	}
	if _, err := configured(t, map[string]any{"images": dir, "channel": "testing"}).Execute(); err == nil || !strings.Contains(err.Error(), "testing") {
		t.Errorf("an empty channel: %v", err)
	}
}

func TestExecuteFindsNone(t *testing.T) {
	value, err := configured(t, map[string]any{"images": filepath.Join(t.TempDir(), "none"), "spec": spec}).Execute()
	if value == cty.NilVal {
		t.Error("the SDK crashes on a value without a type")
	}
	if !errors.Is(err, images.ErrNotFound) || !strings.Contains(err.Error(), "cincbake bake postgres") {
		t.Errorf("got %v", err)
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
		{"everything at once", nil, []string{"channel or spec", `role: ""`, "images: name the folder"}},
		{"both", map[string]any{"channel": "stable", "spec": spec, "role": "postgres"}, []string{"give one of them"}},
		{"no folder", map[string]any{"images": file, "channel": "stable", "role": string(cluster.RoleLB)}, []string{"is no folder"}},
		{"a missing file", map[string]any{"spec": "none.yaml", "role": "postgres"}, []string{"none.yaml"}},
		{"an unknown option", map[string]any{"colour": 1}, []string{"colour"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := new(Datasource).Configure(tt.config)
			for _, says := range tt.says {
				if err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("got %v, want it to say %q", err, says)
				}
			}
		})
	}
}
