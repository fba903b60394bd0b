package fakeaws_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/cincbake/cincbake/test/fakeaws"
)

func (a account) secrets() *secretsmanager.Client { return secretsmanager.NewFromConfig(a.sdk()) }

func TestSecrets(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	c, ctx, id := a.secrets(), t.Context(), aws.String("cincbake/c/api")
	tokens := []string{strings.Repeat("1", 32), strings.Repeat("2", 32), strings.Repeat("3", 32)}
	create := func(token, value string) (string, error) {
		out, err := c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: id, SecretString: &value, ClientRequestToken: &token, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}}})
		if err != nil {
			return "", err
		}
		return *out.ARN, nil
	}
	arn := ok(create(tokens[0], "one"))(t)
	same(t, "the same again", ok(create(tokens[0], "one"))(t), arn)
	_, err := create(tokens[1], "one")
	fails(t, err, "ResourceExistsException")
	_, err = create(tokens[0], "other")
	fails(t, err, "ResourceExistsException")

	put := func(token, value string, stages ...string) error {
		_, err := c.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &arn, SecretString: &value, ClientRequestToken: &token, VersionStages: stages})
		return err
	}
	get := func(in secretsmanager.GetSecretValueInput) string {
		in.SecretId = id
		out, err := c.GetSecretValue(ctx, &in)
		if err != nil {
			return codeOf(err)
		}
		return aws.ToString(out.SecretString) + string(out.SecretBinary)
	}
	at := func(stage string) string { return get(secretsmanager.GetSecretValueInput{VersionStage: &stage}) }
	for range 2 {
		same(t, "put", put(tokens[1], "two"), error(nil))
	}
	fails(t, put(tokens[1], "else"), "ResourceExistsException")
	same(t, "pending", put(tokens[2], "three", "AWSPENDING"), error(nil))
	same(t, "values", []string{get(secretsmanager.GetSecretValueInput{}), at("AWSCURRENT"), at("AWSPREVIOUS"), at("AWSPENDING"), get(secretsmanager.GetSecretValueInput{VersionId: &tokens[0]}), at("NONE")},
		[]string{"two", "two", "one", "three", "one", "ResourceNotFoundException"})
	fails(t, put(strings.Repeat("4", 32), strings.Repeat("x", 65537)), "ValidationException")
	same(t, "the largest", put(strings.Repeat("4", 32), strings.Repeat("x", 65536), "BIG"), error(nil))
	ok(c.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: id, SecretBinary: []byte{0, 'b'}, VersionStages: []string{"BYTES"}}))(t)
	same(t, "bytes", at("BYTES"), "\x00b")

	ok(c.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: id, Tags: []types.Tag{{Key: aws.String("b"), Value: aws.String("2")}}}))(t)
	ok(c.UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: id, TagKeys: []string{"a"}}))(t)
	about := ok(c.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: id}))(t)
	same(t, "about it", []any{*about.Name, len(about.Tags), *about.Tags[0].Key, about.VersionIdsToStages[tokens[1]], about.LastChangedDate.IsZero(), about.DeletedDate == nil},
		[]any{*id, 1, "b", []string{"AWSCURRENT"}, false, true})

	ok(c.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: id}))(t)
	same(t, "marked", get(secretsmanager.GetSecretValueInput{}), "InvalidRequestException")
	_, err = create(tokens[0], "one")
	fails(t, err, "InvalidRequestException")
	ok(c.RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: id}))(t)
	same(t, "restored", get(secretsmanager.GetSecretValueInput{}), "two")
	ok(c.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: id, ForceDeleteWithoutRecovery: aws.Bool(true)}))(t)
	same(t, "gone", get(secretsmanager.GetSecretValueInput{}), "ResourceNotFoundException")
	_, err = c.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: id, RecoveryWindowInDays: aws.Int64(3)})
	fails(t, err, "ResourceNotFoundException")
}

func TestListSecrets(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	c, ctx := a.secrets(), t.Context()
	for i := range 5 {
		ok(c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String(fmt.Sprintf("c/%d", i)), Tags: []types.Tag{{Key: aws.String("n"), Value: aws.String(fmt.Sprint(i))}}}))(t)
	}
	ok(c.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: aws.String("c/4")}))(t)
	for _, test := range []struct {
		key     types.FilterNameStringType
		value   string
		all     bool
		secrets int
	}{{"name", "c/", false, 4}, {"name", "c/", true, 5}, {"name", "d/", true, 0}, {"name", "!c/1", false, 3}, {"tag-value", "2", false, 1}, {"tag-key", "n", false, 4}, {"tag-key", "m", false, 0}} {
		in := &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(2), IncludePlannedDeletion: &test.all, Filters: []types.Filter{{Key: test.key, Values: []string{test.value}}}}
		found := 0
		for p := secretsmanager.NewListSecretsPaginator(c, in); p.HasMorePages(); {
			found += len(ok(p.NextPage(ctx))(t).SecretList)
		}
		same(t, string(test.key)+" "+test.value, found, test.secrets)
	}
}
