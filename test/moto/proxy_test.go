package moto_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/test/moto"
)

// standIn answers what a test says, by action, and remembers what it was asked. What it does not know is a page of HTML, as
// moto's.
type standIn struct {
	mu      sync.Mutex
	answers map[string]string
	asked   []url.Values
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, values)
	text, known := s.answers[values.Get("Action")]
	if !known || values.Get("Action") == "CreateImage" && values.Get("TagSpecification.2.ResourceType") == "snapshot" {
		w.WriteHeader(http.StatusInternalServerError)
		text = "<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>\n"
	}
	_, _ = io.WriteString(w, text)
}

// newProxy is a proxy in front of a stand-in that has some answers.
func newProxy(t *testing.T, answers map[string]string) (*moto.Proxy, *standIn, aws.Config) {
	t.Helper()
	behind := &standIn{answers: answers}
	server := httptest.NewServer(behind)
	t.Cleanup(server.Close)
	proxy, err := moto.New(server.URL, moto.Substitutes())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	return proxy, behind, aws.Config{Region: "eu-west-1", BaseEndpoint: aws.String(proxy.URL), Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", "")}
}

// codeOf is that of AWS's error; another error ends the test.
func codeOf(t *testing.T, err error) string {
	t.Helper()
	var said smithy.APIError
	if err != nil && !errors.As(err, &said) {
		t.Fatalf("no error of an API: %v", err)
	}
	if said == nil {
		return ""
	}
	return said.ErrorCode()
}

// What a stand-in does not know is an error that clients understand, in every protocol, and do not repeat.
func TestUnknownIsFinal(t *testing.T) {
	for service, call := range map[string]func(context.Context, aws.Config) error{
		"ec2 DescribeFleets": func(ctx context.Context, sdk aws.Config) error {
			_, err := ec2.NewFromConfig(sdk).DescribeFleets(ctx, &ec2.DescribeFleetsInput{})
			return err
		},
		"autoscaling DescribeAccountLimits": func(ctx context.Context, sdk aws.Config) error {
			_, err := autoscaling.NewFromConfig(sdk).DescribeAccountLimits(ctx, &autoscaling.DescribeAccountLimitsInput{})
			return err
		},
		"secretsmanager ListSecrets": func(ctx context.Context, sdk aws.Config) error {
			_, err := secretsmanager.NewFromConfig(sdk).ListSecrets(ctx, &secretsmanager.ListSecretsInput{})
			return err
		},
		"autoscaling CompleteLifecycleAction": func(ctx context.Context, sdk aws.Config) error {
			_, err := autoscaling.NewFromConfig(sdk).CompleteLifecycleAction(ctx, &autoscaling.CompleteLifecycleActionInput{
				AutoScalingGroupName: aws.String("g"), LifecycleHookName: aws.String("h"), LifecycleActionResult: aws.String("CONTINUE"),
			})
			return err
		},
	} {
		t.Run(service, func(t *testing.T) {
			proxy, _, sdk := newProxy(t, nil)
			if code := codeOf(t, call(t.Context(), sdk)); code != "NotImplemented" {
				t.Errorf("the code is %q", code)
			}
			if calls := proxy.Calls(""); len(calls) != 1 || calls[0].Name() != service || calls[0].Region != "eu-west-1" || calls[0].Code != "NotImplemented" {
				t.Errorf("recorded: %+v", calls)
			}
			want := []string{service}
			if strings.HasSuffix(service, "Action") { // it is listed
				want = nil
			}
			if diff := cmp.Diff(want, proxy.Lacks()); diff != "" {
				t.Errorf("unknown calls (-want +got):\n%s", diff)
			}
		})
	}
}

// What is listed is answered, and shows in what is described afterwards.
func TestImagesAreRemembered(t *testing.T) {
	proxy, _, sdk := newProxy(t, map[string]string{
		"DescribeImages": "<DescribeImagesResponse><imagesSet><item><imageId>ami-1</imageId></item><item><imageId>ami-2</imageId></item></imagesSet></DescribeImagesResponse>",
	})
	ctx, client := t.Context(), ec2.NewFromConfig(sdk)
	describe := func() string {
		t.Helper()
		out, err := client.DescribeImages(ctx, &ec2.DescribeImagesInput{})
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, i := range out.Images {
			said = append(said, fmt.Sprintf("%s %s %s", aws.ToString(i.ImageId), aws.ToString(i.DeregistrationProtection), aws.ToString(i.DeprecationTime)))
		}
		return strings.Join(said, ", ")
	}
	if got := describe(); got != "ami-1  , ami-2  " || proxy.Used()["ec2 DescribeImages"] != 0 {
		t.Errorf("before: %q, %v", got, proxy.Used())
	}
	_, err := client.EnableImageDeprecation(ctx, &ec2.EnableImageDeprecationInput{ImageId: aws.String("ami-1"), DeprecateAt: aws.Time(time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = client.EnableImageDeregistrationProtection(ctx, &ec2.EnableImageDeregistrationProtectionInput{ImageId: aws.String("ami-2")}); err != nil {
		t.Fatal(err)
	}
	if got := describe(); got != "ami-1  2030-06-01T00:00:00Z, ami-2 enabled " {
		t.Errorf("after: %q", got)
	}
	if _, err = client.DisableImageDeregistrationProtection(ctx, &ec2.DisableImageDeregistrationProtectionInput{ImageId: aws.String("ami-2")}); err != nil {
		t.Fatal(err)
	}
	if got := describe(); !strings.HasSuffix(got, "ami-2 disabled ") {
		t.Errorf("unprotected: %q", got)
	}
	if used := proxy.Used(); used["ec2 DescribeImages"] != 2 || len(proxy.Lacks()) > 0 {
		t.Errorf("used %v, lacks %v", used, proxy.Lacks())
	}
}

// A call is made as AWS would get it first, and without what fails then.
func TestSnapshotTagsAreLeftOut(t *testing.T) {
	proxy, behind, sdk := newProxy(t, map[string]string{"CreateImage": "<CreateImageResponse><imageId>ami-1</imageId></CreateImageResponse>"})
	tags := []types.Tag{{Key: aws.String("cincbake:cluster"), Value: aws.String("prod")}}
	made, err := ec2.NewFromConfig(sdk).CreateImage(t.Context(), &ec2.CreateImageInput{
		InstanceId: aws.String("i-1"), Name: aws.String("one"),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeImage, Tags: tags}, {ResourceType: types.ResourceTypeSnapshot, Tags: tags}},
	})
	if err != nil || aws.ToString(made.ImageId) != "ami-1" {
		t.Fatalf("%v, %v", made, err)
	}
	if len(behind.asked) != 2 || behind.asked[0].Get("TagSpecification.2.ResourceType") != "snapshot" {
		t.Fatalf("asked: %v", behind.asked)
	}
	second := behind.asked[1]
	if second.Get("TagSpecification.1.ResourceType") != "image" || second.Get("TagSpecification.1.Tag.1.Value") != "prod" || second.Has("TagSpecification.2.ResourceType") || second.Get("Name") != "one" {
		t.Errorf("asked then: %v", second)
	}
	call := proxy.Calls("CreateImage")[0]
	for _, kind := range []string{"image", "snapshot"} { // as the client made it
		if diff := cmp.Diff(map[string]string{"cincbake:cluster": "prod"}, call.Tags(kind)); diff != "" {
			t.Errorf("recorded tags of the %s (-want +got):\n%s", kind, diff)
		}
	}
}

const templateVersions = `<DescribeLaunchTemplateVersionsResponse><launchTemplateVersionSet>
	<item><launchTemplateId>lt-1</launchTemplateId><versionNumber>1</versionNumber><launchTemplateData><imageId>ami-1</imageId></launchTemplateData></item>
	<item><launchTemplateId>lt-1</launchTemplateId><versionNumber>2</versionNumber><launchTemplateData><imageId>ami-2</imageId></launchTemplateData></item>
</launchTemplateVersionSet></DescribeLaunchTemplateVersionsResponse>`

// User data does not reach the stand-in, and is described; a version that was deleted is not.
func TestTemplateVersions(t *testing.T) {
	_, behind, sdk := newProxy(t, map[string]string{
		"DescribeLaunchTemplateVersions": templateVersions,
		"CreateLaunchTemplateVersion":    "<CreateLaunchTemplateVersionResponse><launchTemplateVersion><launchTemplateId>lt-1</launchTemplateId><versionNumber>2</versionNumber></launchTemplateVersion></CreateLaunchTemplateVersionResponse>",
	})
	ctx, client := t.Context(), ec2.NewFromConfig(sdk)
	_, err := client.CreateLaunchTemplateVersion(ctx, &ec2.CreateLaunchTemplateVersionInput{
		LaunchTemplateId: aws.String("lt-1"), LaunchTemplateData: &types.RequestLaunchTemplateData{ImageId: aws.String("ami-2"), UserData: aws.String("eA==")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if sent := behind.asked[0]; sent.Has("LaunchTemplateData.UserData") || sent.Get("LaunchTemplateData.ImageId") != "ami-2" {
		t.Errorf("sent on: %v", sent)
	}
	describe := func() string {
		t.Helper()
		out, err := client.DescribeLaunchTemplateVersions(ctx, &ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateId: aws.String("lt-1")})
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, v := range out.LaunchTemplateVersions {
			said = append(said, fmt.Sprintf("%d %s %q", *v.VersionNumber, *v.LaunchTemplateData.ImageId, aws.ToString(v.LaunchTemplateData.UserData)))
		}
		return strings.Join(said, ", ")
	}
	if got := describe(); got != `1 ami-1 "", 2 ami-2 "eA=="` {
		t.Errorf("described: %s", got)
	}
	out, err := client.DeleteLaunchTemplateVersions(ctx, &ec2.DeleteLaunchTemplateVersionsInput{LaunchTemplateId: aws.String("lt-1"), Versions: []string{"1"}})
	if err != nil || len(out.SuccessfullyDeletedLaunchTemplateVersions) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	if got := describe(); got != `2 ami-2 "eA=="` {
		t.Errorf("described: %s", got)
	}
}

// A disk without a size, which is its image's then, gets one.
func TestDisksHaveSizes(t *testing.T) {
	_, behind, sdk := newProxy(t, map[string]string{"CreateLaunchTemplate": "<CreateLaunchTemplateResponse/>"})
	disk := func(name string, ebs types.LaunchTemplateEbsBlockDeviceRequest) types.LaunchTemplateBlockDeviceMappingRequest {
		return types.LaunchTemplateBlockDeviceMappingRequest{DeviceName: aws.String(name), Ebs: &ebs}
	}
	_, err := ec2.NewFromConfig(sdk).CreateLaunchTemplate(t.Context(), &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: aws.String("one"), LaunchTemplateData: &types.RequestLaunchTemplateData{BlockDeviceMappings: []types.LaunchTemplateBlockDeviceMappingRequest{
			disk("/dev/xvda", types.LaunchTemplateEbsBlockDeviceRequest{Encrypted: aws.Bool(true)}),
			disk("/dev/xvdb", types.LaunchTemplateEbsBlockDeviceRequest{VolumeSize: aws.Int32(20)}),
			disk("/dev/xvdc", types.LaunchTemplateEbsBlockDeviceRequest{SnapshotId: aws.String("snap-1")}),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var sizes []string
	for n := 1; n <= 3; n++ {
		sizes = append(sizes, behind.asked[0].Get(fmt.Sprintf("LaunchTemplateData.BlockDeviceMapping.%d.Ebs.VolumeSize", n)))
	}
	if diff := cmp.Diff([]string{"8", "20", ""}, sizes); diff != "" {
		t.Errorf("sizes (-want +got):\n%s", diff)
	}
}

// A copy gets its tags, and its snapshots theirs, by calls of the proxy's own.
func TestCopiesAreTagged(t *testing.T) {
	proxy, behind, sdk := newProxy(t, map[string]string{
		"CopyImage":      "<CopyImageResponse><imageId>ami-2</imageId></CopyImageResponse>",
		"DescribeImages": "<R><imagesSet><item><imageId>ami-2</imageId><blockDeviceMapping><item><ebs><snapshotId>snap-2</snapshotId></ebs></item></blockDeviceMapping></item></imagesSet></R>",
		"CreateTags":     "<CreateTagsResponse><return>true</return></CreateTagsResponse>",
	})
	specification := func(kind types.ResourceType) types.TagSpecification {
		return types.TagSpecification{ResourceType: kind, Tags: []types.Tag{{Key: aws.String("of"), Value: aws.String(string(kind))}}}
	}
	_, err := ec2.NewFromConfig(sdk).CopyImage(t.Context(), &ec2.CopyImageInput{
		Name: aws.String("one"), SourceImageId: aws.String("ami-1"), SourceRegion: aws.String("eu-central-1"),
		TagSpecifications: []types.TagSpecification{specification(types.ResourceTypeImage), specification(types.ResourceTypeSnapshot)},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, values := range behind.asked {
		if values.Get("Action") == "CreateTags" {
			got[values.Get("ResourceId.1")] = values.Get("Tag.1.Key") + "=" + values.Get("Tag.1.Value")
		}
	}
	if diff := cmp.Diff(map[string]string{"ami-2": "of=image", "snap-2": "of=snapshot"}, got); diff != "" {
		t.Errorf("tagged (-want +got):\n%s", diff)
	}
	if calls := proxy.Calls(""); len(calls) != 1 {
		t.Errorf("the proxy's own calls are recorded as the client's: %v", calls)
	}
}

const groupOfTwo = `<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups><member><AutoScalingGroupName>g</AutoScalingGroupName>
<LaunchTemplate><LaunchTemplateId>lt-1</LaunchTemplateId><Version>%d</Version></LaunchTemplate><Instances>
<member><InstanceId>i-%d</InstanceId><LaunchTemplate><LaunchTemplateId>lt-1</LaunchTemplateId><Version>1</Version></LaunchTemplate></member>
<member><InstanceId>i-%d</InstanceId><LaunchTemplate><LaunchTemplateId>lt-1</LaunchTemplateId><Version>1</Version></LaunchTemplate></member>
</Instances></member></AutoScalingGroups></DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>`

// A refresh ends what is of another version, and what comes then is of the group's.
func TestRefresh(t *testing.T) {
	proxy, behind, sdk := newProxy(t, map[string]string{
		"DescribeAutoScalingGroups":           fmt.Sprintf(groupOfTwo, 1, 1, 2),
		"TerminateInstanceInAutoScalingGroup": "<TerminateInstanceInAutoScalingGroupResponse/>",
	})
	ctx, client := t.Context(), autoscaling.NewFromConfig(sdk)
	versions := func() string {
		t.Helper()
		out, err := client.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{})
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, i := range out.AutoScalingGroups[0].Instances {
			said = append(said, *i.InstanceId+" "+*i.LaunchTemplate.Version)
		}
		return strings.Join(said, ", ")
	}
	show := func(version, one, two int) {
		behind.mu.Lock()
		defer behind.mu.Unlock()
		behind.answers["DescribeAutoScalingGroups"] = fmt.Sprintf(groupOfTwo, version, one, two)
	}
	if got := versions(); got != "i-1 1, i-2 1" {
		t.Errorf("before: %s", got)
	}
	show(2, 1, 3) // one was replaced already
	began, err := client.StartInstanceRefresh(ctx, &autoscaling.StartInstanceRefreshInput{AutoScalingGroupName: aws.String("g")})
	if err != nil {
		t.Fatal(err)
	}
	var ended []string
	for _, values := range behind.asked {
		if values.Get("Action") == "TerminateInstanceInAutoScalingGroup" {
			ended = append(ended, values.Get("InstanceId")+" "+values.Get("ShouldDecrementDesiredCapacity"))
		}
	}
	if diff := cmp.Diff([]string{"i-1 false"}, ended); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
	show(2, 3, 4)
	if got := versions(); got != "i-3 2, i-4 2" || proxy.Used()["autoscaling DescribeAutoScalingGroups"] != 1 {
		t.Errorf("after: %s, %v", got, proxy.Used())
	}
	out, err := client.DescribeInstanceRefreshes(ctx, &autoscaling.DescribeInstanceRefreshesInput{AutoScalingGroupName: aws.String("g")})
	if err != nil || len(out.InstanceRefreshes) != 1 || *out.InstanceRefreshes[0].InstanceRefreshId != *began.InstanceRefreshId || out.InstanceRefreshes[0].Status != "Successful" {
		t.Errorf("%+v, %v", out, err)
	}
}

// What needs no state of the account, the fake answers.
func TestFakeAnswers(t *testing.T) {
	_, _, sdk := newProxy(t, nil)
	out, err := iam.NewFromConfig(sdk).SimulatePrincipalPolicy(t.Context(), &iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: aws.String("arn:aws:iam::111122223333:user/baker"), ActionNames: []string{"ec2:CreateVolume"},
	})
	if err != nil || len(out.EvaluationResults) != 1 || out.EvaluationResults[0].EvalDecision != "allowed" {
		t.Errorf("%+v, %v", out, err)
	}
}
