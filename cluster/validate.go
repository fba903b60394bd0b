package cluster

import (
	"fmt"
	"reflect"
	"strings"
)

// checker holds a spec against the rules. Every check skips what is absent or broken, so that all of them always run and
// one mistake is reported once.
type checker struct {
	spec     *Spec
	broken   map[string]bool // paths whose values are unknown, because they were reported already
	rule     string          // the one that is checked
	problems Problems
}

// check returns what a spec breaks of the rules over values.
func check(spec *Spec, broken map[string]bool) Problems {
	c := &checker{spec: spec, broken: broken}
	for _, rule := range rules() {
		if rule.check != nil {
			c.rule = rule.name
			rule.check(c)
		}
	}
	return c.problems
}

func (c *checker) report(path, message, remedy string) {
	at := c.spec.position(path)
	c.problems = append(c.problems, Problem{c.spec.file, at.line, at.column, path, c.rule, message, remedy})
}

// position returns where a path stands in the file, or where the nearest mapping around it does.
func (s *Spec) position(path string) position {
	for {
		if at, known := s.positions[path]; known || path == "" {
			return at
		}
		path = parent(path)
	}
}

// written tells whether a path stands in the file, whatever its value.
func (s *Spec) written(path string) bool {
	_, known := s.positions[path]
	return known
}

// required walks the spec's types: the required tag of a field holds an example.
func (c *checker) required() { c.requiredIn("", reflect.ValueOf(*c.spec)) }

func (c *checker) requiredIn(path string, value reflect.Value) {
	if c.broken[path] {
		return
	}
	switch value.Kind() {
	case reflect.Slice:
		for i := range value.Len() {
			c.requiredIn(index(path, i), value.Index(i))
		}
	case reflect.Struct:
		for i := range value.NumField() {
			field := value.Type().Field(i)
			key, example := field.Tag.Get("yaml"), field.Tag.Get("required")
			fieldPath := join(path, key)
			switch {
			case key == "":
			case c.spec.written(fieldPath) || !value.Field(i).IsZero():
				c.requiredIn(fieldPath, value.Field(i))
			case example != "" && !c.broken[fieldPath]:
				c.report(fieldPath, "the key is missing", "add it, like "+key+": "+example)
			}
		}
	}
}

func (c *checker) apiVersion() {
	if v := c.spec.APIVersion; v != "" && v != APIVersion {
		c.report("apiVersion", show(v)+" is not a format that this release reads", "write "+APIVersion)
	}
}

func (c *checker) kind() {
	if v := c.spec.Kind; v != "" && v != Kind {
		c.report("kind", show(v)+" is not a kind that this release reads", "write "+Kind)
	}
}

const (
	letters     = "abcdefghijklmnopqrstuvwxyz"
	upperCase   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits      = "0123456789"
	longestName = 30
)

func (c *checker) name() {
	name := c.spec.Name
	if name == "" {
		return
	}
	isLabel := madeOf(name, letters+digits+"-") && strings.Contains(letters, name[:1]) && !strings.HasSuffix(name, "-")
	if !isLabel || len(name) > longestName {
		c.report("name", show(name)+" cannot be a cluster's name",
			fmt.Sprintf("use lower-case letters, digits and hyphens, a letter first, no hyphen last, %d at most", longestName))
	}
}

func (c *checker) platform() {
	switch v := c.spec.Platform; v {
	case "", OnPrem:
	case "aws":
		c.report("platform", "this release does not build clusters on AWS yet", "write onprem")
	default:
		c.report("platform", show(string(v))+" is not a platform", remedyOneOf(string(v), []string{string(OnPrem)}))
	}
}

func (c *checker) os() {
	name := c.spec.Image.OS
	if name == "" {
		return
	}
	if _, err := OSFor(name); err != nil {
		c.report("image.os", show(name)+" is not a system that images are baked from", remedyOneOf(name, osNames()))
	}
}

func (c *checker) arch() {
	os, err := OSFor(c.spec.Image.OS)
	arch := c.spec.Image.Arch
	if err != nil || arch == "" || os.Supports(arch) {
		return
	}
	c.report("image.arch", show(arch)+" is not a processor that "+os.Name+" images are baked for", remedyOneOf(arch, os.Arches))
}

func (c *checker) postgresVersion() {
	const path = "postgres.version"
	version := c.spec.Postgres.Version
	if version == 0 && !c.spec.written(path) || c.broken[path] {
		return
	}
	os, err := OSFor(c.spec.Image.OS)
	if err != nil {
		return
	}
	if _, err := PostgresFor(os.Name, version); err != nil || version == 0 { // a 0 that was written is no default
		c.report(path, fmt.Sprintf("PostgreSQL %d has no package source for %s", version, os.Name),
			"supported: "+strings.Join(postgresMajors(os.Name), ", "))
	}
}

// madeOf tells whether a text has no other characters than the allowed ones.
func madeOf(text, allowed string) bool { return strings.Trim(text, allowed) == "" }

// remedyOneOf names the word that was probably meant, or all that there are.
func remedyOneOf(word string, known []string) string {
	if meant := nearest(word, known); meant != "" {
		return "did you mean " + meant + "?"
	}
	return "supported: " + strings.Join(known, ", ")
}
