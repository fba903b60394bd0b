// Package iam writes the least that each role in the account of a cluster must be allowed: as policies of IAM, and as trust
// policies that say who may be that role. It is a pure function of the cluster, and calls nothing.
//
// What the spec does not know is a placeholder: the account's number, and whatever of the section aws is not there yet. They
// are written as CloudFormation's Fn::Sub has them, with the names that package foundation gives its resources, so that its
// template fills them in. IAM itself takes no policy with a placeholder; Document.Placeholders lists them.
package iam

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
)

// The limits of IAM, in characters that are no white space.
const (
	// MaxManaged is the longest policy that can be attached to several roles.
	MaxManaged = 6144
	// MaxInline is how long all policies together may be that are part of one role.
	MaxInline = 10240
)

// Document is a policy.
type Document struct {
	Version   string
	Statement []Statement
}

// version is the language that policies are written in, not a date that could be newer.
const version = "2012-10-17"

// Statement allows actions on resources. Statements of a trust policy have a principal in place of resources.
type Statement struct {
	Sid       string // letters and digits; one whose resource is "*" begins with EveryResource
	Effect    string
	Principal *Principal `json:",omitempty"`
	Action    []string
	Resource  []string  `json:",omitempty"`
	Condition Condition `json:",omitempty"`
}

// Principal is who may be a role: a service, or whoever an identity provider vouches for.
type Principal struct {
	Service   []string `json:",omitempty"`
	Federated []string `json:",omitempty"`
}

// Condition holds values by operator and by key. All of it must hold; of a list of values, one.
type Condition map[string]map[string][]string

// EveryResource begins the Sid of each statement whose actions IAM cannot limit to a resource.
const EveryResource = "EveryResource"

// JSON is the policy as IAM's console and commands take it, with a line break at the end.
func (d Document) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write a policy: %w", err)
	}
	return append(text, '\n'), nil
}

// Size is how much of IAM's limits the policy takes: its characters without white space.
func (d Document) Size() (int, error) {
	text, err := json.Marshal(d)
	return len(text), err
}

// placeholder is what CloudFormation fills in. IAM's own variables, like ${ec2:InstanceID}, are none.
var placeholder = regexp.MustCompile(`\$\{(?:AWS::[A-Za-z]+|[A-Z][A-Za-z0-9]*(?:\.[A-Za-z]+)*)\}`)

// Placeholders lists what is still to be filled in, sorted; none: IAM takes the policy as it is.
func (d Document) Placeholders() ([]string, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	return slices.Compact(slices.Sorted(slices.Values(PlaceholdersIn(string(text))))), nil
}

// PlaceholdersIn lists the placeholders of a text, in its order.
func PlaceholdersIn(text string) []string { return placeholder.FindAllString(text, -1) }

// allow is a statement.
func allow(sid string, actions, resources []string, conditions ...Condition) Statement {
	s := Statement{Sid: sid, Effect: "Allow", Action: slices.Sorted(slices.Values(actions)), Resource: resources}
	for _, condition := range conditions {
		for operator, keys := range condition {
			for key, values := range keys {
				s.Condition = s.Condition.with(operator, key, values)
			}
		}
	}
	return s
}

// look is a statement about what has no resources that IAM could tell apart.
func look(actions ...string) Statement {
	return allow(EveryResource+"Look", actions, []string{"*"})
}

func (c Condition) with(operator, key string, values []string) Condition {
	if c == nil {
		c = Condition{}
	}
	if c[operator] == nil {
		c[operator] = map[string][]string{}
	}
	c[operator][key] = values
	return c
}

// when is a condition of one key.
func when(operator, key string, values ...string) Condition {
	return Condition{operator: {key: values}}
}
