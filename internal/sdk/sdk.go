// Package sdk is how cincbake reaches AWS: the SDK's settings, read in one place for all that call AWS.
package sdk

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
)

// tryTime is how long one try of a call may take, its answer's end included. The SDK itself waits for ever; a try that ends
// here is made again like one whose answer was lost.
const tryTime = time.Minute

// Load reads the settings for a region from where the SDK has them: variables, a profile, the instance's role.
func Load(ctx context.Context, region string, more ...func(*config.LoadOptions) error) (aws.Config, error) {
	loaded, err := config.LoadDefaultConfig(ctx, append(more, config.WithRegion(region))...)
	if err != nil {
		return loaded, fmt.Errorf("read the settings for AWS: %w", err)
	}
	switch client := loaded.HTTPClient.(type) {
	case nil:
		loaded.HTTPClient = awshttp.NewBuildableClient().WithTimeout(tryTime)
	case *awshttp.BuildableClient: // of who has certificates of their own (AWS_CA_BUNDLE)
		loaded.HTTPClient = client.WithTimeout(tryTime)
	}
	loaded.HTTPClient = ReadOnly(loaded.HTTPClient)
	return loaded, nil
}

// ReadOnly returns the client with calls whose bodies can be read and nothing else.
//
// The SDK closes a call's body once the answer's head is there. net/http may still be about to look whether there is more of
// it to send, and a closed body of the SDK's that can write itself (io.WriterTo) says io.EOF to that, which is an error there:
// the connection is closed below an answer that is still being read. On a busy machine that befell all tries of a call. A
// body that is read ends in good order.
func ReadOnly(client aws.HTTPClient) aws.HTTPClient { return readOnly{client} }

type readOnly struct{ client aws.HTTPClient }

func (r readOnly) Do(request *http.Request) (*http.Response, error) {
	if _, writes := request.Body.(io.WriterTo); writes && request.Body != http.NoBody {
		request.Body = struct{ io.ReadCloser }{request.Body}
	}
	return r.client.Do(request)
}
