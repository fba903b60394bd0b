package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Context is what a request says beside action and resource: values by condition key, whose letters' size does not matter.
type Context map[string][]string

// With returns the context with a key more. Without values, the key is not there.
func (c Context) With(key string, values ...string) Context {
	merged := Context{}
	for name, has := range c {
		merged[name] = has
	}
	if len(values) > 0 {
		merged[strings.ToLower(key)] = values
	}
	return merged
}

// Tagged returns the context with tags: those of what there is, by "aws:ResourceTag/", or of what a call gives, by
// "aws:RequestTag/".
func (c Context) Tagged(prefix string, tags map[string]string) Context {
	merged := c.With("")
	for key, value := range tags {
		merged[strings.ToLower(prefix+key)] = []string{value}
	}
	return merged
}

func (c Context) values(key string) []string { return c[strings.ToLower(key)] }

// Keys are the condition keys that whoever asks for decisions must be able to tell; a prefix ends with a slash. They are those
// of the Service Authorization Reference that this project's policies look at.
func Keys() []string {
	return []string{
		"aws:RequestTag/", "aws:ResourceTag/", "aws:TagKeys", "ec2:CreateAction", "ec2:Encrypted", "ec2:InstanceID", "ec2:LaunchTemplate",
		"ec2:Owner", "ec2:SourceInstanceARN", "iam:AWSServiceName", "iam:PassedToService", "kms:GrantIsForAWSResource", "kms:ViaService",
		"s3:prefix",
	}
}

func checkKey(key string) error {
	if slices.ContainsFunc(Keys(), func(known string) bool {
		if strings.HasSuffix(known, "/") {
			return len(key) > len(known) && strings.EqualFold(known, key[:len(known)])
		}
		return strings.EqualFold(known, key)
	}) {
		return nil
	}
	return fmt.Errorf("%q is no condition key that this package knows: add it to Keys, and to whoever asks for decisions", key)
}

// test is one condition: a key and the values of which one must be there.
type test struct {
	operator, key string
	values        []string

	set      string // ForAllValues or ForAnyValue; empty: the key has one value
	compare  func(pattern, value string) bool
	not      bool // no value may be equal
	ifExists bool
}

func (t test) String() string { return fmt.Sprintf("%s %s %q", t.operator, t.key, t.values) }

// comparison is what an operator does, without what may be before and behind its name; nil: it is none.
func comparison(name string) func(pattern, value string) bool {
	switch name {
	case "StringEquals":
		return func(pattern, value string) bool { return pattern == value }
	case "StringEqualsIgnoreCase", "Bool":
		return strings.EqualFold
	case "StringLike":
		return Like
	case "ArnEquals", "ArnLike": // IAM takes them for the same
		return likeARN
	}
	return nil
}

// null is the operator that looks whether there is a key.
const null = "Null"

func newTest(operator, key string, values []string) (test, error) {
	t := test{operator: operator, key: key, values: values}
	if err := checkKey(key); err != nil {
		return t, err
	}
	for _, value := range values {
		if err := checkVariables(value); err != nil {
			return t, err
		}
	}
	name := operator
	if set, rest, ok := strings.Cut(operator, ":"); ok {
		if set != "ForAllValues" && set != "ForAnyValue" {
			return t, fmt.Errorf("%q is no operator", operator)
		}
		t.set, name = set, rest
	}
	if name == null {
		if t.set != "" || len(values) != 1 || values[0] != "true" && values[0] != "false" {
			return t, fmt.Errorf("%s of %s takes true or false", operator, key)
		}
		return t, nil
	}
	name, t.ifExists = strings.CutSuffix(name, "IfExists")
	positive := strings.Replace(name, "Not", "", 1)
	t.not = positive != name
	if t.compare = comparison(positive); t.compare == nil {
		return t, fmt.Errorf("%q is no operator that this package knows", operator)
	}
	if len(values) == 0 {
		return t, fmt.Errorf("%s of %s has no values", operator, key)
	}
	return t, nil
}

// holds tells whether the condition holds. Of a key that is not there only a negated operator does, one for all of its
// values, and one that ends with IfExists.
func (t test) holds(c Context) bool {
	has := c.values(t.key)
	if t.operator == null {
		return (len(has) == 0) == (t.values[0] == "true")
	}
	if len(has) == 0 && (t.ifExists || t.set == "ForAllValues") {
		return true
	}
	one := func(value string) bool { return t.matches(c, value) != t.not }
	switch t.set {
	case "ForAllValues":
		return !slices.ContainsFunc(has, func(value string) bool { return !one(value) })
	case "ForAnyValue":
		return slices.ContainsFunc(has, one)
	}
	if len(has) == 0 {
		return t.not
	}
	// IAM's reference: a key with several values needs ForAllValues or ForAnyValue. Without, the outcome is not told; so it
	// is not met.
	return len(has) == 1 && one(has[0])
}

// matches tells whether a value is one of those that the condition lists.
func (t test) matches(c Context, value string) bool {
	return slices.ContainsFunc(t.values, func(pattern string) bool {
		filled, ok := fill(pattern, c)
		return ok && t.compare(filled, value)
	})
}

// variable is a policy variable, which stands for the value of a condition key. "${*}", "${?}" and "${$}" are the characters.
var variable = regexp.MustCompile(`\$\{([^}]*)\}`)

// checkVariables refuses variables that stand for nothing that is known, like placeholders that nobody filled in.
func checkVariables(text string) error {
	for _, match := range variable.FindAllStringSubmatch(text, -1) {
		if err := checkKey(match[1]); err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
	}
	return nil
}

// fill puts values in the place of variables. One without a value makes the whole text match nothing.
func fill(text string, c Context) (filled string, ok bool) {
	ok = true
	return variable.ReplaceAllStringFunc(text, func(match string) string {
		values := c.values(match[2 : len(match)-1])
		if len(values) != 1 {
			ok = false
			return ""
		}
		return values[0]
	}), ok
}

// Like matches a text with a pattern in which * stands for any characters, and ? for one.
func Like(pattern, text string) bool {
	for i := range len(pattern) {
		switch {
		case pattern[i] == '*':
			for n := 0; n <= len(text)-i; n++ {
				if Like(pattern[i+1:], text[i+n:]) {
					return true
				}
			}
			return false
		case i >= len(text) || pattern[i] != '?' && pattern[i] != text[i]:
			return false
		}
	}
	return len(pattern) == len(text)
}

// likeARN matches part by part: a * reaches over no colon of the first five.
func likeARN(pattern, arn string) bool {
	const parts = 6
	if pattern == "*" {
		return true
	}
	patterns, texts := strings.SplitN(pattern, ":", parts), strings.SplitN(arn, ":", parts)
	if len(patterns) < parts || len(texts) < parts {
		return pattern == arn
	}
	return !slices.ContainsFunc([]int{0, 1, 2, 3, 4, 5}, func(i int) bool { return !Like(patterns[i], texts[i]) })
}
