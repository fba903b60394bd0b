// Package docs keeps the documentation true: what it says about the code is compared with the code.
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

// TestSpecReferenceNamesEveryKey holds the first table of docs/spec.md against the types that the loader reads.
func TestSpecReferenceNamesEveryKey(t *testing.T) {
	text, err := os.ReadFile("../../docs/spec.md")
	if err != nil {
		t.Fatal(err)
	}
	reference, _, _ := strings.Cut(string(text), "\n## ")
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-zA-Z.]+)` \\| [^|]+ \\| [^|]+ \\|$").FindAllStringSubmatch(reference, -1) {
		documented = append(documented, row[1])
	}
	if diff := cmp.Diff(keys(reflect.TypeFor[cluster.Spec](), ""), documented); diff != "" {
		t.Errorf("keys of the spec (-code +docs/spec.md):\n%s", diff)
	}
}

// keys lists the keys that a mapping takes, in the order of its type. A machine, which may be a plain address, is one key.
func keys(mapping reflect.Type, path string) []string {
	var found []string
	for i := range mapping.NumField() {
		field := mapping.Field(i)
		key := field.Tag.Get("yaml")
		nested := field.Type.Kind() == reflect.Struct && field.Type.PkgPath() == mapping.PkgPath()
		switch {
		case key == "":
		case nested && field.Type != reflect.TypeFor[cluster.NodeSpec]():
			found = append(found, keys(field.Type, path+key+".")...)
		default:
			found = append(found, path+key)
		}
	}
	return found
}
