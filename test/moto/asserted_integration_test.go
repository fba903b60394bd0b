//go:build integration

package moto_test

import (
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/test/moto"
)

// scalingInput is a group of one machine of a template's second version.
func scalingInput(name, template string) *autoscaling.CreateAutoScalingGroupInput {
	return &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String(name), MinSize: aws.Int32(1), MaxSize: aws.Int32(1), AvailabilityZones: []string{ireland + "a"},
		LaunchTemplate: &scaling.LaunchTemplateSpecification{LaunchTemplateId: aws.String(template), Version: aws.String("2")},
	}
}

// asserted looks at what was sent: what a stand-in does not mind, AWS does.
func (s *stage) asserted() {
	s.Helper()
	ours := func(role string) map[string]string {
		return map[string]string{cluster.TagCluster: "prod", cluster.TagRole: role}
	}
	has := func(c moto.Call, of string, got, want map[string]string) {
		s.Helper()
		for key, value := range want {
			if got[key] != value {
				s.Errorf("%s gives %s the tags %v, and not %s=%s", c.Name(), of, got, key, value)
			}
		}
	}
	params := func(c moto.Call, want map[string]string) {
		s.Helper()
		for name, value := range want {
			if got := c.Params.Get(name); got != value {
				s.Errorf("%s has %s=%q, want %q", c.Name(), name, got, value)
			}
		}
	}
	one := func(action string, mine func(moto.Call) bool) moto.Call {
		s.Helper()
		for _, c := range s.proxy.Calls(action) {
			if mine(c) {
				return c
			}
		}
		s.Fatalf("nobody called %s", action)
		return moto.Call{}
	}
	all := func(moto.Call) bool { return true }

	c := one("CopyImage", all)
	params(c, map[string]string{"Encrypted": "true", "KmsKeyId": copyKey, "SourceRegion": ireland})
	for _, kind := range []string{"image", "snapshot"} {
		has(c, kind, c.Tags(kind), ours("api"))
	}
	for _, c := range s.proxy.Calls("PutObject") {
		if c.Params.Get("If-None-Match") != "*" {
			s.Errorf("%s was written over whatever is there", c.Params.Get("Key"))
		}
	}
	c = one("PutParameter", all)
	params(c, map[string]string{"Name": "/cincbake/prod/api/stable", "Type": "String", "DataType": "aws:ec2:image"})
	has(c, "the parameter", c.Tags(""), ours("api"))

	c = one("CreateLaunchTemplate", func(c moto.Call) bool { return c.Params.Get("LaunchTemplateName") == "cincbake-prod-api" })
	has(c, "the template", c.Tags("launch-template"), ours("api"))
	whole := map[string]string{
		"LaunchTemplateData.MetadataOptions.HttpTokens": "required", "LaunchTemplateData.MetadataOptions.HttpPutResponseHopLimit": "1",
		"LaunchTemplateData.BlockDeviceMapping.1.Ebs.Encrypted": "true", "LaunchTemplateData.BlockDeviceMapping.1.Ebs.KmsKeyId": key,
		"LaunchTemplateData.IamInstanceProfile.Name": profile,
	}
	params(c, whole)
	tokens := map[string]bool{c.Params.Get("ClientToken"): true}
	versions := 0
	for _, c := range s.proxy.Calls("CreateLaunchTemplateVersion") {
		if !strings.HasPrefix(c.Params.Get("VersionDescription"), "cincbake ") {
			continue // of the limits
		}
		versions++
		params(c, whole)
		if c.Params.Has("SourceVersion") {
			s.Error("a version takes something over from another one")
		}
		tokens[c.Params.Get("ClientToken")] = true
	}
	if tokens[""] || len(tokens) != versions+1 {
		s.Errorf("%d versions have the tokens %v: each needs its own", versions+1, tokens)
	}

	c = one("CreateAutoScalingGroup", func(c moto.Call) bool { return c.Params.Get("AutoScalingGroupName") == "cincbake-prod-api" })
	has(c, "the group", c.Tags(""), ours("api"))
	params(c, map[string]string{
		"HealthCheckType": "EC2", "LaunchTemplate.Version": "1",
		"LifecycleHookSpecificationList.member.1.LifecycleHookName": cluster.ReadyHook, "LifecycleHookSpecificationList.member.1.DefaultResult": "ABANDON",
	})
	c = one("StartInstanceRefresh", all)
	params(c, map[string]string{"Preferences.SkipMatching": "true", "Preferences.MinHealthyPercentage": "100"})

	c = one("CreateSecret", func(c moto.Call) bool { return strings.HasPrefix(c.Params.Get("Name"), "cincbake/") })
	has(c, "the secret", c.Tags(""), ours("api"))
	params(c, map[string]string{"KmsKeyId": key})
	put := one("PutSecretValue", all)
	made, again := c.Params.Get("ClientRequestToken"), put.Params.Get("ClientRequestToken")
	if form := regexp.MustCompile(`^[0-9a-f]{32}$`); !form.MatchString(made) || !form.MatchString(again) || made == again {
		s.Errorf("the tokens of a secret's versions are %q and %q", made, again)
	}
	for _, c := range s.proxy.Calls("GetSecretValue") {
		params(c, map[string]string{"VersionStage": "AWSCURRENT"})
	}
	s.signed()
}

// signed checks that every call was one of a service in a region of the suite's: none went to AWS itself, or nowhere.
func (s *stage) signed() {
	s.Helper()
	regions := map[string]bool{}
	for _, c := range s.proxy.Calls("") {
		regions[c.Region] = true
		if c.Service == "unsigned" || c.Action == "" {
			s.Errorf("a call is not to be understood: %+v", c)
		}
	}
	if diff := cmp.Diff(map[string]bool{ireland: true, frankfurt: true}, regions); diff != "" {
		s.Errorf("regions (-want +got):\n%s", diff)
	}
}
