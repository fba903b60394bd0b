// Package docs keeps the documentation true. What it says about the code in tables is made from the code, between two
// comments of the page; everything around them is written by hand.
package docs

//go:generate go run ./generate

import (
	"fmt"
	"strings"
)

// Section is a part of a page that is made from the code.
type Section struct {
	Page string // below docs
	Name string // as its comments call it
	Make func(root string) (string, error)
}

// Sections lists every part that is made.
func Sections() []Section {
	return []Section{
		{"architecture.md", "files", filesSection},
		{"boot.md", "steps", stepsSection},
		{"compat.md", "compat", compatSection},
		{"security.md", "ports", portsSection},
		{"security.md", "rotation", rotationSection},
		{"spec.md", "keys", keysSection},
		{"spec.md", "machine", machineSection},
		{"topologies.md", "sql", sqlSection("managed-onprem")},
		{"topologies.md", "sql-rds", sqlSection("managed-aws")},
	}
}

// Splice returns the page with the section's text in it.
func (s Section) Splice(page, text string) (string, error) {
	begin, end := "<!-- made by make generate: "+s.Name+" -->\n", "<!-- end: "+s.Name+" -->\n"
	before, rest, opened := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, end)
	if !opened || !closed {
		return "", fmt.Errorf("docs/%s lacks %s or %s", s.Page, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return before + begin + "\n" + strings.TrimSpace(text) + "\n\n" + end + after, nil
}

// table is a table of a page.
type table struct{ rows [][]string }

func newTable(header ...string) *table {
	rule := make([]string, len(header))
	for i := range rule {
		rule[i] = "---"
	}
	return &table{[][]string{header, rule}}
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) String() string {
	var b strings.Builder
	for _, row := range t.rows {
		for i, cell := range row {
			row[i] = strings.ReplaceAll(cell, "|", `\|`)
		}
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
	}
	return b.String()
}

func code(words ...string) string { return "`" + strings.Join(words, "` `") + "`" }
