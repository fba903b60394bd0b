// Package awssm keeps what machines may know in AWS Secrets Manager: one secret for each machine, and one for all of the API
// pool, in the form of a seed's secrets file. Their names are cluster.SecretName's.
//
// No error of this package, and nothing else that it returns but Fetch's text, has a value in it.
package awssm

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
)

// MaxBytes is what Secrets Manager takes as one secret.
const MaxBytes = 64 << 10

// stage is the version that is asked for. It is always named: which one comes without is for the service to say.
const stage = "AWSCURRENT"

// ErrNotFound is that there is no such secret, or that nothing was put into it yet.
var ErrNotFound = errors.New("there is no such secret, or nothing in it: run cincbake secrets push")

// Reader is what reading a secret calls.
type Reader interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

var _ Reader = (*secretsmanager.Client)(nil)

// Fetch returns the text of a secret as it is now; secrets.DecodeScoped reads it. The error is ErrNotFound where there is none.
func Fetch(ctx context.Context, client Reader, name string) ([]byte, error) {
	text, _, err := current(ctx, client, name)
	var said smithy.APIError
	switch {
	case errors.As(err, &said) && said.ErrorCode() == "AccessDeniedException":
		// Who may read some secrets only is told the same of one that is not there.
		return nil, fmt.Errorf("secret %s: it is not there yet, which cincbake secrets push mends, or it is another's: %w", name, err)
	case err != nil:
		return nil, fmt.Errorf("secret %s: %w", name, err)
	}
	return text, nil
}

// current returns a secret's text, and which version that is.
func current(ctx context.Context, client Reader, name string) (text []byte, version string, err error) {
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name, VersionStage: aws.String(stage)})
	if missing(err) {
		return nil, "", ErrNotFound
	}
	if err != nil {
		return nil, "", err
	}
	if out.SecretString == nil { // bytes, which cincbake never writes
		return out.SecretBinary, aws.ToString(out.VersionId), nil
	}
	return []byte(*out.SecretString), aws.ToString(out.VersionId), nil
}

func missing(err error) bool {
	var not *types.ResourceNotFoundException
	return errors.As(err, &not)
}
