package drill_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/internal/golden"
	"github.com/cincbake/cincbake/lab/drill"
)

// outcome reads the fixed report of the tests.
func outcome(t *testing.T) drill.Outcome {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", drill.FileJSON))
	if err != nil {
		t.Fatal(err)
	}
	var o drill.Outcome
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&o); err != nil {
		t.Fatal(err)
	}
	return o
}

// A report is the same in all its forms, and each is golden. The JSON is read and written again, so it says everything.
func TestReportGolden(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "report")
	o := outcome(t)
	for range 2 { // over itself, too
		if err := o.Save(folder); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 3 {
		t.Fatalf("the folder holds %v: %v", entries, err)
	}
	for _, name := range []string{drill.FileJSON, drill.FileText, drill.FileHTML} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		golden.Compare(t, "testdata/"+name, string(text))
	}
}

func TestReportTextIsNarrow(t *testing.T) {
	o := outcome(t)
	o.Kinds[0].Name = strings.Repeat("a long name ", 9)
	o.Strikes[1].Problems = append(o.Strikes[1].Problems, strings.Repeat("x", 250))
	for k := range o.Kinds {
		for i := range o.Kinds[k].Traffic {
			o.Kinds[k].Traffic[i].Gap = drill.Spread{Median: 111.1, Min: 11.1, Max: 222.2}
		}
	}
	var b bytes.Buffer
	if err := o.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 100 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// The page reaches for nothing, runs nothing, and shows as text what it is given.
func TestReportPageStandsAlone(t *testing.T) {
	o := outcome(t)
	o.Strikes[1].Problems = []string{`</style><script>alert(1)</script><img src=x onerror=alert(2)>`}
	var b bytes.Buffer
	if err := o.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, reach := range []string{"<script", "<img", "url(", "@import", "http:", "https:"} {
		if strings.Contains(page, reach) {
			t.Errorf("the page holds %s", reach)
		}
	}
	if handler := regexp.MustCompile(`<[^>]* (on[a-z]+|src|href|style)=`).FindString(page); handler != "" {
		t.Errorf("the page has an attribute that reaches or runs: %s", handler)
	}
	if !strings.Contains(page, "&lt;script&gt;") {
		t.Error("the problem is not on the page")
	}
}

func TestSummaryOfAStrike(t *testing.T) {
	var got []string
	for _, s := range outcome(t).Strikes[1:3] {
		got = append(got, s.Summary())
	}
	want := []string{
		"power-off of the primary (postgres-2): SQL write 10.2 s, Chef write 11.4 s, Chef read 11.1 s, whole after 28.8 s; SQL write: 3 of 6624 acknowledged writes are lost",
		"power-off of the VIP's holder (lb-1): SQL write 0.0 s, Chef write 0.6 s, Chef read 0.6 s, whole after 15.2 s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
