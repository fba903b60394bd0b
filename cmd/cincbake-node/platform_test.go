package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The agent that is not for AWS carries nothing of AWS into images; the other one does, so the look is a look.
func TestOnlyTheAgentForAWSLinksTheSDK(t *testing.T) {
	for _, tags := range []string{"", "aws"} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-tags", tags, "-deps", ".").Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		deps := strings.Fields(string(out))
		if !slices.Contains(deps, "github.com/cincbake/cincbake/node") {
			t.Errorf("tags %q: it does not link the package node: is this still the agent?", tags)
		}
		links := slices.ContainsFunc(deps, func(dep string) bool {
			return strings.HasPrefix(dep, "github.com/aws/") || dep == "github.com/cincbake/cincbake/node/aws" || dep == "github.com/cincbake/cincbake/secrets/awssm"
		})
		if links != (tags == "aws") {
			t.Errorf("tags %q: it links AWS's SDK: %v", tags, links)
		}
	}
}
