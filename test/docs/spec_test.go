package docs

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
)

// TestSpecReferenceNamesEveryKey holds the reference of docs/spec.md against the types that the loader reads, which the table
// that it is made from does not look at.
func TestSpecReferenceNamesEveryKey(t *testing.T) {
	page, err := os.ReadFile("../../docs/spec.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "made by make generate: keys -->")
	reference, _, _ := strings.Cut(rest, "<!-- end: keys -->")
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-zA-Z0-9.]+)` \\| .+ \\| .+ \\|$").FindAllStringSubmatch(reference, -1) {
		documented = append(documented, row[1])
	}
	if diff := cmp.Diff(keysOf(reflect.TypeFor[cluster.Spec](), ""), documented); diff != "" {
		t.Errorf("keys of the spec (-code +docs/spec.md):\n%s", diff)
	}
}
