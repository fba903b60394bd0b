package cluster

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"github.com/cincbake/cincbake/internal/golden"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(SchemaURL, document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile(SchemaURL)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// TestSchemaFile keeps the file that editors fetch the same as what the types say.
func TestSchemaFile(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "cluster.schema.json", string(text))
}

// TestSchemaTakesWhatLoadTakes: an editor must not mark what is right.
func TestSchemaTakesWhatLoadTakes(t *testing.T) {
	compiled := compileSchema(t)
	files, err := filepath.Glob("../examples/*/cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	specs := map[string]string{"everything": everything, "everything on AWS": everythingOnAWS}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		specs[file] = string(text)
		if header := "# yaml-language-server: $schema=" + SchemaURL + "\n"; !strings.Contains(file, "/lab/") && !strings.HasPrefix(string(text), header) {
			t.Errorf("%s does not begin with the line that tells editors the schema", file)
		}
	}
	for name, text := range specs {
		var value any
		const moment = "2026-11-26T08:00:00Z" // editors keep it as text
		if err := yaml.Unmarshal([]byte(strings.ReplaceAll(text, moment, `"`+moment+`"`)), &value); err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSchemaMarksWhatLoadRefuses, as far as one value tells.
func TestSchemaMarksWhatLoadRefuses(t *testing.T) {
	compiled := compileSchema(t)
	for _, name := range []string{
		"known-key-misspelt", "known-key-in-node", "required", "required-in-mappings", "value-type-scalars", "api-version", "kind",
		"platform-supported-other", "os-supported-other", "lb-platform-word", "lb-required", "address-range-form", "setting-type", "tls-half", "external-postgres",
	} {
		text, err := os.ReadFile("testdata/broken/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if yaml.Unmarshal(text, &value) != nil { // a key given twice
			continue
		}
		var invalid *jsonschema.ValidationError
		if err := compiled.Validate(value); !errors.As(err, &invalid) {
			t.Errorf("%s: the schema takes it", name)
		}
	}
}
