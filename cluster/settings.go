package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Settings are lines of cinc-server.rb: group, key, value (string, int, bool, or a []any of those). The group "" holds the
// top-level settings, which stand in the spec beside the groups.
type Settings map[string]map[string]any

// UnmarshalJSON reads whole numbers as the int that they were.
func (s *Settings) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var settings map[string]map[string]any
	if err := decoder.Decode(&settings); err != nil {
		return err
	}
	for group := range settings {
		for key, value := range settings[group] {
			value, err := settingFromJSON(value)
			if err != nil {
				return fmt.Errorf("setting %s.%s: %w", group, key, err)
			}
			settings[group][key] = value
		}
	}
	*s = settings
	return nil
}

func settingFromJSON(value any) (any, error) {
	switch v := value.(type) {
	case string, bool:
		return v, nil
	case json.Number:
		number, err := v.Int64()
		return int(number), err
	case []any:
		for i := range v {
			item, err := settingFromJSON(v[i])
			if _, nested := item.([]any); err != nil || nested {
				return nil, fmt.Errorf("a list of %T", v[i])
			}
			v[i] = item
		}
		return v, nil
	}
	return nil, fmt.Errorf("a value of type %T", value)
}

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
	list, whole := []any{}, true
	for i, item := range node.Content {
		value := d.settingScalar(item, index(path, i))
		list, whole = append(list, value), whole && value != nil
	}
	if !whole {
		return nil
	}
	return list
}

// settingScalar decodes one scalar. What it refuses it does not repeat: people put passwords here.
func (d *decoder) settingScalar(node *yaml.Node, path string) any {
	var target reflect.Value
	number, err := strconv.Atoi(node.Value)
	digits := err == nil && strconv.Itoa(number) == node.Value
	switch {
	case node.Tag == "!!int" && digits:
		target = reflect.New(reflect.TypeFor[int]()).Elem()
	case node.Tag == "!!bool":
		target = reflect.New(reflect.TypeFor[bool]()).Elem()
	case node.Tag == "!!str", empty(node), node.Kind == yaml.AliasNode:
		target = reflect.New(reflect.TypeFor[string]()).Elem()
	default:
		d.spec.positions[path] = position{node.Line, node.Column}
		d.refuse(path, "this is no value of a setting", "write text, a whole number, true or false, or a list of those; quotes make text of anything")
		return nil
	}
	d.value(node, path, target)
	if d.broken[path] {
		return nil
	}
	return target.Interface()
}
