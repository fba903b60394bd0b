package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/internal/golden"
)

// TestBrokenSpecs holds every broken spec against the exact report that its author would read, and every rule against
// having one: a rule that nothing breaks may as well not work.
func TestBrokenSpecs(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	broken := map[string]bool{}
	rows := map[string]bool{} // of the compatibility table
	release := regexp.MustCompile(`Cinc Server ([0-9.]+) `)
	for _, file := range files {
		base := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(base, func(t *testing.T) {
			t.Chdir("testdata/broken") // what the specs name is beside them
			text, err := os.ReadFile(base + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			problems := parseBroken(t, filepath.Base(file), text)
			for _, problem := range problems {
				broken[problem.Rule] = true
				if named := release.FindStringSubmatch(problem.Message); named != nil && strings.HasPrefix(problem.Rule, "compat-") {
					row, err := CompatFor(named[1])
					if err != nil {
						t.Error(err)
					}
					rows[row.From] = true
				}
			}
			golden.Compare(t, base+".txt", problems.Error()+"\n")
		})
	}
	for _, row := range CompatTable() {
		if !rows[row.From] {
			t.Errorf("the row of Cinc Server %s has no broken spec in testdata/broken", row.Range())
		}
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

// parseBroken returns the problems of a spec that must have some, by itself or in the files that it names, and checks what
// holds of every report.
func parseBroken(t *testing.T, filename string, text []byte) Problems {
	t.Helper()
	spec, err := Parse(filename, text)
	if err == nil { // then it is the files that the spec names
		_, err = spec.Resolve()
	}
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got %v instead of problems", err)
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
