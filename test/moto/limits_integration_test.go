//go:build integration

package moto_test

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/test/moto"
)

// limits asks for what AWS refuses, and for the same twice: what commands rely on, and do not come to when all goes well.
func (s *stage) limits() {
	s.Helper()
	ctx, client := s.Context(), s.ec2(ireland)
	create := func(name string) (string, error) {
		made, err := client.CreateImage(ctx, &awsec2.CreateImageInput{InstanceId: aws.String(s.builder), Name: aws.String(name)})
		if err != nil {
			return "", err
		}
		return *made.ImageId, nil
	}
	image, err := create("limits")
	s.check(err)
	_, err = create("limits")
	s.fact("an image of a name that another has", code(err))
	deregister := func() error {
		_, err := client.DeregisterImage(ctx, &awsec2.DeregisterImageInput{ImageId: aws.String(image)})
		return err
	}
	s.check(deregister())
	s.fact("deregistering an image twice", code(deregister()))
	describe := func(id string) string {
		found, err := client.DescribeImages(ctx, &awsec2.DescribeImagesInput{ImageIds: []string{id}})
		if err != nil {
			return code(err)
		}
		return fmt.Sprintf("done, %d images", len(found.Images))
	}
	s.fact("describing an image that is deregistered", describe(image))
	s.fact("describing an image that never was", describe("ami-00000000000000000"))

	data := func(bytes int) *types.RequestLaunchTemplateData {
		return &types.RequestLaunchTemplateData{UserData: aws.String(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", bytes))))}
	}
	template := func(name string, bytes int) (string, error) {
		made, err := client.CreateLaunchTemplate(ctx, &awsec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String(name), LaunchTemplateData: data(bytes)})
		if err != nil {
			return "", err
		}
		return *made.LaunchTemplate.LaunchTemplateId, nil
	}
	id, err := template("limits", 16384)
	s.check(err)
	_, err = template("limits", 1)
	s.fact("a launch template of a name that another has", code(err))
	_, err = template("large", 16385)
	s.fact("a launch template with 16,385 bytes of user data", code(err))
	var numbers []string
	for range 2 {
		made, err := client.CreateLaunchTemplateVersion(ctx, &awsec2.CreateLaunchTemplateVersionInput{LaunchTemplateId: aws.String(id), LaunchTemplateData: data(1), ClientToken: aws.String("once")})
		s.check(err)
		numbers = append(numbers, fmt.Sprint(*made.LaunchTemplateVersion.VersionNumber))
	}
	s.fact("a launch template's version, twice with one token", strings.Join(numbers, ", "))

	parameter := func(name, value string) string {
		_, err := ssm.NewFromConfig(s.sdk(ireland)).PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String(name), Value: aws.String(value), Type: ssmtypes.ParameterTypeString})
		return code(err)
	}
	s.fact("a parameter of 4,097 characters", parameter("/limits/large", strings.Repeat("x", 4097)))
	s.fact("a parameter", parameter("/limits/one", "x"))
	s.fact("a parameter that is there, without leave to overwrite it", parameter("/limits/one", "y"))

	vault := secretsmanager.NewFromConfig(s.sdk(ireland))
	secret := func(name, value, token string) string {
		_, err := vault.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String(name), SecretString: aws.String(value), ClientRequestToken: aws.String(token)})
		return code(err)
	}
	const token, other = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
	s.fact("a secret of 65,537 bytes", secret("limits/large", strings.Repeat("x", 65537), token))
	s.fact("a secret", secret("limits/one", "x", token))
	s.fact("a secret, again with its token", secret("limits/one", "x", token))
	s.fact("a secret, again with another token", secret("limits/one", "x", other))
	_, err = vault.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("limits/none"), VersionStage: aws.String("AWSCURRENT")})
	s.fact("a secret that there is not", code(err))
	s.rest()
}

// refused makes the calls that no command of the suite makes, and that the list has.
func (s *stage) refused(substitutes []moto.Substitute) {
	s.Helper()
	ctx, client := s.Context(), autoscaling.NewFromConfig(s.sdk(ireland))
	group, hook, instance := aws.String("cincbake-prod-api"), aws.String(cluster.ReadyHook), aws.String("i-00000000000000000")
	for _, one := range substitutes {
		var err error
		switch one.Call {
		case "autoscaling CompleteLifecycleAction":
			_, err = client.CompleteLifecycleAction(ctx, &autoscaling.CompleteLifecycleActionInput{AutoScalingGroupName: group, LifecycleHookName: hook, InstanceId: instance, LifecycleActionResult: aws.String("CONTINUE")})
		case "autoscaling RecordLifecycleActionHeartbeat":
			_, err = client.RecordLifecycleActionHeartbeat(ctx, &autoscaling.RecordLifecycleActionHeartbeatInput{AutoScalingGroupName: group, LifecycleHookName: hook, InstanceId: instance})
		case "autoscaling CancelInstanceRefresh":
			_, err = client.CancelInstanceRefresh(ctx, &autoscaling.CancelInstanceRefreshInput{AutoScalingGroupName: group})
		case "ec2 CreateLaunchTemplateVersion":
			s.needed()
		}
		if err != nil && code(err) != "NotImplemented" {
			s.Errorf("%s: %v", one.Call, err)
		}
	}
	s.rest()
}

// needed checks that moto's autoscaling groups still fail on what the proxy takes from launch templates or adds to them. The
// proxy here does nothing of its own.
func (s *stage) needed() {
	s.Helper()
	bare, err := moto.New(s.behind, nil)
	s.check(err)
	defer bare.Close()
	ctx, sdk := s.Context(), s.sdk(ireland)
	sdk.BaseEndpoint = aws.String(bare.URL)
	client := awsec2.NewFromConfig(sdk)
	data := func() *types.RequestLaunchTemplateData {
		return &types.RequestLaunchTemplateData{ImageId: aws.String("ami-0123456789abcdef0"), InstanceType: types.InstanceTypeM6iLarge}
	}
	withData, withDisk := data(), data()
	withData.UserData = aws.String("eA==")
	withDisk.BlockDeviceMappings = []types.LaunchTemplateBlockDeviceMappingRequest{{
		DeviceName: aws.String("/dev/xvda"), Ebs: &types.LaunchTemplateEbsBlockDeviceRequest{Encrypted: aws.Bool(true)},
	}}
	for _, one := range []struct {
		call, code    string
		first, second *types.RequestLaunchTemplateData
	}{
		{"", "done", data(), data()}, // else the others show nothing
		{"ec2 CreateLaunchTemplateVersion", "NotImplemented", data(), withData},
		{"ec2 CreateLaunchTemplate", "MissingParameter", withDisk, data()},
	} {
		name := "needed-" + strings.ReplaceAll(one.call, " ", "-")
		made, err := client.CreateLaunchTemplate(ctx, &awsec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String(name), LaunchTemplateData: one.first})
		s.check(err)
		id := made.LaunchTemplate.LaunchTemplateId
		_, err = client.CreateLaunchTemplateVersion(ctx, &awsec2.CreateLaunchTemplateVersionInput{LaunchTemplateId: id, LaunchTemplateData: one.second})
		s.check(err)
		_, err = autoscaling.NewFromConfig(sdk).CreateAutoScalingGroup(ctx, scalingInput(name, *id))
		if code(err) != one.code {
			s.Errorf("an autoscaling group comes to %q, want %q: if it does well, take %q from the list", code(err), one.code, one.call)
		}
	}
	if calls := bare.Calls("CreateAutoScalingGroup"); len(calls) != 3 {
		s.Errorf("3 groups were asked for by %d calls: an error that is final was not", len(calls))
	}
}
