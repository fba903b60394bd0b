//go:build integration

package foundation_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cincbake/cincbake/launch/iam"
)

// linter is the release of cfn-lint that the templates are held to. It carries CloudFormation's schemas and AWS's Service
// Authorization Reference of its day.
const linter = "1.58.0"

// environment installs cfn-lint into a folder of its own, once, and returns it.
func environment(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", ".cache", "cfn-lint-"+linter))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "installed")); err == nil {
		return dir
	}
	for _, command := range [][]string{
		{"python3", "-m", "venv", dir},
		{filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "cfn-lint==" + linter},
	} {
		if out, err := run(t, command...); err != nil {
			lacks(t, "cfn-lint cannot be installed: "+err.Error()+"\n"+out)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "installed"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// lacks skips the test, with the way to get what is missing; CINCBAKE_REQUIRE=1 makes that a failure.
func lacks(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CINCBAKE_REQUIRE") == "1" {
		t.Fatal(reason)
	}
	t.Skip(reason + "\ninstall it: apt-get install python3-venv, and let pip reach PyPI for cfn-lint==" + linter)
}

func run(t *testing.T, command ...string) (string, error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
	defer stop()
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	return string(out), err
}

// cfn-lint finds nothing in the templates, and something in one with a mistake.
func TestLint(t *testing.T) {
	program := filepath.Join(environment(t), "bin", "cfn-lint")
	dir := t.TempDir()
	all := templates(t)
	var files []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(all[name]), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	if out, err := run(t, append([]string{program, "--regions", "eu-west-1", "--"}, files...)...); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("%v\n%s", err, out)
	}

	wrong := filepath.Join(dir, "wrong.yaml")
	text := strings.Replace(all["standalone-aws.yaml"], "EnableKeyRotation: true", "EnableKeyRotations: true", 1)
	if err := os.WriteFile(wrong, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, program, "--regions", "eu-west-1", "--", wrong)
	var failed *exec.ExitError
	if !errors.As(err, &failed) || !strings.Contains(out, "EnableKeyRotations") {
		t.Errorf("a mistake is not found: %v\n%s", err, out)
	}
}

// The table of actions says of each what AWS says: that it is there, and what it can be limited to.
func TestActions(t *testing.T) {
	found, err := filepath.Glob(filepath.Join(environment(t), "lib", "python3*", "site-packages", "cfnlint", "data", "AdditionalSpecs", "Policies.json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the reference is in %v, error %v", found, err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	var services map[string]struct {
		Actions map[string]struct {
			Resources []string `json:"Resources"`
		} `json:"Actions"`
	}
	if err := json.Unmarshal(text, &services); err != nil {
		t.Fatal(err)
	}
	for _, action := range iam.Actions() {
		service, name, _ := strings.Cut(action.Name, ":")
		var limits []string
		there := false
		for known, about := range services[service].Actions {
			if strings.EqualFold(known, name) {
				there, limits = true, about.Resources
			}
		}
		switch {
		case !there:
			t.Errorf("AWS has no action %s", action.Name)
		case len(action.Resources) == 0 && len(limits) > 0:
			t.Errorf("%s can be limited to %v", action.Name, limits)
		}
		for _, kind := range action.Resources {
			if !slices.ContainsFunc(limits, func(limit string) bool { return strings.EqualFold(limit, kind) }) {
				t.Errorf("%s cannot be limited to a %s: only to %v", action.Name, kind, limits)
			}
		}
	}
}
