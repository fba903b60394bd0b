package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The pages that lie in .web-docs are those that the source makes now, and no others.
func TestPagesAreCurrent(t *testing.T) {
	want, err := Pages(os.DirFS(".."))
	must(t, err)
	got := map[string]string{}
	dir := filepath.Join("..", ".web-docs")
	must(t, filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		page, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		got[filepath.ToSlash(rel)] = string(page)
		return err
	}))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run go generate in plugin/docs (-source +page):\n%s", diff)
	}
}

// Every component that the plugin registers has a page.
func TestEveryComponentHasAPage(t *testing.T) {
	source, err := os.ReadFile("../main.go")
	must(t, err)
	var registered, described []string
	for _, match := range regexp.MustCompile(`set\.Register\w+\("(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		registered = append(registered, match[1])
	}
	for _, c := range Components() {
		described = append(described, c.Slug)
	}
	slices.Sort(registered)
	slices.Sort(described)
	if diff := cmp.Diff(registered, described); diff != "" {
		t.Errorf("-registered +described:\n%s", diff)
	}
}

var fenced = regexp.MustCompile("(?s)```hcl\n(.*?)```")

// Examples are HCL as packer fmt writes it, and give our components no option that they do not have and every one that they
// need.
func TestExamples(t *testing.T) {
	plugin := os.DirFS("..")
	options := map[string][]Field{}
	for _, c := range Components() {
		fields, err := c.Fields(plugin, "Config")
		must(t, err)
		options[c.Name] = fields
	}
	pages, err := Pages(plugin)
	must(t, err)
	complete := 0
	for name, page := range pages {
		for _, match := range fenced.FindAllStringSubmatch(page, -1) {
			example := match[1]
			if formatted := string(hclwrite.Format([]byte(example))); formatted != example {
				t.Errorf("%s: not as packer fmt writes it:\n%s", name, cmp.Diff(formatted, example))
			}
			file, diags := hclsyntax.ParseConfig([]byte(example), name, hcl.InitialPos)
			if diags.HasErrors() {
				t.Errorf("%s: %v", name, diags)
				continue
			}
			body := file.Body.(*hclsyntax.Body)
			checkBlocks(t, name, body, options)
			if strings.Contains(example, "\nbuild {") {
				complete++
			}
		}
	}
	if complete < len(Components()) {
		t.Errorf("only %d complete examples for %d components", complete, len(Components()))
	}
}

func checkBlocks(t *testing.T, page string, body *hclsyntax.Body, options map[string][]Field) {
	t.Helper()
	for _, block := range body.Blocks {
		if len(block.Labels) > 0 {
			if fields, ok := options[block.Labels[0]]; ok {
				for name := range block.Body.Attributes {
					if !slices.ContainsFunc(fields, func(f Field) bool { return f.Name == name }) {
						t.Errorf("%s: %s has no option %s", page, block.Labels[0], name)
					}
				}
				for _, f := range fields {
					if _, given := block.Body.Attributes[f.Name]; f.Required && !given {
						t.Errorf("%s: %s lacks %s", page, block.Labels[0], f.Name)
					}
				}
			}
		}
		checkBlocks(t, page, block.Body, options)
	}
}

func TestFields(t *testing.T) {
	const source = "package p\ntype Config struct {\n" +
		"\tsquashed `mapstructure:\",squash\"`\n" +
		"\t// Spec is the path,\n\t// in two lines.\n\tSpec string `mapstructure:\"spec\" required:\"true\"`\n" +
		"\t// How large disks may be.\n\tSizes []int `mapstructure:\"sizes\"`\n\tinternal int\n}\n"
	c := Component{File: "a.go"}
	files := fstest.MapFS{"a.go": {Data: []byte(source)}}
	got, err := c.Fields(files, "Config")
	must(t, err)
	want := []Field{{Name: "spec", Type: "string", Text: "`spec` is the path, in two lines.", Required: true}, {Name: "sizes", Type: "[]int", Text: "How large disks may be."}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := c.Fields(files, "Output"); err != nil || got != nil {
		t.Errorf("a type that is not there: %v, %v", got, err)
	}
	files["a.go"].Data = []byte("package p\ntype Config struct {\n\tSpec string `mapstructure:\"spec\"`\n}\n")
	if _, err := c.Fields(files, "Config"); err == nil {
		t.Error("an option without a comment is let through")
	}
}
