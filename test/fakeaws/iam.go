package fakeaws

import (
	"slices"

	"github.com/cincbake/cincbake/test/fakeaws/policy"
)

// iam knows instance profiles, and what callers may do. It shares EC2's lock.
type iam struct {
	ec2       *ec2
	profiles  []string
	forbidden []string
	callers   map[string]caller // by access key; whoever is not here may do everything
}

func (i *iam) service() service {
	return &tabled{name: "iam", speaks: queryProtocol{"https://iam.amazonaws.com/doc/2010-05-08/"}, lock: &i.ec2.mu, actions: map[string]func(*Call) (any, error){
		"GetInstanceProfile":      i.profile,
		"SimulatePrincipalPolicy": i.simulate,
	}}
}

func (i *iam) profile(c *Call) (any, error) {
	type role struct {
		Path, RoleName, RoleId, Arn, CreateDate string //nolint:revive // as IAM writes them
	}
	type profile struct {
		Path, InstanceProfileName, InstanceProfileId, Arn, CreateDate string //nolint:revive // as IAM writes them
		Roles                                                         []role `xml:"Roles>member"`
	}
	name := c.Params.String("InstanceProfileName")
	if !slices.Contains(i.profiles, name) {
		return nil, notFound("NoSuchEntity", "Instance Profile %s cannot be found.", name)
	}
	return struct{ InstanceProfile profile }{profile{
		"/", name, "AIPAEXAMPLE", profileARN(name), "2026-01-01T00:00:00Z",
		[]role{{"/", name, "AROAEXAMPLE", "arn:aws:iam::" + Account + ":role/" + name, "2026-01-01T00:00:00Z"}},
	}}, nil
}

// simulate decides by the policies of whoever asks. A caller without any may do everything that no test forbids.
func (i *iam) simulate(c *Call) (any, error) {
	type result struct {
		Action   string   `xml:"EvalActionName"`
		Resource string   `xml:"EvalResourceName"`
		Decision string   `xml:"EvalDecision"`
		Missing  []string `xml:"MissingContextValues>member"`
	}
	var reply struct {
		Results []result `xml:"EvaluationResults>member"`
		More    bool     `xml:"IsTruncated"`
		Marker  string   `xml:"Marker,omitempty"`
	}
	if c.Params.String("PolicySourceArn") == "" {
		return nil, refuse("ValidationError", "PolicySourceArn is needed")
	}
	resources := c.Params.Strings("ResourceArns")
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	said := policy.Context{}
	for _, entry := range c.Params.List("ContextEntries") {
		said = said.With(entry.String("ContextKeyName"), entry.Strings("ContextKeyValues")...)
	}
	who, limited := i.callers[c.Key]
	var list []result
	for _, action := range c.Params.Strings("ActionNames") {
		for _, resource := range resources {
			d := policy.Decision{Allowed: !slices.Contains(i.forbidden, action)}
			if limited && d.Allowed {
				d = policy.Decide(who.policies, policy.Request{Action: action, Resource: resource, Context: said})
			}
			one := result{action, resource, "implicitDeny", d.Missing}
			switch {
			case d.Allowed:
				one.Decision = "allowed"
			case d.Denied:
				one.Decision = "explicitDeny"
			}
			list = append(list, one)
		}
	}
	values := map[string][]string{"NextToken": {c.Params.String("Marker")}, "MaxResults": {c.Params.String("MaxItems")}}
	var err error
	reply.Results, reply.Marker, err = pageOf(Params{values: values}, list, 100)
	reply.More = reply.Marker != ""
	return reply, err
}

// AddInstanceProfile keeps an instance profile with a role of the same name.
func (s *Server) AddInstanceProfile(name string) {
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	s.iam.profiles = append(s.iam.profiles, name)
}

// Forbid takes permissions from the caller, like ec2:RunInstances: simulations say so, and calls are refused.
func (s *Server) Forbid(actions ...string) {
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	s.iam.forbidden = append(s.iam.forbidden, actions...)
}
