package fakeaws_test

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"

	"github.com/cincbake/cincbake/internal/sdk"
)

// sdk is how the real clients are told where the account is. They try again at once.
func (a account) sdk() aws.Config {
	return aws.Config{
		HTTPClient: sdk.ReadOnly(awshttp.NewBuildableClient()), Region: a.region, BaseEndpoint: aws.String(a.server.URL),
		Credentials: credentials.NewStaticCredentialsProvider(a.key, "secret", ""),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			})
		},
	}
}

// codeOf is that of AWS's error; without one, "".
func codeOf(err error) string {
	var said smithy.APIError
	if errors.As(err, &said) {
		return said.ErrorCode()
	}
	return ""
}

// fails checks that a call was refused, and with which code.
func fails(t *testing.T, err error, code string) {
	t.Helper()
	if codeOf(err) != code || err == nil {
		t.Errorf("the error is %v, want %s", err, code)
	}
}

// ok stops the test at an error.
func ok[T any](got T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
}
