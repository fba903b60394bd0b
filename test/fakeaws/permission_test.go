package fakeaws_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/cincbake/cincbake/test/fakeaws"
)

// grant allows an action on a resource, with a condition perhaps: "StringEquals aws:RequestTag/x=y".
type grant struct{ action, resource, condition string }

// policyOf is a policy of grants, each a statement of its own.
func policyOf(t *testing.T, grants []grant) []byte {
	t.Helper()
	type statement struct {
		Sid, Effect      string
		Action, Resource []string
		Condition        map[string]map[string][]string `json:",omitempty"`
	}
	var document struct {
		Version   string
		Statement []statement
	}
	document.Version = "2012-10-17"
	for i, g := range grants {
		s := statement{fmt.Sprintf("S%d", i), "Allow", []string{g.action}, []string{g.resource}, nil}
		if operator, rest, ok := strings.Cut(g.condition, " "); ok {
			key, value, _ := strings.Cut(rest, "=")
			s.Condition = map[string]map[string][]string{operator: {key: {value}}}
		}
		document.Statement = append(document.Statement, s)
	}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const (
	mine    = "arn:aws:ec2:eu-west-1:111122223333:"
	anyones = "arn:aws:ec2:eu-west-1::"
	byTag   = "StringEquals aws:RequestTag/cluster=prod"
	hasTag  = "StringEquals aws:ResourceTag/cluster=prod"
)

// limited are calls with all that they need, and what AWS asks about each.
func limited() []struct {
	name   string
	grants []grant
	// prepare makes what there must be, as somebody who may do everything, and returns the call.
	prepare func(a, who account) func() error
} {
	tags := func(kinds ...types.ResourceType) []types.TagSpecification {
		var list []types.TagSpecification
		for _, kind := range kinds {
			list = append(list, types.TagSpecification{ResourceType: kind, Tags: []types.Tag{{Key: aws.String("cluster"), Value: aws.String("prod")}}})
		}
		return list
	}
	within := func(action string) string { return "StringEquals ec2:CreateAction=" + action }
	own := func(a account) (volume string) {
		made := ok(a.ec2().CreateVolume(a.t.Context(), &ec2.CreateVolumeInput{
			AvailabilityZone: aws.String("eu-west-1a"), Size: aws.Int32(1), Encrypted: aws.Bool(true), KmsKeyId: aws.String("alias/ours"), TagSpecifications: tags("volume"),
		}))(a.t)
		return *made.VolumeId
	}
	const key = "arn:aws:kms:eu-west-1:111122223333:key/ours"
	template := func(a account) string {
		image := a.server.SeedImages(a.region, fakeaws.Image{Name: "api"})[0]
		ok(a.ec2().CreateTags(a.t.Context(), &ec2.CreateTagsInput{Resources: []string{image}, Tags: tags("image")[0].Tags}))(a.t)
		data := wholeTemplate(image, a.must("DescribeSecurityGroups").one("groupId"))
		data.TagSpecifications = []types.LaunchTemplateTagSpecificationRequest{{ResourceType: "instance", Tags: tags("instance")[0].Tags}}
		data.IamInstanceProfile = &types.LaunchTemplateIamInstanceProfileSpecificationRequest{Name: aws.String("api")}
		return *ok(a.ec2().CreateLaunchTemplate(a.t.Context(), &ec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("api"), LaunchTemplateData: data, TagSpecifications: tags("launch-template")}))(a.t).LaunchTemplate.LaunchTemplateId
	}
	byTemplate := "ArnLike ec2:LaunchTemplate=" + mine + "launch-template/*"
	starts := []grant{
		{"ec2:RunInstances", anyones + "image/*", hasTag},
		{"ec2:RunInstances", mine + "launch-template/*", hasTag},
		{"ec2:RunInstances", mine + "instance/*", byTemplate},
		{"ec2:RunInstances", mine + "volume/*", byTemplate},
		{"ec2:RunInstances", mine + "network-interface/*", byTemplate},
		{"ec2:RunInstances", mine + "subnet/*", ""},
		{"ec2:RunInstances", mine + "security-group/*", ""},
		{"ec2:CreateTags", mine + "instance/*", within("RunInstances")},
		{"iam:PassRole", "arn:aws:iam::111122223333:role/api", "StringEquals iam:PassedToService=ec2.amazonaws.com"},
	}
	const group = "arn:aws:autoscaling:eu-west-1:111122223333:autoScalingGroup:*:autoScalingGroupName/api"
	return []struct {
		name    string
		grants  []grant
		prepare func(a, who account) func() error
	}{
		{"a volume", []grant{
			{"ec2:CreateVolume", mine + "volume/*", "Bool ec2:Encrypted=true"},
			{"ec2:CreateTags", mine + "volume/*", within("CreateVolume")},
			{"kms:CreateGrant", key, "Bool kms:GrantIsForAWSResource=true"},
			{"kms:DescribeKey", key, "StringEquals kms:ViaService=ec2.eu-west-1.amazonaws.com"},
			{"kms:GenerateDataKeyWithoutPlaintext", key, ""},
		}, func(_, who account) func() error {
			return func() error {
				_, err := who.ec2().CreateVolume(who.t.Context(), &ec2.CreateVolumeInput{
					AvailabilityZone: aws.String("eu-west-1a"), Size: aws.Int32(1), Encrypted: aws.Bool(true), KmsKeyId: aws.String("alias/ours"), TagSpecifications: tags("volume"),
				})
				return err
			}
		}},
		{"a tag", []grant{{"ec2:CreateTags", mine + "volume/*", hasTag}}, func(a, who account) func() error {
			id := own(a)
			return func() error {
				_, err := who.ec2().CreateTags(who.t.Context(), &ec2.CreateTagsInput{Resources: []string{id}, Tags: tags("volume")[0].Tags})
				return err
			}
		}},
		{"an interface", []grant{
			{"ec2:CreateNetworkInterface", mine + "network-interface/*", byTag},
			{"ec2:CreateNetworkInterface", mine + "subnet/*", ""},
			{"ec2:CreateNetworkInterface", mine + "security-group/*", ""},
			{"ec2:CreateTags", mine + "network-interface/*", within("CreateNetworkInterface")},
		}, func(a, who account) func() error {
			in := &ec2.CreateNetworkInterfaceInput{
				SubnetId: aws.String(a.must("DescribeSubnets").one("subnetId")), Groups: []string{a.must("DescribeSecurityGroups").one("groupId")}, TagSpecifications: tags("network-interface"),
			}
			return func() error {
				_, err := who.ec2().CreateNetworkInterface(who.t.Context(), in)
				return err
			}
		}},
		{"an instance by a template", starts, func(a, who account) func() error {
			id := template(a)
			return func() error {
				_, err := who.ec2().RunInstances(who.t.Context(), &ec2.RunInstancesInput{
					LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateId: &id}, MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
				})
				return err
			}
		}},
		{"a group", slices.Concat(starts, []grant{
			{"autoscaling:CreateAutoScalingGroup", group, byTag},
			{"autoscaling:CreateOrUpdateTags", group, byTag},
			{
				"iam:CreateServiceLinkedRole", "arn:aws:iam::111122223333:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
				"StringEquals iam:AWSServiceName=autoscaling.amazonaws.com",
			},
		}), func(a, who account) func() error {
			id, subnet := template(a), a.must("DescribeSubnets").one("subnetId")
			return func() error {
				_, err := autoscaling.NewFromConfig(who.sdk()).CreateAutoScalingGroup(who.t.Context(), &autoscaling.CreateAutoScalingGroupInput{
					AutoScalingGroupName: aws.String("api"), MinSize: aws.Int32(0), MaxSize: aws.Int32(1), VPCZoneIdentifier: &subnet,
					LaunchTemplate: &scaling.LaunchTemplateSpecification{LaunchTemplateId: &id, Version: aws.String("1")},
					Tags:           []scaling.Tag{{Key: aws.String("cluster"), Value: aws.String("prod")}},
				})
				return err
			}
		}},
		{"a copy", []grant{
			{"ec2:CopyImage", anyones + "image/*", byTag},
			{"ec2:CopyImage", anyones + "snapshot/*", byTag},
			{"ec2:CopyImage", "arn:aws:ec2:eu-central-1::image/*", hasTag},
			{"ec2:CreateTags", anyones + "image/*", within("CopyImage")},
			{"ec2:CreateTags", anyones + "snapshot/*", within("CopyImage")},
			{"kms:CreateGrant", key, ""},
			{"kms:DescribeKey", key, ""},
			{"kms:GenerateDataKeyWithoutPlaintext", key, ""},
			{"kms:ReEncryptTo", key, ""},
		}, func(a, who account) func() error {
			from := a.in("eu-central-1")
			image := a.server.SeedImages("eu-central-1", fakeaws.Image{Name: "api"})[0]
			ok(from.ec2().CreateTags(a.t.Context(), &ec2.CreateTagsInput{Resources: []string{image}, Tags: tags("image")[0].Tags}))(a.t)
			return func() error {
				_, err := who.ec2().CopyImage(who.t.Context(), &ec2.CopyImageInput{
					Name: aws.String("copy"), SourceImageId: &image, SourceRegion: aws.String("eu-central-1"), Encrypted: aws.Bool(true), KmsKeyId: aws.String(key),
					TagSpecifications: tags("image", "snapshot"),
				})
				return err
			}
		}},
		{"a parameter", []grant{
			{"ssm:PutParameter", "arn:aws:ssm:eu-west-1:111122223333:parameter/a/b", byTag},
			{"ssm:AddTagsToResource", "arn:aws:ssm:eu-west-1:111122223333:parameter/a/b", ""},
			{"ec2:DescribeImages", "*", ""},
		}, func(a, who account) func() error {
			image := a.server.SeedImages(a.region, fakeaws.Image{Name: "api"})[0]
			return func() error {
				_, err := ssm.NewFromConfig(who.sdk()).PutParameter(who.t.Context(), &ssm.PutParameterInput{
					Name: aws.String("/a/b"), Value: &image, Type: "String", DataType: aws.String("aws:ec2:image"), Tags: []ssmtypes.Tag{{Key: aws.String("cluster"), Value: aws.String("prod")}},
				})
				return err
			}
		}},
		{"a secret", []grant{
			{"secretsmanager:CreateSecret", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:a/*", ""},
			{"kms:Decrypt", key, "StringEquals kms:ViaService=secretsmanager.eu-west-1.amazonaws.com"},
			{"kms:GenerateDataKey", key, ""},
		}, func(_, who account) func() error {
			return func() error {
				_, err := secretsmanager.NewFromConfig(who.sdk()).CreateSecret(who.t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("a/b"), KmsKeyId: aws.String(key), SecretString: aws.String("x")})
				return err
			}
		}},
		{"an object that there is not", []grant{
			{"s3:GetObject", "arn:aws:s3:::records/images/*", ""},
			{"s3:ListBucket", "arn:aws:s3:::records", "StringLike s3:prefix=images/*"},
		}, func(a, who account) func() error {
			a.server.AddBucket(a.region, "records")
			return func() error {
				_, err := who.s3().GetObject(who.t.Context(), &s3.GetObjectInput{Bucket: aws.String("records"), Key: aws.String("images/none")})
				if codeOf(err) == "NoSuchKey" {
					return nil
				}
				return err
			}
		}},
	}
}

// Each call needs each of its grants: without one, it is refused with that action's name, and nothing is done.
func TestLimit(t *testing.T) {
	for _, test := range limited() {
		for without := -1; without < len(test.grants); without++ {
			name := test.name
			if without >= 0 {
				name += " without " + test.grants[without].action + " of " + test.grants[without].resource
			}
			t.Run(name, func(t *testing.T) {
				a := newAccount(t, fakeaws.Options{})
				who := a
				who.key = "AKIALIMITED"
				call := test.prepare(a, who)
				grants := test.grants
				if without >= 0 {
					grants = slices.Delete(slices.Clone(grants), without, without+1)
				}
				if err := a.server.Limit(fakeaws.Caller{Key: who.key, Policies: [][]byte{policyOf(t, grants)}}); err != nil {
					t.Fatal(err)
				}
				before := fmt.Sprint(a.server.Resources())
				err := call()
				if without < 0 {
					if err != nil {
						t.Fatal(err)
					}
					return
				}
				var said smithy.APIError
				if !errors.As(err, &said) || !slices.Contains([]string{"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}, said.ErrorCode()) {
					t.Fatalf("got %v", err)
				}
				gone := test.grants[without]
				if !strings.Contains(said.ErrorMessage(), gone.action+" on resource: "+gone.resource[:strings.LastIndexAny(gone.resource, "/:")+1]) && gone.resource != "*" {
					t.Errorf("nothing is said of %s on %s: %v", gone.action, gone.resource, err)
				}
				if after := fmt.Sprint(a.server.Resources()); after != before {
					t.Errorf("it was done all the same: %s", after)
				}
			})
		}
	}
}

// Each condition counts: with another value in its place the call is refused, and told what the statement wants.
func TestLimitConditions(t *testing.T) {
	for _, test := range limited() {
		for i, g := range test.grants {
			if g.condition == "" {
				continue
			}
			t.Run(fmt.Sprintf("%s %d %s", test.name, i, g.action), func(t *testing.T) {
				a := newAccount(t, fakeaws.Options{})
				who := a
				who.key = "AKIALIMITED"
				call := test.prepare(a, who)
				grants := slices.Clone(test.grants)
				head, _, _ := strings.Cut(g.condition, "=")
				value := "another"
				if strings.HasPrefix(head, "Bool") {
					value = "false"
				}
				grants[i].condition = head + "=" + value
				if err := a.server.Limit(fakeaws.Caller{Key: who.key, Policies: [][]byte{policyOf(t, grants)}}); err != nil {
					t.Fatal(err)
				}
				err := call()
				if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("S%d wants %s [%q]", i, head, value)) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

// Machines are told apart by the instance that their credentials are of.
func TestLimitInstance(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	one, other := a.run(), a.run()
	itself := policyOf(t, []grant{{"ec2:CreateTags", mine + "instance/*", "ArnLike ec2:SourceInstanceARN=" + mine + "instance/${ec2:InstanceID}"}})
	if err := a.server.Limit(fakeaws.Caller{Key: "ASIAMACHINE", Policies: [][]byte{itself}, Instance: one}); err != nil {
		t.Fatal(err)
	}
	machine := a
	machine.key = "ASIAMACHINE"
	same(t, "unused before", a.server.Unused(machine.key), []string{"S0 ec2:CreateTags"})
	machine.must("CreateTags", "ResourceId.1", one, "Tag.1.Key", "a", "Tag.1.Value", "b")
	machine.refused("UnauthorizedOperation", "CreateTags", "ResourceId.1", other, "Tag.1.Key", "a", "Tag.1.Value", "b")
	machine.refused("UnauthorizedOperation", "CreateTags", "ResourceId.1", one, "ResourceId.2", other, "Tag.1.Key", "a", "Tag.1.Value", "b")
	machine.refused("UnauthorizedOperation", "DescribeInstances")
	a.must("DescribeInstances") // nobody limits this one
	same(t, "unused", len(a.server.Unused(machine.key)), 0)
	ok(sts.NewFromConfig(machine.sdk()).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{}))(t)
}

func TestLimitRefuses(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	unknown := policyOf(t, []grant{{"ec2:CreateTags", mine + "instance/*", "StringEquals aws:SourceIp=192.0.2.1"}})
	if err := a.server.Limit(fakeaws.Caller{Key: "AKIALIMITED", Policies: [][]byte{unknown}}); err == nil || !strings.Contains(err.Error(), "aws:SourceIp") {
		t.Errorf("a condition that nobody knows: %v", err)
	}
	if err := a.server.Limit(fakeaws.Caller{Key: "AKIALIMITED"}); err != nil {
		t.Fatal(err)
	}
	who := a
	who.key = "AKIALIMITED"
	who.refused("NoRule", "BidEvictInstances") // what IAM is asked about it, nobody knows
}

// Simulations go by the caller's policies, and name the keys that they were not told.
func TestLimitSimulates(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	who := a
	who.key = "AKIALIMITED"
	text := policyOf(t, []grant{
		{"iam:SimulatePrincipalPolicy", "arn:aws:iam::111122223333:user/*", ""},
		{"ec2:CreateVolume", mine + "volume/*", "Bool ec2:Encrypted=true"},
		{"ec2:DeleteVolume", mine + "volume/*", hasTag},
	})
	if err := a.server.Limit(fakeaws.Caller{Key: who.key, Policies: [][]byte{text}}); err != nil {
		t.Fatal(err)
	}
	out := ok(iam.NewFromConfig(who.sdk()).SimulatePrincipalPolicy(t.Context(), &iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: aws.String("arn:aws:iam::111122223333:user/baker"), ActionNames: []string{"ec2:CreateVolume", "ec2:DeleteVolume", "ec2:AttachVolume"},
		ResourceArns:   []string{mine + "volume/vol-1"},
		ContextEntries: []iamtypes.ContextEntry{{ContextKeyName: aws.String("ec2:Encrypted"), ContextKeyType: "boolean", ContextKeyValues: []string{"true"}}},
	}))(t)
	got := map[string]string{}
	for _, r := range out.EvaluationResults {
		got[*r.EvalActionName] = strings.TrimSpace(fmt.Sprint(r.EvalDecision, " ", strings.Join(r.MissingContextValues, " ")))
	}
	same(t, "decisions", got, map[string]string{
		"ec2:CreateVolume": "allowed", "ec2:DeleteVolume": "implicitDeny aws:ResourceTag/cluster", "ec2:AttachVolume": "implicitDeny",
	})
}
