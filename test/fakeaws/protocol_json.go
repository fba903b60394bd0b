package fakeaws

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// jsonProtocol is that of newer services, like Systems Manager: JSON 1.1, the action in a header.
type jsonProtocol struct{}

var _ protocol = jsonProtocol{}

func (jsonProtocol) content() string { return "application/x-amz-json-1.1" }

// read makes parameters of the body, as the older protocols write them: Tags.1.Key.
func (jsonProtocol) read(r *http.Request, body []byte, c *Call) error {
	_, c.Action, _ = strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	c.Body, c.Params = body, Params{values: url.Values{}}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return refuse("SerializationException", "the body is no JSON: %v", err)
	}
	Flatten(c.Params.values, "", value)
	return nil
}

// Flatten writes a value of JSON as parameters. What is null or empty is none.
func Flatten(into url.Values, name string, value any) {
	join := func(part string) string { return strings.TrimPrefix(name+"."+part, ".") }
	switch v := value.(type) {
	case map[string]any:
		for key, one := range v {
			Flatten(into, join(key), one)
		}
	case []any:
		for i, one := range v {
			Flatten(into, join(fmt.Sprint(i+1)), one)
		}
	case nil:
	default:
		into.Set(name, fmt.Sprint(v))
	}
}

func (jsonProtocol) reply(_, _ string, value any) ([]byte, error) {
	if value == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(value)
}

func (jsonProtocol) failure(_ string, e *Error) []byte {
	text, err := json.Marshal(map[string]string{"__type": e.Code, "message": e.Message})
	if err != nil {
		panic(err) // texts can be written
	}
	return text
}

// seconds is a moment as JSON services write it, since 1970.
type seconds time.Time

var _ json.Marshaler = seconds{}

// MarshalJSON keeps thousandths.
func (s seconds) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", float64(time.Time(s).UnixMilli())/1000), nil
}

// pair is a tag as most services write it.
type pair struct {
	Key, Value string
}

// pairs are tags by key.
func (t Tags) pairs() []pair {
	list := []pair{}
	for _, key := range t.keys() {
		list = append(list, pair{key, t[key]})
	}
	return list
}
