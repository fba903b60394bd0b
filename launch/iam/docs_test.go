package iam_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/launch/iam"
)

// The page on permissions has a row for each statement of each role, and no other.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/aws-permissions.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` \\|")
	documented := map[string][]string{}
	for _, section := range strings.Split(string(text), "\n## ")[1:] {
		title, body, _ := strings.Cut(section, "\n")
		for _, match := range row.FindAllStringSubmatch(body, -1) {
			documented[title] = append(documented[title], match[1])
		}
		slices.Sort(documented[title])
	}
	maps.DeleteFunc(documented, func(_ string, rows []string) bool { return len(rows) == 0 })
	wanted := map[string][]string{}
	for _, r := range clusters(t) {
		for _, role := range iam.Roles(r) {
			title := role.Name
			if role.Machine != "" {
				title = "Machines"
			}
			for _, s := range iam.For(r, role, place(t, r, "")).Statement {
				wanted[title] = append(wanted[title], s.Sid)
			}
		}
	}
	for title := range wanted {
		slices.Sort(wanted[title])
		wanted[title] = slices.Compact(wanted[title])
	}
	if diff := cmp.Diff(wanted, documented); diff != "" {
		t.Errorf("docs/aws-permissions.md (-statements +rows):\n%s", diff)
	}
}
