package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/test/fakeaws/policy"
)

const volume = "arn:aws:ec2:eu-west-1:111122223333:volume/vol-1"

// of is a policy of one statement about volumes, with a condition.
func of(condition string) string {
	return fmt.Sprintf(`{"Version": "2012-10-17", "Statement": [{"Sid": "One", "Effect": "Allow", "Action": ["ec2:CreateVolume"],
		"Resource": ["arn:aws:ec2:eu-west-1:111122223333:volume/*"], "Condition": {%s}}]}`, condition)
}

func parse(t *testing.T, text string) policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestConditions(t *testing.T) {
	tag := func(values ...string) policy.Context {
		return policy.Context{}.With("aws:requesttag/Cluster", values...)
	}
	keys := func(values ...string) policy.Context { return policy.Context{}.With("aws:TagKeys", values...) }
	machine := policy.Context{}.With("ec2:SourceInstanceARN", "arn:aws:ec2:eu-west-1:111122223333:instance/i-1")
	tests := []struct {
		condition string
		context   policy.Context
		want      bool
	}{
		{`"StringEquals": {"aws:RequestTag/cluster": ["prod", "test"]}`, tag("test"), true},
		{`"StringEquals": {"aws:RequestTag/cluster": ["prod"]}`, tag("Prod"), false},
		{`"StringEquals": {"aws:RequestTag/cluster": ["prod"]}`, tag(), false},
		{`"StringEquals": {"aws:RequestTag/cluster": ["pro*"]}`, tag("prod"), false},
		{`"StringEqualsIgnoreCase": {"aws:RequestTag/cluster": ["PROD"]}`, tag("prod"), true},
		{`"StringEqualsIfExists": {"aws:RequestTag/cluster": ["prod"]}`, tag(), true},
		{`"StringEqualsIfExists": {"aws:RequestTag/cluster": ["prod"]}`, tag("test"), false},
		{`"StringNotEquals": {"aws:RequestTag/cluster": ["prod"]}`, tag("test"), true},
		{`"StringNotEquals": {"aws:RequestTag/cluster": ["prod"]}`, tag("prod"), false},
		{`"StringNotEquals": {"aws:RequestTag/cluster": ["prod"]}`, tag(), true},
		{`"StringLike": {"aws:RequestTag/cluster": ["p?o*"]}`, tag("prod"), true},
		{`"StringLike": {"aws:RequestTag/cluster": ["p?o"]}`, tag("prod"), false},
		{`"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}`, keys("a"), true},
		{`"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}`, keys("a", "c"), false},
		{`"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}`, keys(), true},
		{`"ForAnyValue:StringEquals": {"aws:TagKeys": ["a", "b"]}`, keys("c", "b"), true},
		{`"ForAnyValue:StringEquals": {"aws:TagKeys": ["a", "b"]}`, keys(), false},
		{`"StringEquals": {"aws:TagKeys": ["a", "b"]}`, keys("a", "b"), false},
		{`"Null": {"aws:TagKeys": ["true"]}`, keys(), true},
		{`"Null": {"aws:TagKeys": ["false"]}`, keys(), false},
		{`"Null": {"aws:TagKeys": ["false"]}`, keys("a"), true},
		{`"Bool": {"ec2:Encrypted": ["true"]}`, policy.Context{}.With("ec2:Encrypted", "true"), true},
		{`"Bool": {"ec2:Encrypted": ["true"]}`, policy.Context{}.With("ec2:Encrypted", "false"), false},
		{`"ArnLike": {"ec2:SourceInstanceARN": ["arn:aws:ec2:*:111122223333:instance/*"]}`, machine, true},
		{`"ArnLike": {"ec2:SourceInstanceARN": ["arn:aws:ec2:*:instance/*"]}`, machine, false},
		{`"ArnLike": {"ec2:SourceInstanceARN": ["arn:aws:ec2:*:*:instance/${ec2:InstanceID}"]}`, machine.With("ec2:InstanceID", "i-1"), true},
		{`"ArnLike": {"ec2:SourceInstanceARN": ["arn:aws:ec2:*:*:instance/${ec2:InstanceID}"]}`, machine.With("ec2:InstanceID", "i-2"), false},
		{`"ArnLike": {"ec2:SourceInstanceARN": ["arn:aws:ec2:*:*:instance/${ec2:InstanceID}"]}`, machine, false},
		{`"StringEquals": {"aws:RequestTag/cluster": ["prod"]}, "Null": {"aws:TagKeys": ["false"]}`, tag("prod"), false},
	}
	for _, test := range tests {
		d := policy.Decide([]policy.Policy{parse(t, of(test.condition))}, policy.Request{Action: "ec2:CreateVolume", Resource: volume, Context: test.context})
		if d.Allowed != test.want || !d.Allowed && !strings.Contains(d.Why, "One wants") {
			t.Errorf("%s with %v: %+v", test.condition, test.context, d)
		}
	}
}

