package cluster

import "reflect"

// key is a place in a spec that a key of its types has.
type key struct {
	path  string
	field reflect.StructField
	value reflect.Value
}

// walk calls visit for every key of the spec's types, those that are absent among them, in their order. Below a key it
// goes on where visit says so, into mappings and lists that are there.
func (s *Spec) walk(visit func(key) (deeper bool)) {
	walkMapping("", reflect.ValueOf(*s), visit)
}

func walkMapping(path string, mapping reflect.Value, visit func(key) bool) {
	for i := range mapping.NumField() {
		field := mapping.Type().Field(i)
		name := field.Tag.Get("yaml")
		if name == "" {
			continue
		}
		k := key{join(path, name), field, mapping.Field(i)}
		if visit(k) {
			walkValue(k.path, k.value, visit)
		}
	}
}

func walkValue(path string, value reflect.Value, visit func(key) bool) {
	switch {
	case value.Kind() == reflect.Pointer && !value.IsNil():
		walkValue(path, value.Elem(), visit)
	case isMapping(value.Type()):
		walkMapping(path, value, visit)
	case value.Kind() == reflect.Slice && isMapping(value.Type().Elem()):
		for i := range value.Len() {
			walkMapping(index(path, i), value.Index(i), visit)
		}
	}
}

// isMapping tells whether a type is a mapping with keys of its own.
func isMapping(t reflect.Type) bool { return t.Kind() == reflect.Struct && len(keys(t)) > 0 }
