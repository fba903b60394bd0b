package foundation

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/cincbake/cincbake/launch/iam"
)

// template is a CloudFormation template. A text with a placeholder, like ${Key.Arn}, stands for what it names.
type template struct {
	description                   string
	parameters, resources, output fields
}

// fields are a mapping in its order. A value is a text, a number, a bool, a list ([]any), fields, or a call.
type fields []field

type field struct {
	name  string
	value any
}

// inline are fields that are written on one line.
type inline fields

// call is one of CloudFormation's functions, like !Select.
type call struct {
	function string
	value    any
}

func (t *template) parameter(name string, f fields) {
	t.parameters = append(t.parameters, field{name, f})
}

// resource adds a resource. Attributes are those beside its properties, like DeletionPolicy.
func (t *template) resource(name, kind string, properties any, attributes ...field) {
	t.resources = append(t.resources, field{name, append(append(fields{{"Type", kind}}, attributes...), field{"Properties", properties})})
}

// tell adds an output; key is what it is in the spec.
func (t *template) tell(name, key string, value any) {
	t.output = append(t.output, field{name, inline{{"Description", key}, {"Value", value}}})
}

// kept are the attributes of what outlives its stack, and its own replacement.
func kept(policy string) []field {
	return []field{{"DeletionPolicy", policy}, {"UpdateReplacePolicy", policy}}
}

func (t *template) yaml() ([]byte, error) {
	root := fields{{"AWSTemplateFormatVersion", "2010-09-09"}, {"Description", t.description}}
	for _, section := range []field{{"Parameters", t.parameters}, {"Resources", t.resources}, {"Outputs", t.output}} {
		if len(section.value.(fields)) > 0 {
			root = append(root, section)
		}
	}
	node, err := nodeOf(root)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		return nil, err
	}
	return text.Bytes(), encoder.Close()
}

func nodeOf(value any) (*yaml.Node, error) {
	switch v := value.(type) {
	case string:
		return textNode(v), nil
	case fields:
		node := &yaml.Node{Kind: yaml.MappingNode}
		for _, f := range v {
			child, err := nodeOf(f.value)
			if err != nil {
				return nil, err
			}
			name := &yaml.Node{}
			name.SetString(f.name)
			node.Content = append(node.Content, name, child)
		}
		return node, nil
	case inline:
		node, err := nodeOf(fields(v))
		if err == nil {
			node.Style = yaml.FlowStyle
		}
		return node, err
	case []any:
		node := &yaml.Node{Kind: yaml.SequenceNode}
		if !slices.ContainsFunc(v, func(one any) bool { _, ok := one.(string); return !ok }) {
			node.Style = yaml.FlowStyle // names: on a line
		}
		for _, one := range v {
			child, err := nodeOf(one)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, child)
		}
		return node, nil
	case call:
		node, err := nodeOf(v.value)
		if err != nil {
			return nil, err
		}
		if node.Tag != "" && !strings.HasPrefix(node.Tag, "!!") { // YAML has one tag for each value
			return nil, fmt.Errorf("%s of %s cannot be written", v.function, node.Tag)
		}
		node.Tag = "!" + v.function
		node.Style |= yaml.TaggedStyle
		return node, nil
	case int, bool:
		node := &yaml.Node{}
		return node, node.Encode(v)
	}
	return nil, fmt.Errorf("%T is no part of a template", value)
}

// textNode is a text, or what its placeholders stand for. IAM's own variables are marked as no placeholders.
func textNode(text string) *yaml.Node {
	node := &yaml.Node{}
	node.SetString(text)
	found := iam.PlaceholdersIn(text)
	if len(found) == 0 {
		return node
	}
	node.Style = yaml.TaggedStyle
	name := strings.Trim(found[0], "${}")
	switch {
	case found[0] != text:
		node.Tag, node.Value = "!Sub", escapeVariables(text)
	case strings.Contains(name, "."):
		node.Tag, node.Value = "!GetAtt", name
	default:
		node.Tag, node.Value = "!Ref", name
	}
	return node
}

// escapeVariables marks what begins like a placeholder and is none.
func escapeVariables(text string) string {
	var b strings.Builder
	for text != "" {
		at := strings.Index(text, "${")
		if at < 0 {
			break
		}
		b.WriteString(text[:at])
		if found := iam.PlaceholdersIn(text[at:]); len(found) > 0 && strings.HasPrefix(text[at:], found[0]) {
			b.WriteString("${")
		} else {
			b.WriteString("${!")
		}
		text = text[at+len("${"):]
	}
	return b.String() + text
}

// list is a list of texts as a value.
func list(texts []string) []any {
	values := make([]any, len(texts))
	for i, text := range texts {
		values[i] = text
	}
	return values
}

// policy is a policy as a value.
func policy(d iam.Document) fields {
	var statements []any
	for _, s := range d.Statement {
		f := fields{{"Sid", s.Sid}, {"Effect", s.Effect}}
		if s.Principal != nil {
			var who fields
			if len(s.Principal.Service) > 0 {
				who = append(who, field{"Service", list(s.Principal.Service)})
			}
			if len(s.Principal.Federated) > 0 {
				who = append(who, field{"Federated", list(s.Principal.Federated)})
			}
			f = append(f, field{"Principal", who})
		}
		f = append(f, field{"Action", list(s.Action)})
		if len(s.Resource) > 0 {
			f = append(f, field{"Resource", list(s.Resource)})
		}
		if len(s.Condition) > 0 {
			f = append(f, field{"Condition", conditionFields(s.Condition)})
		}
		statements = append(statements, inline(f))
	}
	return fields{{"Version", d.Version}, {"Statement", statements}}
}

func conditionFields(c iam.Condition) inline {
	var operators fields
	for _, operator := range slices.Sorted(maps.Keys(c)) {
		var keys fields
		for _, key := range slices.Sorted(maps.Keys(c[operator])) {
			keys = append(keys, field{key, list(c[operator][key])})
		}
		operators = append(operators, field{operator, keys})
	}
	return inline(operators)
}
