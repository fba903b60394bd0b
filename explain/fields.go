package explain

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
)

// field is a value of the spec that differs between two files. A side that does not have it is empty.
type field struct {
	path          string
	before, after string
}

// fields compares two specs by their types, so that a value which is only written another way is no difference.
func fields(before, after *cluster.Spec) []field {
	var found []field
	compare("", reflect.ValueOf(before), reflect.ValueOf(after), &found)
	return found
}

// compare walks both values. One of them is invalid where its side has nothing: an optional tier, or an item of a list, which
// is then one difference as a whole.
func compare(path string, a, b reflect.Value, found *[]field) {
	section := a.IsValid() && b.IsValid() && a.Kind() == reflect.Struct
	a, b = settled(a), settled(b)
	if !a.IsValid() && !b.IsValid() {
		return
	}
	kind := a
	if !a.IsValid() {
		kind = b
	}
	switch {
	case isLeaf(kind):
		if before, after := show(a), show(b); before != after {
			*found = append(*found, field{path, before, after})
		}
	case kind.Kind() == reflect.Struct && !section && a.IsValid() != b.IsValid():
		*found = append(*found, field{path, show(a), show(b)})
	case kind.Kind() == reflect.Struct:
		a, b = orZero(a, kind.Type()), orZero(b, kind.Type())
		for i := range kind.NumField() {
			if name := key(kind.Type().Field(i)); name != "" {
				compare(under(path, name), a.Field(i), b.Field(i), found)
			}
		}
	case kind.Kind() == reflect.Slice:
		for i := range max(length(a), length(b)) {
			compare(fmt.Sprintf("%s[%d]", path, i), item(a, i), item(b, i), found)
		}
	case kind.Kind() == reflect.Map:
		var keys []string
		for _, v := range []reflect.Value{a, b} {
			if v.IsValid() {
				for _, name := range v.MapKeys() {
					keys = append(keys, name.String())
				}
			}
		}
		slices.Sort(keys)
		for _, name := range slices.Compact(keys) {
			compare(under(path, name), entry(a, name), entry(b, name), found)
		}
	}
}

// settled follows pointers and interfaces; nothing, a nil and a zero value are all "not written".
func settled(v reflect.Value) reflect.Value {
	for v.IsValid() && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) {
		if v.IsNil() {
			return reflect.Value{}
		}
		v = v.Elem()
	}
	if !v.IsValid() || v.IsZero() {
		return reflect.Value{}
	}
	return v
}

// key is a field's name in the file; empty for one that is not there.
func key(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return strings.TrimPrefix(name, "-")
}

func orZero(v reflect.Value, t reflect.Type) reflect.Value {
	if v.IsValid() {
		return v
	}
	return reflect.Zero(t)
}

func isLeaf(v reflect.Value) bool {
	if _, ok := v.Interface().(encoding.TextMarshaler); ok {
		return true
	}
	switch v.Kind() {
	case reflect.Struct, reflect.Map:
		return false
	case reflect.Slice:
		return isScalar(v.Type().Elem())
	}
	return true
}

func isScalar(t reflect.Type) bool {
	return t.Kind() == reflect.Interface || t.Kind() == reflect.String || t.Kind() == reflect.Int || t.Kind() == reflect.Bool
}

func length(v reflect.Value) int {
	if !v.IsValid() {
		return 0
	}
	return v.Len()
}

func item(v reflect.Value, i int) reflect.Value {
	if i >= length(v) {
		return reflect.Value{}
	}
	return v.Index(i)
}

func entry(v reflect.Value, name string) reflect.Value {
	if !v.IsValid() {
		return v
	}
	return v.MapIndex(reflect.ValueOf(name).Convert(v.Type().Key()))
}

// show is a value in one line, as YAML's flow style has it.
func show(v reflect.Value) string {
	v = settled(v)
	if !v.IsValid() {
		return ""
	}
	if text, ok := v.Interface().(encoding.TextMarshaler); ok {
		if said, err := text.MarshalText(); err == nil {
			return string(said)
		}
	}
	var parts []string
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			name, said := key(v.Type().Field(i)), show(v.Field(i))
			if name != "" && said != "" {
				parts = append(parts, name+": "+said)
			}
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case reflect.Slice:
		for i := range v.Len() {
			parts = append(parts, show(v.Index(i)))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Map:
		for _, name := range v.MapKeys() {
			parts = append(parts, name.String()+": "+show(v.MapIndex(name)))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v.Interface())
}

func under(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
