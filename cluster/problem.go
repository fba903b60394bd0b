package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake in a spec: where it stands, what is wrong, and what to do about it.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`   // from 1; 0 when the spec was not read from a file
	Column  int    `json:"column,omitempty"` // from 1, in characters
	Path    string `json:"path,omitempty"`   // like postgres.nodes[1]; empty: the file as a whole
	Rule    string `json:"rule"`             // the rule that is broken, a stable name
	Message string `json:"message"`
	Remedy  string `json:"remedy"`
}

// String is one line, like "cluster.yaml:12:5: postgres.nodes[1]: … (remedy)".
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message + " (" + p.Remedy + ")")
	return b.String()
}

// Problems is the error of a spec that does not hold: every mistake in it, in the order of the file.
type Problems []Problem

// Error prints one problem per line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

func (p Problems) sort() {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// position is a place in the file: line and column from 1, the column in characters.
type position struct{ line, column int }

// index returns the path of an element of the list at path.
func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// join returns the path of a key of the mapping at path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// parent returns the path of the mapping or list that path is in; the file's own is empty.
func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

// longestShown is how many characters of a user's value a problem repeats.
const longestShown = 40

// show repeats a user's value in a problem, unless it is long or looks like a secret: reports end up in logs.
func show(value string) string {
	switch n := len([]rune(value)); {
	case looksSecret(value):
		return "a secret"
	case n > longestShown:
		return fmt.Sprintf("a value of %d characters", n)
	default:
		return fmt.Sprintf("%q", value)
	}
}
