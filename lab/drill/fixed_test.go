package drill

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The fixed report's sums are those that its strikes make.
func TestSummary(t *testing.T) {
	text, err := os.ReadFile("testdata/" + FileJSON)
	if err != nil {
		t.Fatal(err)
	}
	var o Outcome
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	o.summarise()
	var b bytes.Buffer
	if err := o.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), b.String()); diff != "" {
		t.Error(diff)
	}
	want := Totals{Strikes: 4, Skipped: 1, Failed: 1, Operations: o.Totals.Operations, Acknowledged: o.Totals.Acknowledged, Lost: 3}
	if diff := cmp.Diff(want, o.Totals); diff != "" {
		t.Error(diff)
	}
	first := o.Kinds[0]
	if first.Name != "power-off of the primary" || first.Runs != 2 || first.Failed != 1 {
		t.Errorf("%+v", first)
	}
	if diff := cmp.Diff(Spread{Median: (12.63 + 10.2) / 2, Min: 10.2, Max: 12.63}, first.Traffic[0].Gap); diff != "" {
		t.Error(diff)
	}
	if o.OK() {
		t.Error("a report with lost writes is fine")
	}
}
