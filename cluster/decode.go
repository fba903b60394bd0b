package cluster

import (
	"encoding"
	"fmt"
	"iter"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// decoder fills a Spec from YAML nodes. It reports every mistake and goes on, and notes where each value stands.
type decoder struct {
	spec     *Spec
	broken   map[string]bool // paths with a problem: their values are unknown, not absent
	problems Problems
}

// shorthand is a mapping that may also be written as the one value that short points to.
type shorthand interface{ short() any }

var (
	_ shorthand = (*NodeSpec)(nil)
	_ shorthand = (*LBSpec)(nil)
	_ shorthand = (*AddressList)(nil)
)

func (d *decoder) report(rule, path string, at position, message, remedy string) {
	d.problems = append(d.problems, Problem{d.spec.file, at.line, at.column, path, rule, message, remedy})
}

// refuse reports a value that its key does not take, and marks it, so that no rule says something about it again.
func (d *decoder) refuse(path, message, remedy string) {
	d.broken[path] = true
	d.report(ruleValueType, path, d.spec.position(path), message, remedy)
}

// value decodes node into target, which is at path.
func (d *decoder) value(node *yaml.Node, path string, target reflect.Value) {
	if !d.spec.written(path) {
		d.spec.positions[path] = position{node.Line, node.Column}
	}
	switch {
	case node.Kind == yaml.AliasNode: // already refused
		d.broken[path] = true
		return
	case looksSecret(node.Value):
		d.broken[path] = true
		d.secret(path, d.spec.position(path))
		return
	case empty(node):
		d.refuse(path, "there is no value", "write "+expected(target))
		return
	}
	if target.Kind() == reflect.Pointer {
		target.Set(reflect.New(target.Type().Elem()))
		target = target.Elem()
	}
	if short, ok := target.Addr().Interface().(shorthand); ok && node.Kind == yaml.ScalarNode {
		target = reflect.ValueOf(short.short()).Elem()
	}
	text, isText := target.Addr().Interface().(encoding.TextUnmarshaler)
	switch kind := target.Kind(); {
	case target.Type() == reflect.TypeFor[Settings]() && node.Kind == yaml.MappingNode:
		target.Set(reflect.ValueOf(d.settings(node, path)))
	case isText && node.Kind == yaml.ScalarNode:
		if text.UnmarshalText([]byte(node.Value)) != nil { // its error repeats the value, however long
			d.wrongType(node, path, target)
		}
	case kind == reflect.String && node.Tag == "!!str":
		target.SetString(node.Value)
	case kind == reflect.Bool && node.Tag == "!!bool":
		target.SetBool(strings.EqualFold(node.Value, "true"))
	case kind == reflect.Int && node.Tag == "!!int":
		number, err := strconv.Atoi(node.Value)
		if err != nil || strconv.Itoa(number) != node.Value { // YAML's may be octal, hexadecimal, signed or hold underscores
			d.wrongType(node, path, target)
			return
		}
		target.SetInt(int64(number))
	case kind == reflect.Slice && node.Kind == yaml.SequenceNode:
		target.Set(reflect.MakeSlice(target.Type(), len(node.Content), len(node.Content)))
		for i, item := range node.Content {
			d.value(item, index(path, i), target.Index(i))
		}
	case kind == reflect.Struct && !isText && node.Kind == yaml.MappingNode:
		d.mapping(node, path, target)
	default:
		d.wrongType(node, path, target)
	}
}

// empty tells whether a node stands for nothing.
func empty(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && (node.Value == "" || node.Tag == "!!null")
}

// mapping decodes the keys of node into the fields of target.
func (d *decoder) mapping(node *yaml.Node, path string, target reflect.Value) {
	fields := map[string]reflect.StructField{}
	for _, field := range reflect.VisibleFields(target.Type()) {
		if key := field.Tag.Get("yaml"); key != "" {
			fields[key] = field
		}
	}
	known := func(key *yaml.Node) bool {
		_, ok := fields[key.Value]
		if !ok {
			d.unknownKey(key, path, target.Type())
		}
		return ok
	}
	for key, value := range d.pairs(node, path, known) {
		field, keyPath := fields[key.Value], join(path, key.Value)
		if _, required := field.Tag.Lookup("required"); empty(value) && !required {
			d.refuse(keyPath, "there is no value", "write "+expected(target.FieldByIndex(field.Index))+", or remove the key")
			continue
		}
		d.value(value, keyPath, target.FieldByIndex(field.Index))
	}
}

// pairs yields the keys of a mapping that are plain words, known and not given twice, with their values, and reports the
// others. It notes where a value begins that is no single word.
func (d *decoder) pairs(node *yaml.Node, path string, known func(key *yaml.Node) bool) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(key, value *yaml.Node) bool) {
		seen := map[string]int{} // key to line
		for i := 0; i < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			at := position{key.Line, key.Column}
			if key.Tag == "!!merge" || key.Kind == yaml.AliasNode { // already refused
				continue
			}
			if key.Kind != yaml.ScalarNode {
				d.report(ruleKnownKey, path, at, "a key is "+found(key), "a key is a plain word")
				continue
			}
			if !known(key) {
				continue
			}
			keyPath := join(path, key.Value)
			if line, twice := seen[key.Value]; twice {
				d.report(ruleUniqueKey, keyPath, at, fmt.Sprintf("the key stands in line %d already", line), "remove one of the two")
				continue
			}
			seen[key.Value] = key.Line
			if value.Kind != yaml.ScalarNode || empty(value) { // begins in a later line, or nowhere: the key is easier to find
				d.spec.positions[keyPath] = at
			}
			if !yield(key, value) {
				return
			}
		}
	}
}

