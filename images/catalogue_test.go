package images

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
)

func open(t *testing.T) *Catalogue {
	t.Helper()
	c, err := Open(filepath.Join(t.TempDir(), "images"))
	must(t, err)
	return c
}

// writer streams content as the tree of files, and then tells the record.
func writer(content string, record Record) func(*Draft) (Record, error) {
	return as(KindRootfs, content, record)
}

func as(kind Kind, content string, record Record) func(*Draft) (Record, error) {
	return func(draft *Draft) (Record, error) {
		return record, draft.Stream(kind, func(w io.Writer) error {
			_, err := io.WriteString(w, content)
			return err
		})
	}
}

// content reads an image's file.
func content(t *testing.T, e Entry, kind Kind) string {
	t.Helper()
	file, _, err := e.File(kind)
	must(t, err)
	text, err := os.ReadFile(file)
	must(t, err)
	return string(text)
}

// intact tells whether every file of an image is what its record says.
func intact(e Entry) error {
	for _, a := range e.Record.Artefacts {
		if err := e.Check(a); err != nil {
			return err
		}
	}
	return e.Err
}

func ids(entries []Entry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, e.ID)
	}
	return out
}

func TestCatalogueListsNewestFirst(t *testing.T) {
	c := open(t)
	if entries, err := c.List(t.Context()); err != nil || len(entries) != 0 {
		t.Fatalf("a catalogue that is not there yet: %v, %v", entries, err)
	}
	old, newer := sampleRecord(cluster.RolePostgres, "1"), sampleRecord(cluster.RoleHeartbeat, "2")
	newer.Created = old.Created.Add(time.Hour)
	for _, r := range []Record{old, newer} {
		e, err := c.Add(t.Context(), writer("image of "+string(r.Role), r))
		must(t, err)
		if got := content(t, e, KindRootfs); got != "image of "+string(r.Role) || e.Record.Artefacts[0].Bytes != int64(len(got)) {
			t.Errorf("%s holds %q, its record says %d bytes", e.ID, got, e.Record.Artefacts[0].Bytes)
		}
		if err := intact(e); err != nil {
			t.Error(err)
		}
	}
	entries, err := c.List(t.Context())
	must(t, err)
	if diff := cmp.Diff([]string{"heartbeat/200000000000", "postgres/100000000000"}, ids(entries)); diff != "" {
		t.Error(diff)
	}
}

func TestCatalogueReportsBrokenImages(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string)
		says  string
	}{
		{"no record", func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, recordName))) }, "no record"},
		{"no image", func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, fileNames[KindRootfs]))) }, "no image"},
		{"half an image", func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, fileNames[KindRootfs]), 1)) }, "its record says"},
		{"another place", func(t *testing.T, dir string) {
			must(t, os.Rename(dir, filepath.Join(filepath.Dir(dir), "ffffffffffff")))
		}, "its record is of postgres/100000000000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := open(t)
			broken, err := c.Add(t.Context(), writer("image", sampleRecord(cluster.RolePostgres, "1")))
			must(t, err)
			_, err = c.Add(t.Context(), writer("image", sampleRecord(cluster.RolePostgres, "2")))
			must(t, err)
			tt.spoil(t, broken.Dir)
			entries, err := c.List(t.Context())
			must(t, err)
			if len(entries) != 2 || entries[0].Err != nil || entries[1].Err == nil || !strings.Contains(entries[1].Err.Error(), tt.says) {
				t.Errorf("got %+v, want the broken one last, saying %q", entries, tt.says)
			}
			found, err := c.Find(t.Context(), cluster.RolePostgres, broken.Record.RecipeDigest)
			if err != nil || found.ID != "postgres/200000000000" {
				t.Errorf("found %s, %v", found.ID, err)
			}
		})
	}
}

func TestCatalogueFinds(t *testing.T) {
	c := open(t)
	old, newer, unverified := sampleRecord(cluster.RolePostgres, "1"), sampleRecord(cluster.RolePostgres, "2"), sampleRecord(cluster.RolePostgres, "3")
	newer.Created = old.Created.Add(time.Hour)
	unverified.Created, unverified.Verified = old.Created.Add(2*time.Hour), false
	for _, r := range []Record{newer, unverified, old} {
		_, err := c.Add(t.Context(), writer("image", r))
		must(t, err)
	}
	e, err := c.Find(t.Context(), cluster.RolePostgres, old.RecipeDigest)
	if err != nil || e.ID != "postgres/200000000000" {
		t.Errorf("found %s, %v; want the newest verified one", e.ID, err)
	}
	if _, err := c.Find(t.Context(), cluster.RoleHeartbeat, old.RecipeDigest); !errors.Is(err, ErrNotFound) {
		t.Errorf("another role: %v, want ErrNotFound", err)
	}
	if _, err := c.Find(t.Context(), cluster.RolePostgres, "sha256:0"); !errors.Is(err, ErrNotFound) {
		t.Errorf("another recipe: %v, want ErrNotFound", err)
	}
}

