// Package policy reads policies of IAM and decides by them, as IAM does: what no statement allows is denied, and what one
// denies stays denied. It knows as much of their language as this project's policies have; what it does not know is an error
// of Parse, so that nothing ever holds because nobody understood it.
//
// It is written after IAM's reference, "Policy evaluation logic" and "IAM JSON policy elements: Condition operators".
package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Policy is a policy of an identity, as IAM stores it.
type Policy struct{ statements []statement }

// statement is one of its statements. A trust policy's Principal is not among what it may have.
type statement struct {
	Sid       string
	Effect    string
	Action    []string
	Resource  []string
	Condition map[string]map[string][]string

	tests []test
}

// language is the only version that has variables.
const language = "2012-10-17"

// Parse reads a policy. Placeholders that are not filled in, elements, operators and condition keys that the package does not
// know are errors.
func Parse(text []byte) (Policy, error) {
	var document struct {
		Version   string
		Statement []statement
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&document); err != nil {
		return Policy{}, fmt.Errorf("read a policy: %w", err)
	}
	if document.Version != language {
		return Policy{}, fmt.Errorf("the policy's language is %q, and must be %s", document.Version, language)
	}
	for i := range document.Statement {
		if err := document.Statement[i].prepare(); err != nil {
			return Policy{}, fmt.Errorf("statement %s: %w", document.Statement[i].Sid, err)
		}
	}
	return Policy{document.Statement}, nil
}

// prepare reads the conditions, and refuses what could never be decided.
func (s *statement) prepare() error {
	switch {
	case s.Effect != "Allow" && s.Effect != "Deny":
		return fmt.Errorf("its effect is %q", s.Effect)
	case len(s.Action) == 0 || len(s.Resource) == 0:
		return fmt.Errorf("it has %d actions and %d resources", len(s.Action), len(s.Resource))
	}
	for _, action := range s.Action {
		if !strings.Contains(action, ":") && action != "*" {
			return fmt.Errorf("%q is no action", action)
		}
	}
	for _, arn := range s.Resource {
		if arn != "*" && strings.Count(arn, ":") < 5 {
			return fmt.Errorf("%q is no ARN", arn)
		}
		if err := checkVariables(arn); err != nil {
			return err
		}
	}
	for operator, keys := range s.Condition {
		for key, values := range keys {
			one, err := newTest(operator, key, values)
			if err != nil {
				return err
			}
			s.tests = append(s.tests, one)
		}
	}
	slices.SortFunc(s.tests, func(a, b test) int { return strings.Compare(a.String(), b.String()) })
	return nil
}

// Request is what IAM is asked: whether somebody may do something to something.
type Request struct {
	Action   string // like ec2:RunInstances
	Resource string // an ARN; "*" for an action that IAM cannot limit to a resource
	Context  Context
}

// Decision is what comes of it.
type Decision struct {
	Allowed bool
	// By names the statements that allow it.
	By []string
	// Denied says that a statement denies it; otherwise none allows it.
	Denied bool
	// Why names the statements that would allow it, and what they lack.
	Why string
	// Missing are the keys that statements about this action and resource look at, and the request says nothing of.
	Missing []string
}

// Decide decides by policies, which are all of one identity.
func Decide(policies []Policy, r Request) Decision {
	var d Decision
	var near []string
	about := false
	for _, p := range policies {
		for _, s := range p.statements {
			if !slices.ContainsFunc(s.Action, func(pattern string) bool { return Like(strings.ToLower(pattern), strings.ToLower(r.Action)) }) {
				continue
			}
			about = true
			if !s.covers(r) {
				continue
			}
			failed := s.failing(r.Context)
			for _, t := range failed {
				if len(r.Context.values(t.key)) == 0 && !slices.Contains(d.Missing, t.key) {
					d.Missing = append(d.Missing, t.key)
				}
			}
			switch {
			case len(failed) > 0:
				near = append(near, s.Sid+" wants "+join(failed, r.Context))
			case s.Effect == "Deny":
				return Decision{Denied: true, Why: s.Sid + " denies it"}
			default:
				d.Allowed, d.By = true, append(d.By, s.Sid)
			}
		}
	}
	switch {
	case d.Allowed:
		return Decision{Allowed: true, By: d.By}
	case !about:
		d.Why = "no statement has the action"
	case len(near) == 0:
		d.Why = "no statement with the action has the resource"
	default:
		d.Why = strings.Join(near, "; ")
	}
	return d
}

// Grants are the actions that the policy allows, each with its statement, like "StartMachine ec2:RunInstances".
func (p Policy) Grants() []string {
	var list []string
	for _, s := range p.statements {
		for _, action := range s.Action {
			if s.Effect == "Allow" {
				list = append(list, s.Sid+" "+action)
			}
		}
	}
	return list
}

// covers tells whether a request's resource is one of the statement's.
func (s statement) covers(r Request) bool {
	return slices.ContainsFunc(s.Resource, func(pattern string) bool {
		filled, ok := fill(pattern, r.Context)
		return ok && likeARN(filled, r.Resource)
	})
}

// failing are the conditions that do not hold.
func (s statement) failing(c Context) []test {
	return slices.DeleteFunc(slices.Clone(s.tests), func(t test) bool { return t.holds(c) })
}

func join(tests []test, c Context) string {
	var words []string
	for _, t := range tests {
		is := "there is none"
		if values := c.values(t.key); len(values) > 0 {
			is = fmt.Sprintf("it is %q", values)
		}
		words = append(words, t.String()+", and "+is)
	}
	return strings.Join(words, ", ")
}
