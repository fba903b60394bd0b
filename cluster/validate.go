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

// report notes what is wrong at a path; once for each rule, as a range of addresses is many of them at one place.
func (c *checker) report(path, message, remedy string) {
	for _, p := range c.problems {
		if p.Rule == c.rule && p.Path == path {
			return
		}
	}
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

// given tells whether a key is there.
func (c *checker) given(path string, value reflect.Value) bool {
	return c.spec.written(path) || !value.IsZero()
}

// required looks for the keys that must be there: the required tag of a field holds an example.
func (c *checker) required() {
	c.spec.walk(func(k key) bool {
		if c.broken[k.path] {
			return false
		}
		if lb, ok := k.value.Interface().(*LBSpec); ok && lb != nil && lb.Kind != "" {
			return false // the short form says it all
		}
		given := c.given(k.path, k.value)
		only := Platform(k.field.Tag.Get("only"))
		if example := k.field.Tag.Get("required"); example != "" && !given && (only == "" || only == c.spec.Platform) {
			c.report(k.path, "the key is missing", "add it, like "+k.field.Tag.Get("yaml")+": "+example)
		}
		return given
	})
}

// platformKeys refuses keys of the other platform: the only tag of a field names the one that has it.
func (c *checker) platformKeys() {
	platform := c.spec.Platform
	if platform != OnPrem && platform != AWS {
		return
	}
	c.spec.walk(func(k key) bool {
		given := c.given(k.path, k.value)
		if only := Platform(k.field.Tag.Get("only")); given && only != "" && only != platform {
			c.report(k.path, fmt.Sprintf("the key is for platform %s, and this is %s", only, platform), "remove it")
			return false
		}
		return given
	})
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
	case "", OnPrem, AWS:
	default:
		c.report("platform", show(string(v))+" is not a platform", remedyOneOf(string(v), []string{string(OnPrem), string(AWS)}))
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
	if c.spec.Postgres == nil || c.external("postgres") {
		return
	}
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
