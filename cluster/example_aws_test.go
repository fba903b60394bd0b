package cluster

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What an example on AWS says of the account is a comment. Without its marks it is valid, and all that launching asks for.
func TestExamplesOnAWS(t *testing.T) {
	section := regexp.MustCompile(`(?m)^# aws:(?:.*\n#   )*.*\n`)
	for _, topology := range Topologies() {
		if len(PlatformsOf(topology)) < 2 {
			continue
		}
		t.Run(string(topology), func(t *testing.T) {
			text, err := Example(topology, AWS)
			if err != nil {
				t.Fatal(err)
			}
			commented := section.FindString(text)
			if commented == "" {
				t.Fatal("it says nothing of the account")
			}
			var lines []string
			for line := range strings.Lines(commented) {
				lines = append(lines, strings.TrimPrefix(line, "# "))
			}
			spec, err := Parse("cluster.yaml", []byte(strings.Replace(text, commented, strings.Join(lines, ""), 1)))
			if err != nil {
				t.Fatal(err)
			}
			if problems := spec.LaunchProblems(); len(problems) > 0 {
				t.Error(problems)
			}
			r, err := spec.Resolve()
			if err != nil {
				t.Fatal(err)
			}
			// The names are those that the foundation gives.
			want := map[Role]string{}
			for _, node := range r.Nodes {
				want[node.Role] = "cincbake-prod-" + string(node.Role)
			}
			if diff := cmp.Diff(want, r.AWS.InstanceProfiles); diff != "" {
				t.Errorf("instance profiles (-foundation +example):\n%s", diff)
			}
			if r.AWS.Bucket == "" {
				t.Error("it names no bucket")
			}
		})
	}
}
