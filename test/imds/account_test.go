//go:build unix

package imds

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/test/fakeaws"
)

const region = "eu-west-1"

// account is a fake account whose instances are known to a metadata service from the moment that they start.
type account struct {
	*testing.T
	server  *fakeaws.Server
	service *Service
	config  aws.Config
	image   string
	started chan started
}

// started is an instance, or why it did not start.
type started struct {
	fakeaws.Instance
	card Card
	err  error
}

var _ fakeaws.Machines = (*account)(nil)

func newAccount(t *testing.T) *account {
	t.Helper()
	a := &account{T: t, started: make(chan started, 10)}
	a.server = fakeaws.New(fakeaws.Options{Machines: a})
	t.Cleanup(a.server.Close)
	a.service = New(a.server)
	a.config = aws.Config{Region: region, BaseEndpoint: &a.server.URL, Credentials: credentials.NewStaticCredentialsProvider("AKIAOPERATOR", "secret", "")}
	a.image = a.server.SeedImages(region, fakeaws.Image{Name: "image"})[0]
	return a
}

// Start makes the service know an instance.
func (a *account) Start(i fakeaws.Instance, _ string) (string, error) {
	card, err := a.service.Add(context.Background(), i)
	a.started <- started{i, card, err}
	return card.Address.String(), err
}

// Stop does nothing.
func (*account) Stop(string) error { return nil }

// Restart does nothing.
func (*account) Restart(string) error { return nil }

// Terminate makes the service know an instance no more.
func (a *account) Terminate(id string) error {
	a.service.Remove(id)
	return nil
}

// Capture does nothing.
func (*account) Capture(string, string) error { return nil }

func (a *account) ok(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

func (a *account) same(what string, got, want any) {
	a.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		a.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (a *account) ec2() *ec2.Client { return ec2.NewFromConfig(a.config) }

// awaited returns the instance that was started last.
func (a *account) awaited() started {
	a.Helper()
	select {
	case one := <-a.started:
		a.ok(one.err)
		return one
	case <-time.After(10 * time.Second):
		a.Fatal("no instance was started")
		return started{}
	}
}

// template makes a launch template like cincbake's, changed by change.
func (a *account) template(change func(*types.RequestLaunchTemplateData)) *string {
	a.Helper()
	data := &types.RequestLaunchTemplateData{
		ImageId: &a.image, InstanceType: types.InstanceTypeM6iLarge, UserData: aws.String(base64.StdEncoding.EncodeToString([]byte(userData))),
		IamInstanceProfile: &types.LaunchTemplateIamInstanceProfileSpecificationRequest{Name: aws.String("prod-api")},
		MetadataOptions: &types.LaunchTemplateInstanceMetadataOptionsRequest{
			HttpTokens: types.LaunchTemplateHttpTokensStateRequired, HttpPutResponseHopLimit: aws.Int32(1),
			InstanceMetadataTags: types.LaunchTemplateInstanceMetadataTagsStateEnabled,
		},
		TagSpecifications: []types.LaunchTemplateTagSpecificationRequest{{ResourceType: types.ResourceTypeInstance, Tags: []types.Tag{
			{Key: aws.String("Name"), Value: aws.String("prod api")}, {Key: aws.String("cincbake:role"), Value: aws.String("api")},
		}}},
	}
	if change != nil {
		change(data)
	}
	out, err := a.ec2().CreateLaunchTemplate(a.Context(), &ec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("template"), LaunchTemplateData: data})
	a.ok(err)
	return out.LaunchTemplate.LaunchTemplateId
}

// userData is bytes that are no text.
const userData = "\x1f\x8b\x00\xff"

// run starts an instance from a template.
func (a *account) run(template *string) started {
	a.Helper()
	_, err := a.ec2().RunInstances(a.Context(), &ec2.RunInstancesInput{
		MinCount: aws.Int32(1), MaxCount: aws.Int32(1), LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateId: template, Version: aws.String("1")},
	})
	a.ok(err)
	return a.awaited()
}

// running is an instance as the account describes it, once it runs.
func (a *account) running(id string) types.Instance {
	a.Helper()
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); {
		seen, err := a.ec2().DescribeInstances(a.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
		a.ok(err)
		if i := seen.Reservations[0].Instances[0]; i.State.Name == types.InstanceStateNameRunning {
			return i
		}
	}
	a.Fatalf("%s does not run", id)
	return types.Instance{}
}

// group starts an instance in an autoscaling group.
func (a *account) group(name string, template *string) started {
	a.Helper()
	subnets, err := a.ec2().DescribeSubnets(a.Context(), &ec2.DescribeSubnetsInput{})
	a.ok(err)
	_, err = autoscaling.NewFromConfig(a.config).CreateAutoScalingGroup(a.Context(), &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: &name, MinSize: aws.Int32(1), MaxSize: aws.Int32(1), VPCZoneIdentifier: subnets.Subnets[0].SubnetId,
		LaunchTemplate: &scaling.LaunchTemplateSpecification{LaunchTemplateId: template, Version: aws.String("1")},
		LifecycleHookSpecificationList: []scaling.LifecycleHookSpecification{{
			LifecycleHookName: aws.String("ready"), LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_LAUNCHING"), HeartbeatTimeout: aws.Int32(900),
		}},
	})
	a.ok(err)
	return a.awaited()
}

// answer is what a question came to; silent: nothing was answered.
type answer struct {
	status int
	text   string
	header http.Header
	silent bool
}

// ask asks the service from an address, with headers name, value…
func (a *account) ask(from netip.Addr, method, path string, headers ...string) (got answer) {
	a.Helper()
	r := httptest.NewRequestWithContext(a.Context(), method, path, nil)
	r.RemoteAddr = netip.AddrPortFrom(from, 40000).String()
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	defer func() {
		if failed := recover(); failed != nil {
			if failed != http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
				panic(failed)
			}
			got = answer{silent: true}
		}
	}()
	a.service.ServeHTTP(w, r)
	return answer{status: w.Code, text: w.Body.String(), header: w.Header()}
}

// token gets a token for the instance of an address.
func (a *account) token(from netip.Addr) string {
	a.Helper()
	got := a.ask(from, http.MethodPut, "/latest/api/token", ttlHeader, "60")
	if got.status != http.StatusOK || got.text == "" {
		a.Fatalf("no token: %+v", got)
	}
	return got.text
}

// read asks as an instance does; "": there is no such thing.
func (a *account) read(from netip.Addr, path string) string {
	a.Helper()
	got := a.ask(from, http.MethodGet, path, tokenHeader, a.token(from))
	if got.status == http.StatusNotFound {
		return ""
	}
	if got.status != http.StatusOK {
		a.Errorf("%s: %+v", path, got)
	}
	return got.text
}

func lines(text string) []string { return strings.Split(text, "\n") }
