package fakeaws

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Call is a call as it was recorded.
type Call struct {
	Service string
	Region  string
	Action  string
	// Key is the caller's access key, by its id.
	Key string
	// Params are the parameters, of whatever protocol: a call in JSON has Tags.1.Key, one to S3 has Bucket, Key, and its
	// query's and headers' names.
	Params Params
	// Body is what was sent to S3, or in JSON.
	Body []byte
	Time time.Time
	Took time.Duration
	// Code is that of the error that was answered; empty: it went well.
	Code string
	// Fault is the name of the fault that had its way with it.
	Fault string

	stalled bool
	crash   func()      // ends the client, without an answer
	status  int         // of the answer; 0: 200
	header  http.Header // of the answer
}

// tell says something in the answer's header.
func (c *Call) tell(name, value string) {
	if c.header == nil {
		c.header = http.Header{}
	}
	c.header.Set(name, value)
}

// String is the call in one line, like "ec2 eu-west-1 RunInstances: RequestLimitExceeded".
func (c Call) String() string {
	text := c.Service + " " + c.Region + " " + c.Action
	if c.Code != "" {
		text += ": " + c.Code
	}
	return text
}

// Params are the parameters of a call, or a part of them.
type Params struct {
	values url.Values
	prefix string
}

// String returns one; without it, "".
func (p Params) String(name string) string { return p.values.Get(p.prefix + name) }

// Has tells whether one was given.
func (p Params) Has(name string) bool { return p.values.Has(p.prefix + name) }

// Bool returns one that is true or false; without it, false.
func (p Params) Bool(name string) bool { return p.String(name) == "true" }

// Int returns a number; without it, 0.
func (p Params) Int(name string) int {
	n, _ := strconv.Atoi(p.String(name))
	return n
}

// List returns the parts of a list, whose parameters are called name.1.…, name.2.…
func (p Params) List(name string) []Params {
	var parts []Params
	for i := 1; ; i++ {
		part := Params{p.values, fmt.Sprintf("%s%s.%d.", p.prefix, name, i)}
		if len(part.Names()) == 0 {
			return parts
		}
		parts = append(parts, part)
	}
}

// Strings returns a list of words, name.1, name.2…
func (p Params) Strings(name string) []string {
	var words []string
	for i := 1; p.Has(fmt.Sprintf("%s.%d", name, i)); i++ {
		words = append(words, p.String(fmt.Sprintf("%s.%d", name, i)))
	}
	return words
}

// Names lists what there is, in order.
func (p Params) Names() []string {
	var names []string
	for name := range p.values {
		if rest, ok := strings.CutPrefix(name, p.prefix); ok {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	return names
}

// Tags returns what a list called name holds: its parts have Key and Value.
func (p Params) Tags(name string) map[string]string {
	tags := make(map[string]string)
	for _, tag := range p.List(name) {
		tags[tag.String("Key")] = tag.String("Value")
	}
	return tags
}

// TagsFor returns the tags that a call gives to what it creates, by the kind of resource, like "volume".
func (p Params) TagsFor(kind string) map[string]string {
	tags := make(map[string]string)
	for _, specification := range p.List("TagSpecification") {
		if specification.String("ResourceType") == kind {
			for key, value := range specification.Tags("Tag") {
				tags[key] = value
			}
		}
	}
	return tags
}

// Calls returns those of an action, or all with "", in the order in which they were answered.
func (s *Server) Calls(action string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Call
	for _, call := range s.calls {
		if action == "" || call.Action == action {
			found = append(found, call)
		}
	}
	return found
}
