package moto_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/cincbake/cincbake/test/moto"
)

func TestCompare(t *testing.T) {
	type facts = map[string]string
	listed := []moto.Outcome{{Fact: "size", Fake: "1", Moto: "2", Why: "it counts otherwise"}}
	for name, test := range map[string]struct {
		fake, other facts
		outcomes    []moto.Outcome
		says        []string // each wrong thing, in order
	}{
		"the same":             {facts{"name": "a"}, facts{"name": "a"}, nil, nil},
		"as listed":            {facts{"name": "a", "size": "1"}, facts{"name": "a", "size": "2"}, listed, nil},
		"not listed":           {facts{"size": "1"}, facts{"size": "2"}, nil, []string{`"size" is not the same, and nothing says why`}},
		"the same by now":      {facts{"size": "1"}, facts{"size": "1"}, listed, []string{`"size" is the same by now`}},
		"otherwise, in moto":   {facts{"size": "1"}, facts{"size": "3"}, listed, []string{`"size" differs in another way`}},
		"otherwise, in ours":   {facts{"size": "0"}, facts{"size": "2"}, listed, []string{`"size" differs in another way`}},
		"listed, and no fact":  {facts{"name": "a"}, facts{"name": "a"}, listed, []string{`no fact is called "size"`}},
		"against one alone":    {facts{"size": ""}, facts{}, nil, []string{`"size" is a fact against one of the two alone`}},
		"two things are wrong": {facts{"a": "1", "b": "1"}, facts{"a": "2", "b": "2"}, nil, []string{`"a" is not the same`, `"b" is not the same`}},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := moto.Compare(test.fake, test.other, test.outcomes)
			if len(wrong) != len(test.says) {
				t.Fatalf("got %q, want %q", wrong, test.says)
			}
			for n, text := range wrong {
				if !strings.HasPrefix(text, test.says[n]) {
					t.Errorf("got %q, want %q", text, test.says[n])
				}
			}
		})
	}
}

// A substitute that nobody needs shows, and so does a call that has none.
func TestIdle(t *testing.T) {
	proxy, behind, sdk := newProxy(t, nil)
	client := ec2.NewFromConfig(sdk)
	protect := func() {
		t.Helper()
		_, err := client.EnableImageDeregistrationProtection(t.Context(), &ec2.EnableImageDeregistrationProtectionInput{ImageId: aws.String("ami-1")})
		if err != nil {
			t.Fatal(err)
		}
	}
	idle := func() string { return strings.Join(proxy.Idle(), "\n") }
	const call = "ec2 EnableImageDeregistrationProtection"
	behind.answers = map[string]string{"EnableImageDeregistrationProtection": "<EnableImageDeregistrationProtectionResponse><return>enabled</return></EnableImageDeregistrationProtectionResponse>"}
	protect()
	if !strings.Contains(idle(), call+" needs no substitute any more") {
		t.Errorf("the stand-in has learned it, and nobody says so:\n%s", idle())
	}
	behind.answers = nil
	protect()
	if strings.Contains(idle(), call) {
		t.Errorf("it is needed:\n%s", idle())
	}
	if _, err := client.DescribeFleets(t.Context(), &ec2.DescribeFleetsInput{}); err == nil {
		t.Error("the stand-in knows what it does not")
	}
	if !strings.Contains(idle(), "does not know ec2 DescribeFleets, and no substitute is listed") {
		t.Errorf("an unknown call is not told:\n%s", idle())
	}
}
