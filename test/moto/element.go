package moto

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
)

// element is a part of an answer in XML. Attributes are not kept: answers have nothing in them but namespaces.
type element struct {
	XMLName xml.Name
	Text    string     `xml:",chardata"`
	Parts   []*element `xml:",any"`
}

func parse(text []byte) (*element, error) {
	var root element
	if err := xml.Unmarshal(text, &root); err != nil {
		return nil, err
	}
	root.plain()
	return &root, nil
}

// plain forgets namespaces, and what stands around parts.
func (e *element) plain() {
	e.XMLName.Space = ""
	if len(e.Parts) > 0 {
		e.Text = ""
	}
	for _, part := range e.Parts {
		part.plain()
	}
}

// leaf is an element with a text.
func leaf(name, text string) *element { return &element{XMLName: xml.Name{Local: name}, Text: text} }

// find returns the elements at a path, like "imagesSet/item"; an element with none is nil.
func (e *element) find(path string) []*element {
	found := []*element{e}
	for name := range strings.SplitSeq(path, "/") {
		var next []*element
		for _, one := range found {
			for _, part := range one.Parts {
				if part.XMLName.Local == name {
					next = append(next, part)
				}
			}
		}
		found = next
	}
	return found
}

// text is that of the first element at a path; "" for none.
func (e *element) text(path string) string {
	for _, one := range e.find(path) {
		return strings.TrimSpace(one.Text)
	}
	return ""
}

// set gives a part another text, or adds it.
func (e *element) set(name, text string) {
	e.Parts = slices.DeleteFunc(e.Parts, func(part *element) bool { return part.XMLName.Local == name })
	e.Parts = append(e.Parts, leaf(name, text))
}

// edit changes an answer that went well. Where do has nothing to change, the answer stays as it is.
func edit(r reply, do func(root *element) (changed bool)) (reply, bool, error) {
	if r.status != http.StatusOK {
		return r, false, nil
	}
	root, err := parse(r.body)
	if err != nil || !do(root) {
		return r, false, err
	}
	text, err := xml.Marshal(root)
	r.body = append([]byte(xml.Header), text...)
	return r, true, err
}

func escape(text string) string {
	var out bytes.Buffer
	_ = xml.EscapeText(&out, []byte(text)) // a buffer takes everything
	return out.String()
}

// result is an answer of the query protocol, or of EC2's with its parts at the top.
func (e *exchange) result(parts string) reply {
	text := "<" + e.call.Action + "Response>" + parts + "</" + e.call.Action + "Response>"
	if e.call.Service != "ec2" {
		text = "<" + e.call.Action + "Response><" + e.call.Action + "Result>" + parts + "</" + e.call.Action + "Result></" + e.call.Action + "Response>"
	}
	return reply{http.StatusOK, http.Header{"Content-Type": {"text/xml"}}, []byte(text)}
}
