package images

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func sampleRecord(role cluster.Role, digits string) Record {
	recipe := cluster.Recipe{Format: cluster.RecipeFormat, Role: role, Platform: cluster.OnPrem, OS: "debian-13", Arch: "amd64"}
	if role == cluster.RolePostgres {
		recipe.PostgresVersion = 13
	}
	return Record{
		Format:         RecordFormat,
		Role:           role,
		Recipe:         recipe,
		RecipeDigest:   recipe.Digest(),
		ContentDigest:  "sha256:" + digits + strings.Repeat("0", 64-len(digits)),
		Packages:       []Package{{Name: "etcd-server", Version: "3.5.16-4", Arch: "amd64"}},
		AgentVersion:   "0.1.0",
		DocumentFormat: 1,
		Created:        time.Date(2025, 11, 26, 1, 2, 3, 0, time.UTC),
		Verified:       true,
		Artefacts:      []Artefact{{Kind: KindRootfs, File: fileNames[KindRootfs], SHA256: strings.Repeat("a", 64), Bytes: 7}},
		Phases:         []cluster.Phase{{Name: "export", Seconds: 3.5}},
	}
}

func TestRecordRoundTrip(t *testing.T) {
	record := sampleRecord(cluster.RolePostgres, "1")
	text, err := record.Encode()
	must(t, err)
	again, err := Decode(text)
	must(t, err)
	if diff := cmp.Diff(record, again); diff != "" {
		t.Error(diff)
	}
}

func TestRecordRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Record)
		says   string
	}{
		{"a role that is not the recipe's", func(r *Record) { r.Role = cluster.RoleHeartbeat }, `role is "heartbeat"`},
		{"an unknown role", func(r *Record) { r.Role, r.Recipe.Role = "cook", "cook" }, "unknown role"},
		{"a recipe of another format", func(r *Record) { r.Recipe.Format = 9 }, "recipe has format 9"},
		{"a recipe without a system", func(r *Record) { r.Recipe.OS = "" }, `os ""`},
		{"another recipe's digest", func(r *Record) { r.RecipeDigest = r.ContentDigest }, "recipe digest"},
		{"a short content digest", func(r *Record) { r.ContentDigest = "sha256:12" }, "content digest"},
		{"no packages", func(r *Record) { r.Packages = nil }, "no packages"},
		{"a package without a version", func(r *Record) { r.Packages[0].Version = "" }, `package "etcd-server"`},
		{"no agent", func(r *Record) { r.AgentVersion = "" }, "which agent"},
		{"no document format", func(r *Record) { r.DocumentFormat = 0 }, "document format"},
		{"no time", func(r *Record) { r.Created = time.Time{} }, "when it was made"},
		{"no artefact", func(r *Record) { r.Artefacts = nil }, "no artefact"},
		{"a file elsewhere", func(r *Record) { r.Artefacts[0].File = "../image" }, `file "../image"`},
		{"a file that is the record", func(r *Record) { r.Artefacts[0].File = recordName }, "record.json"},
		{"an unknown kind", func(r *Record) { r.Artefacts[0].Kind = "vhd" }, "artefact vhd"},
		{"two of a kind", func(r *Record) { r.Artefacts = append(r.Artefacts, r.Artefacts[0]) }, "two artefacts rootfs"},
		{"half a checksum", func(r *Record) { r.Artefacts[0].SHA256 = "ab" }, `sha256 "ab"`},
		{"an empty image", func(r *Record) { r.Artefacts[0].Bytes = 0 }, "bytes is 0"},
		{"an image of a cloud without a region", func(r *Record) { r.Artefacts[0] = Artefact{Kind: KindAMI, ID: "ami-1"} }, "is not one of a cloud"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			record := sampleRecord(cluster.RolePostgres, "1")
			tt.change(&record)
			_, err := record.Encode()
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want it to say %q", err, tt.says)
			}
		})
	}
}

func TestDecodeIsStrict(t *testing.T) {
	text, err := sampleRecord(cluster.RoleHeartbeat, "1").Encode()
	must(t, err)
	good := string(text)
	tests := []struct{ name, text, says string }{
		{"nothing", "", "unexpected end"},
		{"an unknown field", strings.Replace(good, `"role"`, `"colour": 1, "role"`, 1), "colour"},
		{"text behind it", good + "{}", "after top-level value"},
		{"a wrong type", strings.Replace(good, `"bytes": 7`, `"bytes": "7"`, 1), "bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Decode([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want it to say %q", err, tt.says)
			}
		})
	}
	if _, err := Decode([]byte(`{"format": 2, "new": true}`)); !errors.Is(err, ErrFormat) {
		t.Errorf("another format: got %v, want ErrFormat", err)
	}
}

func TestDecodeReport(t *testing.T) {
	recipe := sampleRecord(cluster.RoleHeartbeat, "1").Recipe
	digest := "sha256:" + strings.Repeat("0", 64)
	good := `{"recipe": {"format": 1, "role": "heartbeat", "platform": "onprem", "os": "debian-13", "arch": "amd64"},
		"contentDigest": "` + digest + `", "packages": [], "agentVersion": "0.1.0", "documentFormat": 1, "phases": []}`
	report, err := DecodeReport([]byte(good))
	must(t, err)
	if report.Recipe != recipe || report.ContentDigest != digest {
		t.Errorf("got %+v", report)
	}
	for _, bad := range []string{"", "{}", strings.Replace(good, digest, "sha256:0", 1), strings.Replace(good, "packages", "boxes", 1)} {
		if _, err := DecodeReport([]byte(bad)); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}

func FuzzDecode(f *testing.F) {
	text, err := sampleRecord(cluster.RolePostgres, "1").Encode()
	must(f, err)
	f.Add(text)
	f.Add([]byte(`{"format": 1}`))
	f.Add([]byte(`{"format": 1, "file": "..", "contentDigest": "sha256:"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		record, err := Decode(text)
		if err != nil {
			return
		}
		again, err := record.Encode()
		if err != nil {
			t.Fatalf("decoded, but does not encode: %v", err)
		}
		same, err := Decode(again)
		if err != nil {
			t.Fatalf("encoded, but does not decode: %v", err)
		}
		if diff := cmp.Diff(record, same); diff != "" {
			t.Fatal(diff)
		}
	})
}
