package fakeaws

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// restProtocol is that of S3, with the bucket in the path.
type restProtocol struct{}

var _ protocol = restProtocol{}

func (restProtocol) content() string { return "application/xml" }

// read makes parameters of the path, the query and the headers: Bucket, Key, and the others by their own names.
func (restProtocol) read(r *http.Request, body []byte, c *Call) error {
	if strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return &Error{Status: http.StatusNotImplemented, Code: "NotImplemented", Message: "the fake takes no body in chunks: use plain HTTP and a body that can be read twice"}
	}
	values := url.Values{}
	for name, value := range r.URL.Query() {
		values[name] = value
	}
	for name, value := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") || strings.HasPrefix(name, "If-") || name == "Content-Type" {
			values[name] = value
		}
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	values.Set("Bucket", bucket)
	if key != "" {
		values.Set("Key", key)
	}
	c.Action, c.Body, c.Params = restAction(r.Method, r.URL.Query(), key), body, Params{values: values}
	return nil
}

// restAction names what S3's API calls a method on a bucket or on an object.
func restAction(method string, query url.Values, key string) string {
	what := "Object"
	if key == "" {
		what = "Bucket"
	}
	switch {
	case method == http.MethodGet && what == "Bucket" && query.Get("list-type") == "2":
		return "ListObjectsV2"
	case method == http.MethodGet && what == "Bucket" && query.Has("location"):
		return "GetBucketLocation"
	case method == http.MethodPut && what == "Bucket" && len(query) == 0:
		return "CreateBucket"
	case method == http.MethodPut && what == "Object":
		return "PutObject"
	case method == http.MethodGet && what == "Object":
		return "GetObject"
	case method == http.MethodHead:
		return "Head" + what
	case method == http.MethodDelete:
		return "Delete" + what
	}
	return method + what
}

// reply writes bytes as they are.
func (restProtocol) reply(_, _ string, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case []byte:
		return v, nil
	}
	text, err := xml.Marshal(value)
	return append([]byte(xml.Header), text...), err
}

func (restProtocol) failure(id string, e *Error) []byte {
	return fmt.Appendf(nil, "%s<Error><Code>%s</Code><Message>%s</Message><RequestId>%s</RequestId></Error>", xml.Header, escape(e.Code), escape(e.Message), id)
}
