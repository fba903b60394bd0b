package moto

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cincbake/cincbake/test/fakeaws"
)

// Call is a call as it was recorded.
type Call struct {
	Service string // as signatures call it, like "ec2"
	Region  string
	Action  string
	// Params are the parameters, of whatever protocol: a call in JSON has Tags.1.Key, one to S3 has its headers and Key.
	Params url.Values
	// Status and Code are what was answered; the code is empty if it went well.
	Status int
	Code   string
	Took   time.Duration
}

// Name is the call's service and action, like "ec2 CopyImage".
func (c Call) Name() string { return c.Service + " " + c.Action }

// Changes tells whether the call is one that changes something.
func (c Call) Changes() bool {
	return !slices.ContainsFunc([]string{"Describe", "Get", "List", "Head", "Simulate"}, func(prefix string) bool { return strings.HasPrefix(c.Action, prefix) })
}

// Tags returns the tags that the call gives to what it makes, by the kind of resource that EC2 knows; other services' calls
// have tags of one kind, which is "".
func (c Call) Tags(kind string) map[string]string {
	tags := map[string]string{}
	read := func(prefix string) {
		for n := 1; c.Params.Has(fmt.Sprintf("%s.%d.Key", prefix, n)); n++ {
			tags[c.Params.Get(fmt.Sprintf("%s.%d.Key", prefix, n))] = c.Params.Get(fmt.Sprintf("%s.%d.Value", prefix, n))
		}
	}
	if kind == "" {
		read("Tags")
		read("Tags.member")
		return tags
	}
	for n := 1; c.Params.Has(fmt.Sprintf("TagSpecification.%d.ResourceType", n)); n++ {
		if c.Params.Get(fmt.Sprintf("TagSpecification.%d.ResourceType", n)) == kind {
			read(fmt.Sprintf("TagSpecification.%d.Tag", n))
		}
	}
	return tags
}

// Calls returns those of an action, or all with "", in the order in which they were answered.
func (p *Proxy) Calls(action string) []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.calls), func(c Call) bool { return action != "" && c.Action != action })
}

// scope is where a signature says what it is for: Credential=KEY/DATE/REGION/SERVICE/aws4_request.
var scope = regexp.MustCompile(`Credential=[^/]+/[0-9]+/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request`)

// callOf finds out what a request is about.
func callOf(r *http.Request, body []byte) Call {
	c := Call{Service: "unsigned", Params: url.Values{}}
	if match := scope.FindStringSubmatch(r.Header.Get("Authorization")); match != nil {
		c.Region, c.Service = match[1], match[2]
	}
	switch target := r.Header.Get("X-Amz-Target"); {
	case target != "":
		_, c.Action, _ = strings.Cut(target, ".")
		var value any
		if json.Unmarshal(body, &value) == nil {
			fakeaws.Flatten(c.Params, "", value)
		}
	case c.Service == "s3":
		c.Action = objectAction(r)
		for name, values := range r.Header {
			c.Params[name] = values
		}
		c.Params.Set("Key", strings.TrimPrefix(r.URL.Path, "/"))
	default:
		if values, err := url.ParseQuery(string(body)); err == nil {
			c.Action, c.Params = values.Get("Action"), values
		}
	}
	return c
}

// objectAction names what S3 is asked for: a method on a bucket, or on an object of one.
func objectAction(r *http.Request) string {
	_, key, _ := strings.Cut(strings.Trim(r.URL.Path, "/"), "/")
	what := "Bucket"
	if key != "" {
		what = "Object"
	}
	switch {
	case r.Method == http.MethodPut && what == "Bucket":
		return "CreateBucket"
	case r.URL.Query().Get("list-type") == "2":
		return "ListObjectsV2"
	}
	return r.Method[:1] + strings.ToLower(r.Method[1:]) + what
}

// errorCode is where answers have their error's code, in XML and in JSON.
var errorCode = regexp.MustCompile(`<Code>([^<]+)</Code>|"__type"\s*:\s*"([^"]+)"`)

// codeOf is that of an error; "" for an answer that is none.
func codeOf(r reply) string {
	if r.status < http.StatusBadRequest {
		return ""
	}
	match := errorCode.FindSubmatch(r.body)
	if match == nil {
		return http.StatusText(r.status)
	}
	code := string(bytes.Join(match[1:], nil))
	return code[strings.LastIndex(code, "#")+1:]
}

// refuse is an error in the words of the call's service.
func (e *exchange) refuse(status int, code, message string) reply {
	text, kind := "", "text/xml"
	switch e.call.Service {
	case "ec2":
		text = fmt.Sprintf("<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>proxy</RequestID></Response>", code, escape(message))
	case "s3":
		text = fmt.Sprintf("<Error><Code>%s</Code><Message>%s</Message></Error>", code, escape(message))
	case "ssm", "secretsmanager", "servicequotas", "kms":
		said, err := json.Marshal(map[string]string{"__type": code, "message": message})
		if err != nil {
			panic(err) // texts can be written
		}
		text, kind = string(said), "application/x-amz-json-1.1"
	default:
		text = fmt.Sprintf("<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>proxy</RequestId></ErrorResponse>", code, escape(message))
	}
	return reply{status, http.Header{"Content-Type": {kind}}, []byte(text)}
}
