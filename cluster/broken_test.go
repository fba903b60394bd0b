package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestBrokenSpecs holds every broken spec against the exact report that its author would read, and every rule against
// having one: a rule that nothing breaks may as well not work.
func TestBrokenSpecs(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	broken := map[string]bool{}
	for _, file := range files {
		base := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(base, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			problems := parseBroken(t, filepath.Base(file), text)
			for _, problem := range problems {
				broken[problem.Rule] = true
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", problems.Error()+"\n")
		})
	}
	known := map[string]bool{}
	for _, rule := range rules() {
		if known[rule.name] {
			t.Errorf("two rules are called %s", rule.name)
		}
		known[rule.name] = true
		if !broken[rule.name] {
			t.Errorf("rule %s (%s) has no broken spec in testdata/broken", rule.name, rule.why)
		}
	}
	for name := range broken {
		if !known[name] {
			t.Errorf("rule %s is reported but is not in the table of rules", name)
		}
	}
}

// parseBroken returns the problems of a spec that must have some, and checks what holds of every report.
func parseBroken(t *testing.T, filename string, text []byte) Problems {
	t.Helper()
	spec, err := Parse(filename, text)
	var problems Problems
	if !errors.As(err, &problems) || spec != nil {
		t.Fatalf("got %v, %v instead of problems", spec, err)
	}
	for _, p := range problems {
		if p.File != filename || p.Line < 1 || p.Column < 1 || p.Message == "" || p.Remedy == "" {
			t.Errorf("a problem without a place, a message or a remedy: %+v", p)
		}
		if strings.Contains(p.String(), "\n") {
			t.Errorf("a problem of more than one line: %q", p)
		}
	}
	sorted := slices.Clone(problems)
	sorted.sort()
	if !slices.Equal(problems, sorted) {
		t.Errorf("the problems are not in the order of the file:\n%v", problems)
	}
	return problems
}