func TestCatalogueShows(t *testing.T) {
	c := open(t)
	for _, r := range []Record{sampleRecord(cluster.RolePostgres, "12"), sampleRecord(cluster.RoleHeartbeat, "13")} {
		_, err := c.Add(t.Context(), writer("image", r))
		must(t, err)
	}
	for name, want := range map[string]string{
		"12":                    "postgres/120000000000",
		"heartbeat/1":           "heartbeat/130000000000",
		"postgres/120000000000": "postgres/120000000000",
		"sha256:13" + zeros(62): "heartbeat/130000000000",
	} {
		if e, err := c.Show(t.Context(), name); err != nil || e.ID != want {
			t.Errorf("%q is %s, %v; want %s", name, e.ID, err, want)
		}
	}
	if _, err := c.Show(t.Context(), "1"); err == nil || !strings.Contains(err.Error(), "postgres/120000000000") {
		t.Errorf("two are meant: %v, want both named", err)
	}
	for _, name := range []string{"", "f", "post"} {
		if _, err := c.Show(t.Context(), name); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v, want ErrNotFound", name, err)
		}
	}
}

func zeros(n int) string { return strings.Repeat("0", n) }

func TestAddingTheSameContentAgain(t *testing.T) {
	c := open(t)
	record := sampleRecord(cluster.RolePostgres, "1")
	_, err := c.Add(t.Context(), writer("first", record))
	must(t, err)

	later := record
	later.Created, later.AgentVersion = record.Created.Add(time.Hour), "0.2.0"
	e, err := c.Add(t.Context(), writer("second", later))
	must(t, err)
	if e.Record.AgentVersion != "0.2.0" || intact(e) != nil {
		t.Errorf("got the record of %s, image %v: want the newest record beside its image", e.Record.AgentVersion, intact(e))
	}
	if e, err = c.Add(t.Context(), writer("third", record)); err != nil || e.Record.AgentVersion != "0.2.0" {
		t.Errorf("an older record took the newer one's place: %v, %v", e.Record.AgentVersion, err)
	}

	must(t, os.WriteFile(filepath.Join(e.Dir, fileNames[KindRootfs]), []byte("fIrst"), 0o644)) // as long as before, but damaged
	e, err = c.Add(t.Context(), writer("fourth", later))
	must(t, err)
	if got := content(t, e, KindRootfs); got != "fourth" {
		t.Errorf("a damaged image was kept: %q", got)
	}
	onlyImages(t, c)
}

// An image gets another form without losing the one that it has, nor that it booted.
func TestAddingAnotherForm(t *testing.T) {
	c := open(t)
	record := sampleRecord(cluster.RolePostgres, "1")
	e, err := c.Add(t.Context(), writer("tree", record))
	must(t, err)
	_, err = c.SetBooted(t.Context(), e, record.Created)
	must(t, err)
	later := record
	later.Created = record.Created.Add(time.Hour)
	e, err = c.Add(t.Context(), as(KindQCOW2, "disk", later))
	must(t, err)
	if tree, disk := content(t, e, KindRootfs), content(t, e, KindQCOW2); tree != "tree" || disk != "disk" || intact(e) != nil {
		t.Errorf("the image holds %q and %q, %v", tree, disk, intact(e))
	}
	if e.Record.Booted.IsZero() || !e.Record.Created.Equal(later.Created) {
		t.Errorf("booted %v, created %v", e.Record.Booted, e.Record.Created)
	}
	for _, ami := range []string{"ami-1", "ami-2"} {
		e, err = c.Add(t.Context(), func(draft *Draft) (Record, error) {
			draft.InCloud(Artefact{Kind: KindAMI, Region: "eu-central-1", ID: ami})
			return later, nil
		})
		must(t, err)
	}
	if a, ok := e.Record.Artefact(KindAMI); !ok || a.ID != "ami-2" || len(e.Record.Artefacts) != 3 {
		t.Errorf("artefacts: %+v, want the newest AMI beside both files", e.Record.Artefacts)
	}
	onlyImages(t, c)
}

func TestManifestOfAnImage(t *testing.T) {
	c := open(t)
	lines := []string{`"/" dir 0755 0:0`, `"/etc" dir 0755 0:0`}
	record := sampleRecord(cluster.RolePostgres, "1")
	record.ContentDigest = DigestOf(lines)
	e, err := c.Add(t.Context(), func(draft *Draft) (Record, error) {
		return record, errors.Join(draft.Stream(KindRootfs, func(w io.Writer) error { _, err := io.WriteString(w, "tree"); return err }),
			draft.Manifest(lines), draft.SBOM([]byte("{}")))
	})
	must(t, err)
	got, err := e.Manifest()
	must(t, err)
	if diff := cmp.Diff(lines, got); diff != "" {
		t.Error(diff)
	}
	draft := &Draft{dir: e.Dir}
	must(t, draft.Manifest(lines[:1]))
	if _, err := e.Manifest(); err == nil || !strings.Contains(err.Error(), "content") {
		t.Errorf("another image's manifest was read: %v", err)
	}
	must(t, os.Remove(filepath.Join(e.Dir, manifestName)))
	if _, err := e.Manifest(); !errors.Is(err, ErrNotFound) {
		t.Errorf("no manifest: %v, want ErrNotFound", err)
	}
}

func TestCollidingDigests(t *testing.T) {
	c := open(t)
	record := sampleRecord(cluster.RolePostgres, "1")
	_, err := c.Add(t.Context(), writer("first", record))
	must(t, err)
	record.ContentDigest = record.ContentDigest[:len(record.ContentDigest)-1] + "f"
	if _, err := c.Add(t.Context(), writer("second", record)); err == nil || !strings.Contains(err.Error(), "the same") {
		t.Errorf("two contents in one place: %v", err)
	}
}

func TestAddLeavesNothingBehind(t *testing.T) {
	c := open(t)
	boom := errors.New("disk on fire")
	_, err := c.Add(t.Context(), func(draft *Draft) (Record, error) {
		must(t, draft.Stream(KindRootfs, func(w io.Writer) error { _, err := io.WriteString(w, "half an im"); return err }))
		if entries, err := c.List(t.Context()); err != nil || len(entries) != 0 {
			t.Errorf("what is being written is listed: %v, %v", ids(entries), err)
		}
		return Record{}, boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("got %v, want the writer's error", err)
	}
	incomplete := sampleRecord(cluster.RolePostgres, "1")
	incomplete.Packages = nil
	if _, err := c.Add(t.Context(), writer("image", incomplete)); err == nil {
		t.Error("a record that does not hold together was published")
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = c.Add(ctx, func(draft *Draft) (Record, error) {
		cancel()
		return writer("image", sampleRecord(cluster.RolePostgres, "1"))(draft)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while writing: %v", err)
	}
	onlyImages(t, c)
	if entries, _ := c.List(t.Context()); len(entries) != 0 {
		t.Errorf("published: %v", ids(entries))
	}
}

func TestAddCleansWhatAKilledBakeLeft(t *testing.T) {
	c := open(t)
	must(t, os.MkdirAll(filepath.Join(c.dir, draftPrefix+"killed"), 0o755))
	must(t, os.WriteFile(filepath.Join(c.dir, draftPrefix+"killed", fileNames[KindRootfs]), []byte("half"), 0o644))
	_, err := c.Add(t.Context(), func(draft *Draft) (Record, error) {
		// A bake of another role that starts and ends meanwhile must leave this one's folder alone.
		_, err := c.Add(t.Context(), writer("other", sampleRecord(cluster.RoleHeartbeat, "2")))
		must(t, err)
		return writer("image", sampleRecord(cluster.RolePostgres, "1"))(draft)
	})
	must(t, err)
	onlyImages(t, c)
}

func TestConcurrentBakes(t *testing.T) {
	c := open(t)
	var bakes sync.WaitGroup
	for n := range 24 {
		bakes.Go(func() {
			record := sampleRecord(cluster.Roles()[n%2], string("0123456789ab"[n/4]))
			record.Created = record.Created.Add(time.Duration(n) * time.Second)
			if _, err := c.Add(t.Context(), writer("same", record)); err != nil {
				t.Error(err)
			}
		})
	}
	bakes.Wait()
	entries, err := c.List(t.Context())
	must(t, err)
	if len(entries) != 12 {
		t.Errorf("%d images, want 12: %v", len(entries), ids(entries))
	}
	for _, e := range entries {
		if err := intact(e); err != nil {
			t.Errorf("%s: %v", e.ID, err)
		}
	}
	onlyImages(t, c)
}

// onlyImages fails when anything but whole images is in the catalogue.
func onlyImages(t *testing.T, c *Catalogue) {
	t.Helper()
	must(t, filepath.WalkDir(c.dir, func(name string, _ os.DirEntry, err error) error {
		base := filepath.Base(name)
		if strings.HasPrefix(base, ".") && base != ".lock" {
			t.Errorf("left behind: %s", name)
		}
		return err
	}))
}
