// Package docs makes the pages of the plugin that lie in .web-docs, where the registry of Packer's integrations reads them:
// from the text of this folder, and from the options that the components really have.
package docs

//go:generate go run ./generate

import (
	"bytes"
	"embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"reflect"
	"strings"
	"text/template"
)

// Component is a component of the plugin.
type Component struct {
	Kind string // as the registry calls it
	Slug string // as the plugin registers it
	Name string
	// File is the file that declares what a template says about it, as Config, and what it answers, as Output; from the
	// plugin's folder.
	File string
}

// Components are all of the plugin's components.
func Components() []Component {
	return []Component{
		{"builder", "rootfs", "cincbake-rootfs", "rootfs/config.go"},
		{"provisioner", "role", "cincbake-role", "provision/config.go"},
		{"post-processor", "catalogue", "cincbake-catalogue", "catalogue/postprocessor.go"},
		{"data-source", "image", "cincbake-image", "datasource/image/datasource.go"},
		{"data-source", "recipe", "cincbake-recipe", "datasource/recipe/datasource.go"},
	}
}

//go:embed text
var text embed.FS

// header begins every page.
const header = "<!-- made by go generate from plugin/docs: change it there -->\n\n"

// Pages returns every page, by its path below .web-docs. The folder is the plugin's.
func Pages(plugin fs.FS) (map[string]string, error) {
	pages := map[string]string{"metadata.hcl": metadata()}
	front, err := text.ReadFile("text/README.md")
	if err != nil {
		return nil, err
	}
	pages["README.md"] = header + string(front)
	for _, c := range Components() {
		page, err := c.page(plugin)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		pages["components/"+c.Kind+"/"+c.Slug+"/README.md"] = header + page
	}
	return pages, nil
}

func (c Component) page(plugin fs.FS) (string, error) {
	raw, err := text.ReadFile("text/" + c.Slug + ".md")
	if err != nil {
		return "", err
	}
	page, err := template.New(c.Slug).Option("missingkey=error").Parse(string(raw))
	if err != nil {
		return "", err
	}
	options, err := c.Fields(plugin, "Config")
	if err != nil {
		return "", err
	}
	outputs, err := c.Fields(plugin, "Output")
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = page.Execute(&out, map[string]string{"options": list(options), "outputs": list(outputs)})
	return out.String(), err
}

// Field is an option of a component, or a part of its answer.
type Field struct {
	Name, Type, Text string
	Required         bool
}

// Fields reads the fields of a type from the component's source. A type that is not declared has none.
func (c Component) Fields(plugin fs.FS, name string) ([]Field, error) {
	source, err := fs.ReadFile(plugin, c.File)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), c.File, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var fields []Field
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != name {
			return true
		}
		if declared, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range declared.Fields.List {
				if field, ok := read(f); ok {
					fields = append(fields, field)
				}
			}
		}
		return false
	})
	for _, f := range fields {
		if f.Text == "" {
			return nil, fmt.Errorf("the option %s has no comment", f.Name)
		}
	}
	return fields, nil
}

// read makes a field of one that Packer fills in: those have a tag.
func read(f *ast.Field) (Field, bool) {
	if f.Tag == nil || len(f.Names) != 1 {
		return Field{}, false
	}
	tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
	name := tag.Get("mapstructure")
	if name == "" {
		return Field{}, false
	}
	said := strings.Join(strings.Fields(f.Doc.Text()), " ")
	// Go's comments begin with the field's name; users know it by another.
	if rest, ok := strings.CutPrefix(said, f.Names[0].Name+" "); ok {
		said = "`" + name + "` " + rest
	}
	return Field{Name: name, Type: types.ExprString(f.Type), Text: said, Required: tag.Get("required") == "true"}, true
}

// list writes the fields down, those that a template must have first.
func list(fields []Field) string {
	var required, others strings.Builder
	for _, f := range fields {
		to, note := &others, ""
		if f.Required {
			to, note = &required, ", required"
		}
		fmt.Fprintf(to, "- `%s` (%s%s) - %s\n", f.Name, f.Type, note, f.Text)
	}
	return strings.TrimSuffix(required.String()+others.String(), "\n")
}

// metadata is what the registry reads first.
func metadata() string {
	var b strings.Builder
	b.WriteString(`# made by go generate from plugin/docs: change it there
# https://github.com/hashicorp/integration-template#metadata-configuration
integration {
  name        = "cincbake"
  description = "Bakes immutable images for every role of a Cinc Server cluster, from one cluster.yaml."
  identifier  = "packer/cincbake/cincbake"
`)
	for _, c := range Components() {
		fmt.Fprintf(&b, "  component {\n    type = %q\n    name = %q\n    slug = %q\n  }\n", c.Kind, c.Name, c.Slug)
	}
	b.WriteString("}\n")
	return b.String()
}
