package cluster

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLaunchProblems(t *testing.T) {
	example := func(topology Topology, platform Platform) string {
		text, err := Example(topology, platform)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing is missing": {everythingOnAWS, nil},
		"no section": {example(SelfHosted, AWS), []string{
			"aws.key", "aws.instanceProfiles.api", "aws.instanceProfiles.postgres", "aws.instanceProfiles.heartbeat", "aws.instanceProfiles.opensearch",
			"aws.securityGroups.api", "aws.securityGroups.postgres", "aws.securityGroups.heartbeat", "aws.securityGroups.opensearch", "aws.targetGroups",
		}},
		"standalone has the api's": {example(Standalone, AWS), []string{"aws.key", "aws.instanceProfiles.api", "aws.securityGroups.api"}},
		"on-premises":              {example(SelfHosted, OnPrem), []string{"platform"}},
		"a part is missing": {
			strings.Replace(everythingOnAWS, "securityGroups: {api: [sg-0a1b2c3d, sg-1b2c3d4e], ", "securityGroups: {", 1),
			[]string{"aws.securityGroups.api"},
		},
		"one key is enough": {strings.Replace(everythingOnAWS, "  key: arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-00000000aaaa\n", "", 1), nil},
	} {
		t.Run(name, func(t *testing.T) {
			spec, err := Parse("cluster.yaml", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range spec.LaunchProblems() {
				if p.Line < 1 || p.Remedy == "" || !strings.HasPrefix(p.String(), "cluster.yaml:") {
					t.Errorf("%s: no place or no remedy", p)
				}
				got = append(got, p.Path)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("paths (-want +got)\n%s", diff)
			}
		})
	}
}
