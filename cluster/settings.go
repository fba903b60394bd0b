package cluster

import (
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"
)

// settings decodes the user's lines of cinc-server.rb: scalars at the top and in groups, and lists of scalars.
func (d *decoder) settings(node *yaml.Node, path string) Settings {
	settings := Settings{}
	set := func(group, key string, value any) {
		if value == nil { // reported already
			return
		}
		if settings[group] == nil {
			settings[group] = map[string]any{}
		}
		settings[group][key] = value
	}
	for key, value := range d.pairs(node, path, d.isWord(path)) {
		group, groupPath := key.Value, join(path, key.Value)
		if value.Kind != yaml.MappingNode {
			set("", group, d.setting(value, groupPath))
			continue
		}
		for key, value := range d.pairs(value, groupPath, d.isWord(groupPath)) {
			set(group, key.Value, d.setting(value, join(groupPath, key.Value)))
		}
	}
	return settings
}

// isWord returns a test for keys that Ruby takes as names.
func (d *decoder) isWord(path string) func(*yaml.Node) bool {
	return func(key *yaml.Node) bool {
		word := key.Value
		ok := word != "" && len(word) <= longestShown && madeOf(word, letters+digits+"_") && !strings.Contains(digits, word[:1])
		if !ok {
			d.report(ruleKnownKey, path, position{key.Line, key.Column}, show(word)+" is no name of a setting", "use lower-case letters, digits and underscores, as cinc-server.rb does")
		}
		return ok
	}
}

// setting decodes one value: text, a whole number, true or false, or a list of those. Nil: it was reported.
func (d *decoder) setting(node *yaml.Node, path string) any {
	if node.Kind != yaml.SequenceNode {
		return d.settingScalar(node, path)
	}
	list := []any{}
	for i, item := range node.Content {
		if value := d.settingScalar(item, index(path, i)); value != nil {
			list = append(list, value)
		}
	}
	return list
}

func (d *decoder) settingScalar(node *yaml.Node, path string) any {
	var target reflect.Value
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag == "!!int":
		target = reflect.New(reflect.TypeFor[int]()).Elem()
	case node.Kind == yaml.ScalarNode && node.Tag == "!!bool":
		target = reflect.New(reflect.TypeFor[bool]()).Elem()
	default:
		target = reflect.New(reflect.TypeFor[string]()).Elem()
	}
	d.value(node, path, target)
	if d.broken[path] {
		return nil
	}
	return target.Interface()
}
