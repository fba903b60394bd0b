package cluster

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAdvice holds every advice against a spec that needs it, and the ones that need none.
func TestAdvice(t *testing.T) {
	selfHosted, err := Example(SelfHosted, OnPrem)
	if err != nil {
		t.Fatal(err)
	}
	managed, err := Example(Managed, AWS)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }
	given := map[string]bool{}
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"everything", everything, []string{"unverified-release cinc.version", "old-postgres postgres.version", "one-recipient secrets.recipients"}},
		{"self-hosted", selfHosted, []string{"no-backup backup", "unverified-release cinc.version", "old-postgres postgres.version"}},
		{
			"one of each", replace(selfHosted, "nodes: 2 ", "nodes: 1 ", ", 10.20.0.42, 10.20.0.43", ""),
			[]string{"no-backup backup", "unverified-release cinc.version", "one-api-node api", "old-postgres postgres.version", "one-search-node opensearch.nodes"},
		},
		{"managed", managed, []string{"unverified-release cinc.version"}},
		{"no balancer", replace(managed, "lb: nlb", "", "min: 2", "min: 1"), []string{"unverified-release cinc.version", "one-api-node api", "own-balancer api"}},
	} {
		spec, err := Parse("cluster.yaml", []byte(test.text))
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		var got []string
		for _, p := range spec.Advice() {
			got = append(got, p.Rule+" "+p.Path)
			given[p.Rule] = true
			if p.Line < 1 || p.Message == "" || p.Remedy == "" {
				t.Errorf("%s: an advice without a place, a message or a remedy: %+v", test.name, p)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", test.name, diff)
		}
	}
	for _, advice := range advices() {
		if !given[advice.name] {
			t.Errorf("advice %s (%s) is given to no spec of this test", advice.name, advice.why)
		}
	}
}
