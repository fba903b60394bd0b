// Package schema checks seeds against cloud-init's own JSON schemas, so that a mistake shows where a seed is made and not
// on a machine that ignores half of it in silence. It is a package of its own to keep the validator out of the boot agent.
package schema

import (
	"bytes"
	_ "embed" // the schemas
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"gopkg.in/yaml.v3"

	"github.com/cincbake/cincbake/cloudinit"
)

// Version is the cloud-init that the schemas come from, Debian 13's.
const Version = "25.1.4"

//go:embed cloud-init-25.1.4/schema-cloud-config-v1.json
var cloudConfigText []byte

//go:embed cloud-init-25.1.4/schema-network-config-v2.json
var networkConfigText []byte

// Compiling takes some 30 ms and depends on nothing but the embedded text: once is enough.
var (
	cloudConfig = sync.OnceValues(func() (*jsonschema.Schema, error) { return compile("cloud-config", cloudConfigText, "") })
	// The schema's top also allows everything to be wrapped in "network", as we never do.
	networkConfig = sync.OnceValues(func() (*jsonschema.Schema, error) {
		return compile("network-config", networkConfigText, "#/$defs/network_config_version2")
	})
)

func compile(name string, text []byte, part string) (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s schema: %w", name, err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(name, document); err != nil {
		return nil, fmt.Errorf("%s schema: %w", name, err)
	}
	return compiler.Compile(name + part)
}

// Check tells whether cloud-init accepts the seed's user-data and network-config. Its error has a line per problem, in
// the order of the files, like "user-data:7:5: /users/0/shell: …".
func Check(seed cloudinit.Seed) error {
	return errors.Join(CheckUserData(seed.UserData), join(check("network-config", seed.NetworkConfig, networkConfig)))
}

// CheckUserData tells whether cloud-init accepts a cloud-config. Its error is like Check's.
func CheckUserData(text []byte) error {
	problems, err := check("user-data", text, cloudConfig)
	if !bytes.HasPrefix(text, []byte("#cloud-config\n")) {
		problems = append([]problem{{"user-data", 1, 1, "", "the first line must be #cloud-config"}}, problems...)
	}
	return join(problems, err)
}

func join(problems []problem, err error) error {
	all := []error{err}
	for _, p := range problems {
		all = append(all, p)
	}
	return errors.Join(all...)
}

type problem struct {
	file         string
	line, column int
	path         string // JSON pointer
	text         string
}

func (p problem) Error() string {
	place := fmt.Sprintf("%s:%d:%d: ", p.file, p.line, p.column)
	if p.path != "" {
		place += p.path + ": "
	}
	return place + p.text
}

func check(file string, text []byte, compiled func() (*jsonschema.Schema, error)) ([]problem, error) {
	schema, err := compiled()
	if err != nil {
		return nil, err
	}
	var root yaml.Node
	if err := yaml.Unmarshal(withoutBlocks(text), &root); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var value any
	if err := root.Decode(&value); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	hideContent(value)
	var invalid *jsonschema.ValidationError
	switch err := schema.Validate(value); {
	case err == nil:
		return nil, nil
	case !errors.As(err, &invalid):
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return collect(file, &root, invalid), nil
}

// withoutBlocks empties every literal block and keeps its lines, so that positions stay: the schemas ask of the files' contents
// only that they are texts, and parsing them would be most of the work.
func withoutBlocks(text []byte) []byte {
	short := make([]byte, 0, len(text)/4)
	inside, indent := false, 0
	for line := range bytes.Lines(text) {
		own := len(line) - len(bytes.TrimLeft(line, " "))
		if inside && (own > indent || len(line) == own+1) {
			short = append(short, '\n')
			continue
		}
		inside, indent = bytes.HasSuffix(line, []byte(": |\n")), own
		short = append(short, line...)
	}
	return short
}

// hideContent takes the files' contents, secrets among them, out of reach of any message. The schema asks of them only
// that they are strings.
func hideContent(value any) {
	top, _ := value.(map[string]any)
	files, _ := top["write_files"].([]any)
	for _, entry := range files {
		if file, ok := entry.(map[string]any); ok {
			if _, isText := file["content"].(string); isText {
				file["content"] = ""
			}
		}
	}
}

// collect turns the validator's tree into problems with positions, in source order. Where a value fits none of several
// alternatives the tree has a leaf for each; they become one problem.
func collect(file string, root *yaml.Node, invalid *jsonschema.ValidationError) []problem {
	printer := message.NewPrinter(language.English)
	var found []problem
	add := func(location []string, node *yaml.Node, text string) {
		path := pointer(location)
		for i := range found {
			if found[i].path == path {
				if !slices.Contains(strings.Split(found[i].text, ", or "), text) {
					found[i].text += ", or " + text
				}
				return
			}
		}
		found = append(found, problem{file, node.Line, node.Column, path, text})
	}
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		unknown, isUnknown := e.ErrorKind.(*kind.AdditionalProperties)
		switch {
		case isUnknown:
			for _, name := range unknown.Properties {
				location := append(slices.Clone(e.InstanceLocation), name)
				key, _ := find(root, location)
				add(location, key, "cloud-init knows no such key")
			}
		case len(e.Causes) == 0:
			_, node := find(root, e.InstanceLocation)
			add(e.InstanceLocation, node, e.ErrorKind.LocalizedString(printer))
		}
		for _, cause := range e.Causes {
			walk(cause)
		}
	}
	walk(invalid)
	slices.SortStableFunc(found, func(a, b problem) int {
		if a.line != b.line {
			return a.line - b.line
		}
		return a.column - b.column
	})
	return found
}

// find returns the key and the value at a location; in a list, both are the item.
func find(root *yaml.Node, location []string) (key, value *yaml.Node) {
	key, value = root, root
	if root.Kind == yaml.DocumentNode {
		key, value = root.Content[0], root.Content[0]
	}
	for _, token := range location {
		switch value.Kind {
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(token); err == nil && i < len(value.Content) {
				key, value = value.Content[i], value.Content[i]
			}
		case yaml.MappingNode:
			for i := 0; i+1 < len(value.Content); i += 2 {
				if value.Content[i].Value == token {
					key, value = value.Content[i], value.Content[i+1]
					break
				}
			}
		}
	}
	return key, value
}

func pointer(location []string) string {
	var b strings.Builder
	for _, token := range location {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(token))
	}
	return b.String()
}
