package fakeaws_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/cincbake/cincbake/test/fakeaws"
)

func (a account) s3() *s3.Client {
	return s3.NewFromConfig(a.sdk(), func(o *s3.Options) { o.UsePathStyle = true })
}

func TestObjects(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	c, ctx, bucket := a.s3(), t.Context(), aws.String("records")
	put := func(key, text, ifNone string) error {
		in := &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: bytes.NewReader([]byte(text)), ContentType: aws.String("application/json"), Metadata: map[string]string{"role": "api"}}
		if ifNone != "" {
			in.IfNoneMatch = &ifNone
		}
		_, err := c.PutObject(ctx, in)
		return err
	}
	fails(t, put("a", "1", ""), "NoSuchBucket")
	ok(c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))(t)
	_, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket})
	fails(t, err, "BucketAlreadyOwnedByYou")
	same(t, "its region", *ok(c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: bucket}))(t).BucketRegion, "eu-west-1")
	same(t, "its place", string(ok(c.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: bucket}))(t).LocationConstraint), "eu-west-1")
	_, err = a.in("us-east-1").s3().GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("a")})
	fails(t, err, "PermanentRedirect")

	same(t, "the first", put("images/a b+c.json", `{"a":1}`, "*"), error(nil))
	fails(t, put("images/a b+c.json", "2", "*"), "PreconditionFailed")
	got := ok(c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("images/a b+c.json")}))(t)
	text, err := io.ReadAll(got.Body)
	same(t, "what was read", []any{string(text), err, *got.ContentType, got.Metadata["role"], *got.ContentLength}, []any{`{"a":1}`, nil, "application/json", "api", int64(7)})
	head := ok(c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: aws.String("images/a b+c.json")}))(t)
	same(t, "its mark", *head.ETag, *got.ETag)
	_, err = c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: aws.String("b")})
	fails(t, err, "NotFound")
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("b")})
	fails(t, err, "NoSuchKey")

	call := a.server.Calls("PutObject")[1]
	same(t, "the call", []string{call.Params.String("Bucket"), call.Params.String("Key"), call.Params.String("If-None-Match"), string(call.Body)}, []string{"records", "images/a b+c.json", "*", `{"a":1}`})

	for range 2 {
		ok(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("images/a b+c.json")}))(t)
	}
	same(t, "what is left", a.server.Objects("records"), []string(nil))
}

func TestObjectPages(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	a.server.AddBucket(a.region, "b")
	c, ctx := a.s3(), t.Context()
	for i := range 5 {
		key := fmt.Sprintf("dir-%d/x", i/2)
		ok(c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String(key + fmt.Sprint(i))}))(t)
	}
	list := func(in s3.ListObjectsV2Input) (keys []string, pages int) {
		in.Bucket, in.MaxKeys = aws.String("b"), aws.Int32(2)
		for p := s3.NewListObjectsV2Paginator(c, &in); p.HasMorePages(); pages++ {
			out := ok(p.NextPage(ctx))(t)
			for _, o := range out.Contents {
				keys = append(keys, *o.Key)
			}
			for _, o := range out.CommonPrefixes {
				keys = append(keys, *o.Prefix)
			}
		}
		return keys, pages
	}
	keys, pages := list(s3.ListObjectsV2Input{})
	same(t, "all", []any{keys, pages}, []any{[]string{"dir-0/x0", "dir-0/x1", "dir-1/x2", "dir-1/x3", "dir-2/x4"}, 3})
	keys, _ = list(s3.ListObjectsV2Input{Prefix: aws.String("dir-1/")})
	same(t, "of a folder", keys, []string{"dir-1/x2", "dir-1/x3"})
	keys, pages = list(s3.ListObjectsV2Input{Delimiter: aws.String("/")})
	same(t, "folders", []any{keys, pages}, []any{[]string{"dir-0/", "dir-1/", "dir-2/"}, 2})
}

