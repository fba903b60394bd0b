package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// What an honest spec stays far below. The file may come from a stranger's pull request.
const (
	maxBytes = 64 << 10
	maxDepth = 16
)

// Load reads the spec at path. A spec that does not hold comes back as Problems; other errors are about the file itself.
func Load(path string) (*Spec, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the spec: %w (\"cincbake init\" writes one)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("read the spec: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the spec: %w", err)
	}
	return Parse(path, text)
}

// Parse reads a spec from text. The filename is what problems are reported under, and its folder is what relative paths
// in the spec start from. A spec that does not hold comes back as Problems, all of them.
func Parse(filename string, text []byte) (*Spec, error) {
	folder, err := filepath.Abs(filepath.Dir(filename))
	if err != nil {
		return nil, fmt.Errorf("find the folder of %s: %w", filename, err)
	}
	spec := &Spec{folder: folder, file: filename, positions: map[string]position{}}
	d := &decoder{spec: spec, broken: map[string]bool{}}
	if root := d.document(text); root != nil {
		d.value(root, "", reflect.ValueOf(spec).Elem())
		// A file that holds something else altogether would only be told that every key is missing.
		if !d.broken[""] {
			d.problems = append(d.problems, check(spec, d.broken)...)
		}
	}
	if len(d.problems) > 0 {
		d.problems.sort()
		return nil, d.problems
	}
	return spec, nil
}

// document reads the one YAML document of a file; nil when there is nothing that could be decoded.
func (d *decoder) document(text []byte) *yaml.Node {
	start := position{1, 1}
	if len(text) > maxBytes {
		d.report(ruleSize, "", start, fmt.Sprintf("the file is larger than %d KiB", maxBytes>>10), "a spec is a page long: is this the right file?")
		return nil
	}
	if !utf8.Valid(text) {
		d.report(ruleUTF8, "", start, "the file is not UTF-8 text", "save it as UTF-8")
		return nil
	}
	d.screenText(text)

	reader := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	switch err := reader.Decode(&first); {
	case errors.Is(err, io.EOF):
		d.report(ruleNotEmpty, "", start, "the file is empty", "\"cincbake init\" writes a commented spec to start from")
		return nil
	case err != nil:
		d.syntax(text, err)
		return nil
	}
	switch err := reader.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		d.syntax(text, err)
	default:
		d.report(ruleOneDocument, "", position{second.Line, second.Column}, "a second document begins", "one file describes one cluster: remove what follows, or give it a file of its own")
	}
	root := first.Content[0]
	d.screenNodes(root, 1)
	return root
}

// syntax reports text that is not YAML.
func (d *decoder) syntax(text []byte, err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	claimed := 1
	if n, scanErr := fmt.Sscanf(message, "line %d:", &claimed); n == 1 && scanErr == nil {
		_, message, _ = strings.Cut(message, ": ")
	}
	line, content := syntaxLine(text, claimed)
	at := position{line, indent(content) + 1}
	indentation := content[:indent(content)]
	switch {
	case strings.HasPrefix(message, "unknown anchor"): // its name is the user's text
		d.report(rulePlainYAML, "", at, "an alias refers to an anchor that is not there", remedyPlainYAML)
	case strings.Contains(indentation, "\t"):
		d.report(ruleSyntax, "", at, "the line is indented with a tab", "indent with spaces")
	default:
		d.report(ruleSyntax, "", at, "this is not YAML: "+message, "check indentation, quotes and brackets of this line and the one above")
	}
}

// syntaxBudget is how much text syntaxLine may parse: the square of an ordinary spec, a moment for a hostile one.
const syntaxBudget = 1 << 20

// syntaxLine finds the line at which text stops being YAML, which is the one after the longest run of lines that parses.
// The line that yaml.v3 claims is where the surrounding block began, and one too small for some errors; it has to do
// when the search would take too long.
func syntaxLine(text []byte, claimed int) (number int, content string) {
	lines := strings.Split(string(text), "\n")
	end := len(text)
	for n, budget := len(lines)-1, syntaxBudget; n >= 0 && budget > 0; n-- {
		end -= len(lines[n])
		if parses(text[:end]) {
			return n + 1, lines[n]
		}
		budget -= end
		end-- // the line's end
	}
	number = min(max(claimed, 1), len(lines))
	return number, lines[number-1]
}

func parses(text []byte) bool {
	reader := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var node yaml.Node
		if err := reader.Decode(&node); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// indent counts the blanks that a line begins with.
func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }
