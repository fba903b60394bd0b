package fakeaws

import (
	"net/url"
	"testing"

	"github.com/cincbake/cincbake/test/fakeaws/policy"
)

// What the fake can do, it also knows to ask IAM about.
func TestEveryActionHasQuestions(t *testing.T) {
	s := New(Options{})
	t.Cleanup(s.Close)
	for service, answers := range s.services {
		var actions []string
		switch known := answers.(type) {
		case *ec2:
			for action := range known.actions {
				actions = append(actions, action)
			}
		case *tabled:
			for action := range known.actions {
				actions = append(actions, action)
			}
		}
		for _, action := range actions {
			call := &Call{Service: service, Region: "eu-west-1", Action: action, Params: Params{values: url.Values{}}}
			if q := (&questions{Server: s, call: call, always: policy.Context{}}); !q.derive() {
				t.Errorf("nobody knows what IAM is asked about %s:%s", service, action)
			}
		}
	}
}