// TestFaultsOfServices has the SDK meet each fault, in the dialect of a service whose errors are not EC2's.
func TestFaultsOfServices(t *testing.T) {
	for _, test := range []struct {
		fault fakeaws.Fault
		code  string // of what the caller sees in the end
		calls int
		kept  int // objects
	}{
		{fakeaws.Throttle("PutObject", 2), "", 3, 1},
		{fakeaws.Throttle("PutObject", 0), "SlowDown", 3, 0},
		{fakeaws.Throttle("PutObject", 1).Late(), "PreconditionFailed", 2, 1},
		{fakeaws.Deny("PutObject"), "AccessDenied", 1, 0},
		{fakeaws.Deny("PutObject").Of("ec2"), "", 1, 1},
		{fakeaws.Lose("PutObject", 1), "PreconditionFailed", 2, 1},
	} {
		a := newAccount(t, fakeaws.Options{})
		a.server.AddBucket(a.region, "b")
		a.server.Inject(test.fault)
		_, err := a.s3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), IfNoneMatch: aws.String("*")})
		same(t, test.fault.Name, []any{codeOf(err), len(a.server.Calls("PutObject")), len(a.server.Objects("b"))}, []any{test.code, test.calls, test.kept})
	}
}

// TestDialects has every service say in its own words that there are too many calls, and that one may not.
func TestDialects(t *testing.T) {
	for _, test := range []struct {
		action, many, may string
		call              func(account) error
	}{
		{"DescribeVolumes", "RequestLimitExceeded", "UnauthorizedOperation", func(a account) error {
			_, err := a.ec2().DescribeVolumes(a.t.Context(), &ec2.DescribeVolumesInput{})
			return err
		}},
		{"GetParameters", "ThrottlingException", "AccessDeniedException", func(a account) error {
			_, err := a.ssm().GetParameters(a.t.Context(), &ssm.GetParametersInput{Names: []string{"a"}})
			return err
		}},
		{"ListSecrets", "ThrottlingException", "AccessDeniedException", func(a account) error {
			_, err := a.secrets().ListSecrets(a.t.Context(), &secretsmanager.ListSecretsInput{})
			return err
		}},
		{"GetServiceQuota", "TooManyRequestsException", "AccessDeniedException", func(a account) error {
			_, err := servicequotas.NewFromConfig(a.sdk()).GetServiceQuota(a.t.Context(), &servicequotas.GetServiceQuotaInput{ServiceCode: aws.String("ec2"), QuotaCode: aws.String("L-1216C47A")})
			return err
		}},
		{"DescribeAccountLimits", "Throttling", "AccessDenied", func(a account) error {
			_, err := autoscaling.NewFromConfig(a.sdk()).DescribeAccountLimits(a.t.Context(), &autoscaling.DescribeAccountLimitsInput{})
			return err
		}},
	} {
		a := newAccount(t, fakeaws.Options{})
		for _, fault := range []struct {
			fault fakeaws.Fault
			code  string
			calls int
		}{
			{fakeaws.Throttle(test.action, 0), test.many, 3},
			{fakeaws.Throttle(test.action, 2), "", 3},
			{fakeaws.Deny(test.action), test.may, 1},
			{fakeaws.Lose(test.action, 1), "", 2},
		} {
			before := len(a.server.Calls(test.action))
			a.server.Inject(fault.fault)
			err := test.call(a)
			same(t, test.action+" "+fault.fault.Name, []any{codeOf(err), err == nil, len(a.server.Calls(test.action)) - before}, []any{fault.code, fault.code == "", fault.calls})
			a.server.Mend()
		}
	}
}

func TestCrash(t *testing.T) {
	for _, late := range []bool{false, true} {
		a := newAccount(t, fakeaws.Options{})
		a.server.AddBucket(a.region, "b")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		fault := fakeaws.Crash("PutObject", cancel)
		want := []any{true, 1, 0}
		if late {
			fault, want = fault.Late(), []any{true, 1, 1}
		}
		a.server.Inject(fault)
		_, err := a.s3().PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
		same(t, fault.Name, []any{err != nil && ctx.Err() != nil, len(a.server.Calls("PutObject")), len(a.server.Objects("b"))}, want)
	}
}
