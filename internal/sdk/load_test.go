package sdk

import (
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
)

// No try of a call is waited for without an end, whoever chose the client's certificates.
func TestTriesEnd(t *testing.T) {
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for name, more := range map[string][]func(*config.LoadOptions) error{
		"the SDK's own client":         nil,
		"a client that was configured": {config.WithHTTPClient(awshttp.NewBuildableClient())},
	} {
		loaded, err := Load(t.Context(), "eu-west-1", more...)
		if err != nil {
			t.Fatal(err)
		}
		client, ok := loaded.HTTPClient.(readOnly).client.(*awshttp.BuildableClient)
		if !ok || client.GetTimeout() != tryTime {
			t.Errorf("%s: %T", name, loaded.HTTPClient)
		}
	}
}
