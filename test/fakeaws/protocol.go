package fakeaws

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// Error is what AWS answers when it does not do what it was asked to.
type Error struct {
	Status  int
	Code    string
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// noAnswer is the status of an error that is no answer at all.
const noAnswer = -1

// refuse is an error of the caller's.
func refuse(code, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...)}
}

func asError(err error) *Error {
	var said *Error
	if errors.As(err, &said) {
		return said
	}
	return &Error{Status: http.StatusInternalServerError, Code: "InternalFailure", Message: err.Error()}
}

// protocol is how a service is spoken to, and how it answers.
type protocol interface {
	// read finds out what a call is about.
	read(r *http.Request, body []byte, c *Call) error
	reply(id, action string, value any) ([]byte, error)
	failure(id string, e *Error) []byte
	// content is the type of an answer.
	content() string
}

var (
	_ protocol = ec2Protocol{}
	_ protocol = queryProtocol{}
)

const contentXML = "text/xml;charset=UTF-8"

// tabled is a service that is a table of actions.
type tabled struct {
	name    string
	speaks  protocol
	lock    sync.Locker // of the state that all services share
	actions map[string]func(*Call) (any, error)
}

var _ service = (*tabled)(nil)

func (t *tabled) protocol() protocol { return t.speaks }

func (t *tabled) answer(c *Call, id string) ([]byte, error) {
	action, ok := t.actions[c.Action]
	if !ok {
		return nil, refuse("InvalidAction", "the fake has no action %q of %s", c.Action, t.name)
	}
	t.lock.Lock()
	defer t.lock.Unlock()
	reply, err := action(c)
	if err != nil {
		return nil, err
	}
	return t.speaks.reply(id, c.Action, reply) // while nobody changes it
}

// element writes a value as an element with something before its content, which is there as text.
func element(name, space string, value any, first string) ([]byte, error) {
	var text bytes.Buffer
	start := xml.StartElement{Name: xml.Name{Local: name}}
	if space != "" {
		start.Attr = []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: space}}
	}
	if err := xml.NewEncoder(&text).EncodeElement(value, start); err != nil {
		return nil, err
	}
	head, rest, _ := bytes.Cut(text.Bytes(), []byte(">"))
	return []byte(xml.Header + string(head) + ">" + first + string(rest)), nil
}

// ec2Protocol is EC2's own.
type ec2Protocol struct{}

func (ec2Protocol) content() string { return contentXML }

func (ec2Protocol) read(_ *http.Request, body []byte, c *Call) error {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return refuse("MalformedQueryString", "%v", err)
	}
	c.Action, c.Params = values.Get("Action"), Params{values: values}
	return nil
}

func (ec2Protocol) reply(id, action string, value any) ([]byte, error) {
	return element(action+"Response", "http://ec2.amazonaws.com/doc/2016-11-15/", value, "<requestId>"+id+"</requestId>")
}

func (ec2Protocol) failure(id string, e *Error) []byte {
	return fmt.Appendf(nil, "%s<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>%s</RequestID></Response>",
		xml.Header, escape(e.Code), escape(e.Message), id)
}

// queryProtocol is that of older services, like STS.
type queryProtocol struct{ space string }

func (queryProtocol) content() string { return contentXML }

// read writes lists as EC2 does, without the member between a list's name and a number.
func (queryProtocol) read(_ *http.Request, body []byte, c *Call) error {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return refuse("MalformedQueryString", "%v", err)
	}
	plain := make(url.Values, len(values))
	for name, value := range values {
		plain[strings.ReplaceAll(name, ".member.", ".")] = value
	}
	c.Action, c.Params = values.Get("Action"), Params{values: plain}
	return nil
}

func (p queryProtocol) reply(id, action string, value any) ([]byte, error) {
	if value == nil {
		value = struct{}{}
	}
	result, err := element(action+"Result", "", value, "")
	if err != nil {
		return nil, err
	}
	result = bytes.TrimPrefix(result, []byte(xml.Header))
	return fmt.Appendf(nil, "%s<%sResponse xmlns=%q>%s<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%[2]sResponse>",
		xml.Header, action, p.space, result, id), nil
}

func (p queryProtocol) failure(id string, e *Error) []byte {
	return fmt.Appendf(nil, "%s<ErrorResponse xmlns=%q><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>",
		xml.Header, p.space, escape(e.Code), escape(e.Message), id)
}

func escape(text string) string {
	var out bytes.Buffer
	_ = xml.EscapeText(&out, []byte(text)) // a buffer takes everything
	return out.String()
}