// unknownKey reports a key that the mapping at path does not have, and names the one that was probably meant.
func (d *decoder) unknownKey(key *yaml.Node, path string, mapping reflect.Type) {
	at := position{key.Line, key.Column}
	shown := key.Value
	if !madeOf(shown, letters+upperCase+digits+"_-") || shown == "" || len(shown) > longestShown || looksSecret(shown) {
		shown = "(" + show(shown) + ")" // no path of ours, like the dotted "network.prefix"
	}
	keyPath := join(path, shown)
	var meant, remedy string
	if elsewhere := d.misplaced(key.Value); elsewhere != "" {
		meant = elsewhere
		remedy = fmt.Sprintf("did you mean %s? check the indentation", meant)
	} else if sibling := nearest(key.Value, keys(mapping)); sibling != "" {
		meant = join(path, sibling)
		remedy = fmt.Sprintf("did you mean %s?", meant)
	} else {
		remedy = "known here: " + strings.Join(keys(mapping), ", ")
	}
	if meant != "" {
		d.broken[meant] = true // given, if misspelt or misplaced: not to be reported as missing too
	}
	d.report(ruleKnownKey, keyPath, at, "there is no such key", remedy)
}

// wrongType reports a node that target cannot take.
func (d *decoder) wrongType(node *yaml.Node, path string, target reflect.Value) {
	scalar := node.Kind == yaml.ScalarNode
	var remedy string
	switch kind := target.Kind(); {
	case target.Type() == reflect.TypeFor[netip.Addr]():
		remedy = "write one like 10.20.0.31"
	case target.Type() == reflect.TypeFor[netip.Prefix]():
		remedy = "write one like 10.20.0.0/24"
	case target.Type() == reflect.TypeFor[AddressRange](), target.Type() == reflect.TypeFor[AddressList]():
		remedy = "write one like 10.20.0.20 or 10.20.0.20-10.20.0.29"
	case target.Type() == reflect.TypeFor[time.Time]():
		remedy = "write one like 2026-11-26T08:00:00Z"
	case target.Type() == reflect.TypeFor[Settings]():
		remedy = "write groups of cinc-server.rb, like opscode_erchef: {depsolver_timeout: 10000}"
	case target.Type() == reflect.TypeFor[LBSpec]():
		remedy = "write {vip: 10.20.0.10, nodes: [10.20.0.11, 10.20.0.12]}, or nlb on AWS"
	case target.Type() == reflect.TypeFor[LBKind]():
		remedy = "write nlb, or the keys: vip, nodes"
	case kind == reflect.Bool:
		remedy = "write true or false, without quotes"
	case kind == reflect.Struct:
		remedy = "write the keys: " + strings.Join(keys(target.Type()), ", ")
	case kind == reflect.Slice && scalar:
		remedy = "put it in brackets"
	case kind == reflect.Slice:
		remedy = "write it like [a, b]"
	case kind == reflect.Int:
		remedy = "write plain digits, without quotes"
	case scalar:
		remedy = "put it in quotes"
	default:
		remedy = "write a single value"
	}
	d.refuse(path, "expected "+expected(target)+", found "+found(node), remedy)
}

// expected says in words what a field takes.
func expected(target reflect.Value) string {
	switch target.Interface().(type) {
	case NodeSpec:
		return "an address or a mapping"
	case netip.Addr:
		return "an address"
	case netip.Prefix:
		return "a network"
	case AddressRange:
		return "an address or a range"
	case AddressList:
		return "addresses and ranges"
	case time.Time:
		return "a point in time"
	case LBSpec:
		return "a mapping or nlb"
	}
	switch target.Kind() {
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "a mapping"
	case reflect.Pointer:
		return expected(reflect.New(target.Type().Elem()).Elem())
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	default:
		return "text"
	}
}

// found says in words what a node holds.
func found(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch node.Tag {
	case "!!int", "!!float":
		return "the number " + strings.Trim(show(node.Value), `"`)
	case "!!bool":
		return "true or false"
	case "!!timestamp":
		return "the date " + strings.Trim(show(node.Value), `"`)
	default:
		return show(node.Value)
	}
}
