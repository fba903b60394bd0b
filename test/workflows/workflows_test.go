package workflows

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/rhysd/actionlint"
)

// files are the example workflows.
func files(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("../../examples/ci/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatal("there are no example workflows")
	}
	return found
}

func TestWorkflowsAreValid(t *testing.T) {
	linter, err := actionlint.NewLinter(os.Stdout, &actionlint.LinterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	problems, err := linter.LintFiles(files(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s:%d: %s", problem.Filepath, problem.Line, problem.Message)
	}
}

// exact is an action at a whole version, which nobody moves to other code in good faith; a commit is exact in any case.
var exact = regexp.MustCompile(`^[\w.-]+/[\w./-]+@(v\d+\.\d+\.\d+|[0-9a-f]{40})$`)

func TestActionsArePinned(t *testing.T) {
	for _, file := range files(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		uses := regexp.MustCompile(`(?m)^\s*(?:- )?uses: (\S+)`).FindAllSubmatch(text, -1)
		if len(uses) == 0 {
			t.Errorf("%s uses no action, which this test then says nothing about", file)
		}
		for _, match := range uses {
			if !exact.Match(match[1]) {
				t.Errorf("%s uses %s: name a whole version or a commit", file, match[1])
			}
		}
	}
}
