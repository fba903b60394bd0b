package fakeaws_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/cincbake/cincbake/test/fakeaws"
)

func (a account) ssm() *ssm.Client { return ssm.NewFromConfig(a.sdk()) }

func TestParameters(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	c, ctx := a.ssm(), t.Context()
	image := a.must("DescribeImages").one("imageId")
	put := func(name, value string, change func(*ssm.PutParameterInput)) (int64, string) {
		in := &ssm.PutParameterInput{Name: &name, Value: &value, Type: types.ParameterTypeString}
		if change != nil {
			change(in)
		}
		out, err := c.PutParameter(ctx, in)
		if err != nil {
			return 0, codeOf(err)
		}
		return out.Version, ""
	}
	over := func(in *ssm.PutParameterInput) { in.Overwrite = aws.Bool(true) }
	ami := func(in *ssm.PutParameterInput) { in.DataType = aws.String("aws:ec2:image") }
	tags := func(in *ssm.PutParameterInput) {
		in.Tags = []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}}
	}
	for _, test := range []struct {
		name, value string
		change      func(*ssm.PutParameterInput)
		version     int64
		code        string
	}{
		{"/c/api/stable", image, tags, 1, ""},
		{"/c/api/stable", image, nil, 0, "ParameterAlreadyExists"},
		{"/c/api/stable", "x", over, 2, ""},
		{"/c/api/stable", "x", func(in *ssm.PutParameterInput) { over(in); tags(in) }, 0, "ValidationException"},
		{"/c/api/next", "ami-0000", ami, 0, "ValidationException"},
		{"/c/api/next", image, ami, 1, ""},
		{"/c/big", strings.Repeat("x", 4096), nil, 1, ""},
		{"/c/bigger", strings.Repeat("x", 4097), nil, 0, "ValidationException"},
		{"/c/bigger", strings.Repeat("x", 4097), func(in *ssm.PutParameterInput) { in.Tier = types.ParameterTierAdvanced }, 1, ""},
		{"/aws/mine", "x", nil, 0, "ValidationException"},
		{"/c/a b", "x", nil, 0, "ValidationException"},
		{"c/x", "x", nil, 0, "ValidationException"},
	} {
		version, code := put(test.name, test.value, test.change)
		same(t, test.name, []any{version, code}, []any{test.version, test.code})
	}

	get := func(name string) (string, string) {
		out, err := c.GetParameter(ctx, &ssm.GetParameterInput{Name: &name})
		if err != nil {
			return "", codeOf(err)
		}
		return *out.Parameter.Value, ""
	}
	for _, test := range []struct{ name, value, code string }{
		{"/c/api/stable", "x", ""},
		{"/c/api/stable:1", image, ""},
		{"arn:aws:ssm:eu-west-1:111122223333:parameter/c/api/stable", "x", ""},
		{"/c/api/stable:3", "", "ParameterVersionNotFound"},
		{"/c/none", "", "ParameterNotFound"},
	} {
		value, code := get(test.name)
		same(t, test.name, []string{value, code}, []string{test.value, test.code})
	}
	many := ok(c.GetParameters(ctx, &ssm.GetParametersInput{Names: []string{"/c/api/next", "/c/none"}}))(t)
	same(t, "many", []any{*many.Parameters[0].Value, *many.Parameters[0].DataType, many.InvalidParameters}, []any{image, "aws:ec2:image", []string{"/c/none"}})
	history := ok(c.GetParameterHistory(ctx, &ssm.GetParameterHistoryInput{Name: aws.String("/c/api/stable")}))(t).Parameters
	same(t, "history", []any{len(history), *history[0].Value, history[1].Version, *history[0].LastModifiedUser, history[0].LastModifiedDate.IsZero()}, []any{2, image, int64(2), "arn:aws:iam::111122223333:user/baker", false})

	ok(c.AddTagsToResource(ctx, &ssm.AddTagsToResourceInput{ResourceType: "Parameter", ResourceId: aws.String("/c/api/stable"), Tags: []types.Tag{{Key: aws.String("b"), Value: aws.String("2")}}}))(t)
	ok(c.RemoveTagsFromResource(ctx, &ssm.RemoveTagsFromResourceInput{ResourceType: "Parameter", ResourceId: aws.String("/c/api/stable"), TagKeys: []string{"a"}}))(t)
	list := ok(c.ListTagsForResource(ctx, &ssm.ListTagsForResourceInput{ResourceType: "Parameter", ResourceId: aws.String("/c/api/stable")}))(t).TagList
	same(t, "tags", []any{len(list), *list[0].Key, *list[0].Value}, []any{1, "b", "2"})
	_, err := c.ListTagsForResource(ctx, &ssm.ListTagsForResourceInput{ResourceType: "Parameter", ResourceId: aws.String("/c/none")})
	fails(t, err, "InvalidResourceId")
	same(t, "the call", []any{a.server.Calls("AddTagsToResource")[0].Params.Tags("Tags"), strings.Contains(string(a.server.Calls("AddTagsToResource")[0].Body), `"Key":"b"`)}, []any{map[string]string{"b": "2"}, true})

	ok(c.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: aws.String("/c/big")}))(t)
	_, err = c.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: aws.String("/c/big")})
	fails(t, err, "ParameterNotFound")
	_, code := func() (string, string) {
		return "", codeOf(func() error {
			_, err := a.in("us-east-1").ssm().GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("/c/api/stable")})
			return err
		}())
	}()
	same(t, "elsewhere", code, "ParameterNotFound")
	a.server.SetParameter(a.region, "/aws/service/debian", "ami-1")
	same(t, "seeded", a.server.Parameter(a.region, "/aws/service/debian"), "ami-1")
}

func TestParametersByPath(t *testing.T) {
	a := newAccount(t, fakeaws.Options{})
	c, ctx := a.ssm(), t.Context()
	for i := range 23 {
		a.server.SetParameter(a.region, fmt.Sprintf("/c/r%02d/stable", i), "x")
	}
	count := func(path string, recursive bool) (found, pages int) {
		for p := ssm.NewGetParametersByPathPaginator(c, &ssm.GetParametersByPathInput{Path: &path, Recursive: &recursive}); p.HasMorePages(); pages++ {
			found += len(ok(p.NextPage(ctx))(t).Parameters)
		}
		return found, pages
	}
	for _, test := range []struct {
		path         string
		recursive    bool
		found, pages int
	}{{"/c", true, 23, 3}, {"/c/", false, 0, 1}, {"/c/r07", false, 1, 1}, {"/c/r0", true, 0, 1}} {
		found, pages := count(test.path, test.recursive)
		same(t, test.path, []int{found, pages}, []int{test.found, test.pages})
	}
}