func TestDecide(t *testing.T) {
	const deny = `{"Version": "2012-10-17", "Statement": [{"Sid": "Never", "Effect": "Deny", "Action": ["ec2:*"], "Resource": ["*"]}]}`
	tests := []struct {
		name     string
		policies []string
		request  policy.Request
		want     policy.Decision
	}{
		{"allowed", []string{of("")}, policy.Request{Action: "ec2:createvolume", Resource: volume}, policy.Decision{Allowed: true, By: []string{"One"}}},
		{"nobody says", nil, policy.Request{Action: "ec2:CreateVolume", Resource: volume}, policy.Decision{Why: "no statement has the action"}},
		{"another action", []string{of("")}, policy.Request{Action: "ec2:DeleteVolume", Resource: volume}, policy.Decision{Why: "no statement has the action"}},
		{
			"another resource",
			[]string{of("")},
			policy.Request{Action: "ec2:CreateVolume", Resource: strings.Replace(volume, "west", "central", 1)},
			policy.Decision{Why: "no statement with the action has the resource"},
		},
		{"every resource", []string{of("")}, policy.Request{Action: "ec2:CreateVolume", Resource: "*"}, policy.Decision{Why: "no statement with the action has the resource"}},
		{"denied", []string{of(""), deny}, policy.Request{Action: "ec2:CreateVolume", Resource: volume}, policy.Decision{Denied: true, Why: "Never denies it"}},
		{
			"what a key lacks",
			[]string{of(`"StringEquals": {"ec2:CreateAction": ["RunInstances"]}`)},
			policy.Request{Action: "ec2:CreateVolume", Resource: volume},
			policy.Decision{Why: `One wants StringEquals ec2:CreateAction ["RunInstances"], and there is none`, Missing: []string{"ec2:CreateAction"}},
		},
		{
			"the second of two",
			[]string{of(`"Bool": {"ec2:Encrypted": ["true"]}`), of("")},
			policy.Request{Action: "ec2:CreateVolume", Resource: volume},
			policy.Decision{Allowed: true, By: []string{"One"}},
		},
	}
	for _, test := range tests {
		var all []policy.Policy
		for _, text := range test.policies {
			all = append(all, parse(t, text))
		}
		if diff := cmp.Diff(test.want, policy.Decide(all, test.request)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// What the package does not understand is never taken for something that holds.
func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ text, says string }{
		{of(`"StringEquals": {"aws:SourceIp": ["192.0.2.1"]}`), "aws:SourceIp"},
		{of(`"StringEquals": {"aws:RequestTag/": ["x"]}`), "aws:RequestTag/"},
		{of(`"IpAddress": {"aws:TagKeys": ["192.0.2.1"]}`), "IpAddress"},
		{of(`"ForSomeValues:StringEquals": {"aws:TagKeys": ["a"]}`), "ForSomeValues"},
		{of(`"Null": {"aws:TagKeys": ["perhaps"]}`), "true or false"},
		{of(`"StringEquals": {"aws:TagKeys": []}`), "no values"},
		{of(`"StringEquals": {"aws:RequestTag/x": ["${aws:username}"]}`), "aws:username"},
		{strings.Replace(of(""), "111122223333", "${AWS::AccountId}", 1), "AWS::AccountId"},
		{strings.Replace(of(""), "2012-10-17", "2008-10-17", 1), "language"},
		{strings.Replace(of(""), "Allow", "Permit", 1), "Permit"},
		{strings.Replace(of(""), `"Action"`, `"NotAction"`, 1), "NotAction"},
		{strings.Replace(of(""), "ec2:CreateVolume", "CreateVolume", 1), "no action"},
		{strings.Replace(of(""), "arn:aws:ec2:eu-west-1:111122223333:volume/*", "volume/*", 1), "no ARN"},
		{`{"Version": "2012-10-17", "Statement": [{"Sid": "One", "Effect": "Allow", "Action": ["ec2:CreateVolume"]}]}`, "0 resources"},
		{"[]", "read a policy"},
	} {
		if _, err := policy.Parse([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", test.text, err)
		}
	}
}

func TestLike(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"a*", "a", true},
		{"a*c*", "abcd", true},
		{"a*d*c", "abcd", false},
		{"?", "", false},
		{"secret-??????", "secret-abc123", true},
		{"secret-??????", "secret-abc1234", false},
	} {
		if got := policy.Like(test.pattern, test.text); got != test.want {
			t.Errorf("%q like %q: %v", test.text, test.pattern, got)
		}
	}
}
