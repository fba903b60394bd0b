package recipe

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/plugin/bake"
)

const examples = "../../../examples/"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func configured(t *testing.T, spec, role string) *Datasource {
	t.Helper()
	d := new(Datasource)
	must(t, d.Configure(map[string]any{"spec": examples + spec + "/cluster.yaml", "role": role}))
	return d
}

func TestDescribe(t *testing.T) {
	got, err := describe(configured(t, "self-hosted-onprem", "postgres").config.job)
	must(t, err)
	digest := got.RecipeDigest
	if !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(digest) {
		t.Errorf("digest %q", digest)
	}
	want := Output{
		Name: "cincbake-prod-postgres", OS: "debian-13", Arch: "amd64", Platform: "onprem", PostgresVersion: "13", RecipeDigest: digest,
		Tags: map[string]string{
			"Name": "cincbake-prod-postgres", "cincbake:cluster": "prod", "cincbake:role": "postgres", "cincbake:recipe": digest,
			"cincbake:os": "debian-13", "cincbake:postgres": "13",
		},
		SourceAMIOwner: "136693071363", SourceAMIName: "debian-13-amd64-*", InstanceType: buildType, VolumeGB: 10,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDescribeOnAWS(t *testing.T) {
	got, err := describe(configured(t, "self-hosted-aws", "heartbeat").config.job)
	must(t, err)
	if got.Region != "eu-west-1" || got.InstanceType != "t3.small" || got.Platform != "aws" || got.PostgresVersion != "" {
		t.Errorf("%+v", got)
	}
}

// What Packer sees has every field, under the name that templates use.
func TestExecute(t *testing.T) {
	value, err := configured(t, "self-hosted-onprem", "postgres").Execute()
	must(t, err)
	fields := value.AsValueMap()
	for name, want := range map[string]string{"name": "cincbake-prod-postgres", "source_ami_owner": "136693071363", "region": ""} {
		if got := fields[name]; got.IsNull() || got.AsString() != want {
			t.Errorf("%s is %#v, want %q", name, got, want)
		}
	}
	if got := fields["tags"].AsValueMap()["cincbake:role"]; got.AsString() != "postgres" {
		t.Errorf("tags are %#v", fields["tags"])
	}
	if got, _ := fields["volume_gb"].AsBigFloat().Int64(); got != 10 {
		t.Errorf("volume_gb is %#v", fields["volume_gb"])
	}
}

// An error comes with a value that the SDK can send: on one without a type it crashes.
func TestExecuteFails(t *testing.T) {
	d := configured(t, "self-hosted-onprem", "postgres")
	d.config.job.Recipe.OS = "plan9"
	if value, err := d.Execute(); err == nil || value == cty.NilVal {
		t.Errorf("got %#v, %v", value, err)
	}
	// A template is in order before the official packages are looked up; what it asks for is not known yet.
	if _, err := configured(t, "self-hosted-onprem", "api").Execute(); err == nil || !strings.Contains(err.Error(), "cincbake lock") {
		t.Errorf("got %v", err)
	}
}

// Every system and processor that images are baked from has a row, every role a size.
func TestTablesAreWhole(t *testing.T) {
	system, err := cluster.OSFor("")
	must(t, err)
	for _, arch := range system.Arches {
		if row, err := sourceOf(system.Name, arch); err != nil || !strings.HasPrefix(row.name, system.Name+"-"+arch) {
			t.Errorf("%+v, %v", row, err)
		}
	}
	if _, err := sourceOf("plan9", "amd64"); err == nil || !strings.Contains(err.Error(), "plan9") {
		t.Errorf("got %v", err)
	}
	for _, role := range cluster.Roles() {
		if volume(role) < 8 {
			t.Errorf("%s has %d GiB", role, volume(role))
		}
	}
}

// The longest name that a spec may give, and every role, keep within what EC2 accepts.
func TestTagsKeepToEC2sLimits(t *testing.T) {
	allowed := regexp.MustCompile(`^[\p{L}\p{N} _.:/=+@-]*$`)
	for _, role := range cluster.Roles() {
		recipe := cluster.Recipe{
			Format: 1, Role: role, Platform: cluster.AWS, OS: "debian-13", Arch: "amd64", PostgresVersion: 13,
			Package: cluster.RecipePackage{Version: "15.10.91", Digest: "sha256:" + strings.Repeat("a", 64)},
		}
		out, err := describe(bake.Job{Cluster: &cluster.Resolved{Name: strings.Repeat("n", 63), Region: "eu-west-1"}, Recipe: recipe})
		must(t, err)
		if len(out.Name) > 128 {
			t.Errorf("an AMI cannot be called %s", out.Name)
		}
		for key, value := range out.Tags {
			if len(key) > 128 || len(value) > 256 || value == "" || !allowed.MatchString(key+value) || strings.HasPrefix(key, "aws:") {
				t.Errorf("EC2 does not take the tag %s=%s", key, value)
			}
		}
	}
}

func TestConfigureRefuses(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "cluster.yaml")
	must(t, os.WriteFile(broken, []byte("apiVersion: cincbake/v1\nkind: Cluster\ncolour: red\n"), 0o600))
	tests := []struct {
		name   string
		config map[string]any
		says   []string
	}{
		{"everything at once", nil, []string{`role: ""`, "spec: name the cluster's file"}},
		{"a broken file", map[string]any{"spec": broken, "role": "lb"}, []string{"cluster.yaml:3:1", "colour"}},
		{"no such machines", map[string]any{"spec": examples + "self-hosted-onprem/cluster.yaml", "role": "standalone"}, []string{"has no standalone machines"}},
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
