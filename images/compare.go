package images

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Difference is how two images differ.
type Difference struct {
	// Facts are what the records say otherwise: recipe, agent, what the bake started from.
	Facts    []Change `json:"facts"`
	Packages []Change `json:"packages"`
	Files    []Change `json:"files"`
}

// Change is one thing that differs. What only one of the images has is empty in the other.
type Change struct {
	Name   string `json:"name"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Equal tells whether there is no difference in content.
func (d Difference) Equal() bool { return len(d.Facts)+len(d.Packages)+len(d.Files) == 0 }

// Compare tells how image b differs from image a: what their records say, every package, and every file.
func Compare(a, b Entry) (Difference, error) {
	d := Difference{Facts: []Change{}, Packages: []Change{}, Files: []Change{}}
	for _, fact := range []Change{
		{"recipe", a.Record.Recipe.String(), b.Record.Recipe.String()},
		{"recipe digest", a.Record.RecipeDigest, b.Record.RecipeDigest},
		{"base", a.Record.Base, b.Record.Base},
		{"boot agent", a.Record.AgentVersion, b.Record.AgentVersion},
	} {
		if fact.Before != fact.After {
			d.Facts = append(d.Facts, fact)
		}
	}
	versions := func(r Record) map[string]string {
		all := map[string]string{}
		for _, p := range r.Packages {
			name := p.Name
			if p.Arch != r.Recipe.Arch && p.Arch != "all" {
				name += ":" + p.Arch
			}
			all[name] = p.Version
		}
		return all
	}
	d.Packages = append(d.Packages, changes(versions(a.Record), versions(b.Record))...)

	before, err := a.Manifest()
	if err != nil {
		return d, err
	}
	after, err := b.Manifest()
	if err != nil {
		return d, err
	}
	d.Files = append(d.Files, changes(byPath(before), byPath(after))...)
	for i, change := range d.Files {
		d.Files[i].Before, d.Files[i].After = inWords(change.Before, change.After)
	}
	return d, nil
}

// changes lists the names that have other values, sorted.
func changes(before, after map[string]string) []Change {
	var list []Change
	for name, value := range before {
		if after[name] != value {
			list = append(list, Change{name, value, after[name]})
		}
	}
	for name, value := range after {
		if _, both := before[name]; !both {
			list = append(list, Change{name, "", value})
		}
	}
	slices.SortFunc(list, func(a, b Change) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// inWords says of a path what differs: of two lines of manifests, the parts that are not the same; of one, what it is.
func inWords(before, after string) (was, is string) {
	if before == "" || after == "" {
		return describeLine(before), describeLine(after)
	}
	a, b := parts(before), parts(after)
	var old, now []string
	for i, what := range []string{"", "mode ", "owner ", "content ", "attributes "} {
		if a[i] != b[i] {
			old, now = append(old, what+shorten(a[i])), append(now, what+shorten(b[i]))
		}
	}
	return strings.Join(old, ", "), strings.Join(now, ", ")
}

func describeLine(line string) string {
	if line == "" {
		return ""
	}
	p := parts(line)
	text := fmt.Sprintf("%s %s %s", p[0], p[1], p[2])
	if p[0] == "link" {
		text += " " + p[3]
	}
	return text
}

// parts splits what a manifest says of a path into kind, mode, owner, content and the rest.
func parts(line string) [5]string {
	var p [5]string
	rest := strings.TrimSpace(line)
	for i := range 3 {
		p[i], rest, _ = strings.Cut(rest, " ")
	}
	if quoted, err := strconv.QuotedPrefix(rest); err == nil && p[0] == "link" {
		p[3], p[4] = quoted, strings.TrimSpace(rest[len(quoted):])
		return p
	}
	if p[0] == "dir" {
		p[4] = rest
		return p
	}
	p[3], p[4], _ = strings.Cut(rest, " ")
	return p
}

// shorten makes a digest one that people can tell from another.
func shorten(text string) string {
	if rest, ok := strings.CutPrefix(text, "sha256:"); ok && len(rest) > idDigits {
		return rest[:idDigits]
	}
	return text
}
