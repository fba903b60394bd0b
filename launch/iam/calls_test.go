package iam_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/images/ec2"
	"github.com/cincbake/cincbake/launch"
	"github.com/cincbake/cincbake/launch/iam"
	"github.com/cincbake/cincbake/secrets/awssm"
)

// callsOf lists the actions of an interface: its methods are AWS's own names.
func callsOf[T any](service string) []string {
	var calls []string
	for method := range reflect.TypeFor[T]().Methods() {
		calls = append(calls, service+":"+method.Name)
	}
	return calls
}

// What the code can call at all, its roles may; and what they may, it can call, but for what others do in its place.
func TestCalls(t *testing.T) {
	launching := slices.Concat(callsOf[launch.EC2]("ec2"), callsOf[launch.AutoScaling]("autoscaling"), callsOf[launch.Targets]("elasticloadbalancing"), callsOf[launch.Parameters]("ssm"),
		callsOf[launch.Access]("iam"), callsOf[launch.Quotas]("servicequotas"))
	cataloguing := slices.Concat(callsOf[ec2.EC2]("ec2"), callsOf[ec2.Groups]("autoscaling"), callsOf[ec2.Parameters]("ssm"), callsOf[ec2.Objects]("s3"))
	tests := []struct {
		name     string
		roles    []string
		calls    []string
		indirect map[string]string // actions that AWS asks for, with the reason; nil: others call, too
	}{
		{"launch", []string{iam.Launch, iam.Operate}, launching, map[string]string{
			"autoscaling:CreateOrUpdateTags":      "a group's tags come with it",
			"ec2:CreateTags":                      "as do those of what EC2 makes",
			"ec2:RunInstances":                    "autoscaling asks whether its caller may",
			"iam:PassRole":                        "likewise",
			"iam:CreateServiceLinkedRole":         "autoscaling makes its own role at its first group",
			"kms:CreateGrant":                     "EBS encrypts volumes for whoever makes them",
			"kms:DescribeKey":                     "likewise",
			"kms:GenerateDataKeyWithoutPlaintext": "likewise",
		}},
		{"secrets", []string{iam.Secrets}, callsOf[awssm.Writer]("secretsmanager"), map[string]string{
			"secretsmanager:TagResource": "a secret's tags come with it",
			"kms:Decrypt":                "Secrets Manager opens secrets for whoever reads them",
			"kms:GenerateDataKey":        "and encrypts them for whoever writes them",
		}},
		{"catalogue", []string{iam.Bake, iam.Promote}, cataloguing, nil},
	}
	r := parse(t, example(t, cluster.SelfHosted))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			allowed := map[string]bool{}
			for _, name := range test.roles {
				role, err := iam.Find(r, name)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range iam.For(r, role, place(t, r, account)).Statement {
					for _, action := range s.Action {
						allowed[action] = true
					}
				}
			}
			for _, call := range test.calls {
				if !allowed[call] {
					t.Errorf("%s is called, and allowed to nobody of %s", call, strings.Join(test.roles, ", "))
				}
			}
			if test.indirect == nil {
				return
			}
			for action := range allowed {
				if !slices.Contains(test.calls, action) && test.indirect[action] == "" {
					t.Errorf("%s is allowed, and nothing calls it", action)
				}
			}
			for action := range test.indirect {
				if !allowed[action] {
					t.Errorf("%s is not allowed", action)
				}
			}
		})
	}
}
