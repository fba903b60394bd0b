package cluster

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"time"
)

// SchemaURL is where editors get the schema that is in the header of every spec that "cincbake init" writes.
const SchemaURL = "https://raw.githubusercontent.com/cincbake/cincbake/main/cluster/cluster.schema.json"

// schema is a JSON Schema, as much of it as a spec needs.
type schema struct {
	Dialect     string             `json:"$schema,omitempty"`
	ID          string             `json:"$id,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        string             `json:"type,omitempty"`
	Const       any                `json:"const,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	Format      string             `json:"format,omitempty"`
	Minimum     *int               `json:"minimum,omitempty"`
	AnyOf       []*schema          `json:"anyOf,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Patterns    map[string]*schema `json:"patternProperties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	// Additional is false for mappings that take no other keys; nil where that makes no sense.
	Additional *bool `json:"additionalProperties,omitempty"`
}

// Schema returns the JSON Schema of a spec, made from its types and Fields. It is what an editor can check while somebody
// writes; the rules over more than one value are Load's.
func Schema() ([]byte, error) {
	s := schemaOf(reflect.TypeFor[Spec](), "")
	s.Dialect, s.ID, s.Title = "https://json-schema.org/draft/2020-12/schema", SchemaURL, "cincbake cluster"
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}

const (
	addressPattern = `^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+`
	wordPattern    = `^[a-z_][a-z0-9_]*$`
)

// schemaOf returns the schema of a type at a path.
func schemaOf(t reflect.Type, path string) *schema {
	t = plain(t)
	switch t {
	case reflect.TypeFor[netip.Addr]():
		return &schema{Type: "string", Pattern: addressPattern + "$"}
	case reflect.TypeFor[netip.Prefix]():
		return &schema{Type: "string", Pattern: addressPattern + "/[0-9]+$"}
	case reflect.TypeFor[AddressList]():
		one := &schema{Type: "string", Pattern: addressPattern + `(-[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+)?$`}
		return &schema{AnyOf: []*schema{one, {Type: "array", Items: one}}}
	case reflect.TypeFor[Literal]():
		return &schema{AnyOf: []*schema{{Type: "string"}, {Type: "number"}}}
	case reflect.TypeFor[time.Time]():
		return &schema{Type: "string", Format: "date-time"}
	case reflect.TypeFor[Settings]():
		return settingsSchema()
	case reflect.TypeFor[NodeSpec]():
		return &schema{AnyOf: []*schema{schemaOf(reflect.TypeFor[netip.Addr](), path), mappingSchema(t, path)}}
	case reflect.TypeFor[LBSpec]():
		return &schema{AnyOf: []*schema{{Const: LBNLB}, mappingSchema(t, path)}}
	}
	switch t.Kind() {
	case reflect.Struct:
		return mappingSchema(t, path)
	case reflect.Slice:
		return &schema{Type: "array", Items: schemaOf(t.Elem(), path)}
	case reflect.Int:
		least := 0
		return &schema{Type: "integer", Minimum: &least}
	case reflect.Bool:
		return &schema{Type: "boolean"}
	default:
		return &schema{Type: "string", Enum: words(path)}
	}
}

// words lists what the text at a path may be, where that is a few words.
func words(path string) []string {
	switch path {
	case "apiVersion":
		return []string{APIVersion}
	case "kind":
		return []string{Kind}
	case "platform":
		return []string{string(OnPrem), string(AWS)}
	case "image.os":
		return osNames()
	case "postgres.external.tls":
		return []string{tlsRequire, tlsDisable}
	}
	return nil
}

func mappingSchema(t reflect.Type, path string) *schema {
	no := false
	s := &schema{Type: "object", Properties: map[string]*schema{}, Additional: &no}
	for i := range t.NumField() {
		field := t.Field(i)
		key := field.Tag.Get("yaml")
		if key == "" {
			continue
		}
		at := join(path, key)
		property := schemaOf(field.Type, at)
		if known, ok := FieldOf(at); ok {
			property.Description = known.Doc + " A change: " + string(known.Effect) + "."
		}
		s.Properties[key] = property
		if field.Tag.Get("required") != "" && field.Tag.Get("only") == "" {
			s.Required = append(s.Required, key)
		}
	}
	return s
}

// settingsSchema is of groups of settings, and of settings beside them.
func settingsSchema() *schema {
	no := false
	scalar := []*schema{{Type: "string"}, {Type: "integer"}, {Type: "boolean"}}
	values := append([]*schema{{Type: "array", Items: &schema{AnyOf: scalar}}}, scalar...)
	group := &schema{Type: "object", Patterns: map[string]*schema{wordPattern: {AnyOf: values}}, Additional: &no}
	return &schema{Type: "object", Patterns: map[string]*schema{wordPattern: {AnyOf: append([]*schema{group}, values...)}}, Additional: &no}
}
