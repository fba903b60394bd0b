package docs

import (
	"reflect"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
)

// keysSection is every key of the spec, a table for each key of the file's first level; keys without any below them share one.
func keysSection(string) (string, error) {
	type group struct{ tops, rows []cluster.Field }
	var groups []*group
	fields := cluster.Fields()
	for i, field := range fields {
		top, _, nested := strings.Cut(field.Path, ".")
		last := len(groups) - 1
		leaf := !nested && (i+1 == len(fields) || !strings.HasPrefix(fields[i+1].Path, top+"."))
		switch {
		case nested:
		case leaf && last >= 0 && len(groups[last].tops) == len(groups[last].rows):
			groups[last].tops = append(groups[last].tops, field)
		default:
			groups = append(groups, &group{tops: []cluster.Field{field}})
		}
		last = len(groups) - 1
		groups[last].rows = append(groups[last].rows, field)
	}
	var b strings.Builder
	for _, g := range groups {
		var names []string
		for _, top := range g.tops {
			names = append(names, top.Path)
		}
		b.WriteString("### " + strings.Join(backquoted(names), ", ") + "\n\n")
		t := newTable("key", "meaning", "a change")
		for _, field := range g.rows {
			t.add(code(field.Path), field.Doc, change(field.Mark))
		}
		b.WriteString(t.String() + "\n")
	}
	return b.String(), nil
}

// machineSection is what one machine takes where the spec lists machines.
func machineSection(string) (string, error) {
	t := newTable("key", "meaning", "a change")
	for _, key := range keysOf(reflect.TypeFor[cluster.NodeSpec](), "") {
		var (
			doc     string
			changes []string
			where   = map[string][]string{}
		)
		for _, list := range []string{"lb.nodes", "opensearch.nodes", "postgres.nodes", "heartbeat"} {
			field, _ := cluster.FieldOf(list + "." + key)
			doc = field.Doc
			text := change(field.Mark)
			if len(where[text]) == 0 {
				changes = append(changes, text)
			}
			where[text] = append(where[text], list)
		}
		if len(changes) > 1 {
			for i, text := range changes {
				changes[i] = "in " + strings.Join(backquoted(where[text]), " and ") + ": " + text
			}
		}
		t.add(code(key), doc, strings.Join(changes, "<br>"))
	}
	return t.String(), nil
}

func change(m cluster.Mark) string {
	text := "**" + string(m.Effect) + "**: " + m.Reason
	if m.Way != "" {
		text += ". Instead: " + m.Way
	}
	return text
}

func backquoted(words []string) []string {
	quoted := slices.Clone(words)
	for i := range quoted {
		quoted[i] = code(quoted[i])
	}
	return quoted
}

// keysOf lists the keys that a mapping takes, with those below them, in the order of its type. It goes by the types alone,
// which the loader reads. A machine in a list, which may be a plain address, is one key.
func keysOf(mapping reflect.Type, path string) []string {
	var found []string
	for i := range mapping.NumField() {
		field := mapping.Field(i)
		key, inner := field.Tag.Get("yaml"), field.Type
		if key == "" {
			continue
		}
		found = append(found, path+key)
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner.PkgPath() == mapping.PkgPath() && inner != reflect.TypeFor[cluster.NodeSpec]() {
			found = append(found, keysOf(inner, path+key+".")...)
		}
	}
	return found
}
