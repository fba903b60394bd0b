package fakeaws

import (
	"cmp"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Template is a launch template.
type Template struct {
	about
	ID      string `xml:"launchTemplateId"`
	Name    string `xml:"launchTemplateName"`
	Created string `xml:"createTime"`
	By      string `xml:"createdBy"`
	Default int    `xml:"defaultVersionNumber"`
	Latest  int    `xml:"latestVersionNumber"` // numbers are not given twice

	versions []*templateVersion
}

// templateVersion is what instances are to be. It never changes.
type templateVersion struct {
	number      int
	description string
	created     string
	data        url.Values // as a call gave it
}

func (t *Template) field(name string) ([]string, bool) {
	switch name {
	case "launch-template-name":
		return []string{t.Name}, true
	case "create-time":
		return []string{t.Created}, true
	}
	return nil, false
}

const (
	noTemplate = "InvalidLaunchTemplateId.NotFound"
	noVersion  = "InvalidLaunchTemplateId.VersionNotFound"
)

// templateOf returns the template that a part of a call names, by LaunchTemplateId or LaunchTemplateName.
func (e *ec2) templateOf(region string, p Params) (*Template, error) {
	id, name := p.String("LaunchTemplateId"), p.String("LaunchTemplateName")
	for _, t := range e.templates.rows {
		if t.region == region && (id != "" && t.ID == id || id == "" && t.Name == name) {
			return t, nil
		}
	}
	if id != "" {
		return nil, refuse(noTemplate, "The specified launch template, with template ID %s, does not exist.", id)
	}
	return nil, refuse("InvalidLaunchTemplateName.NotFoundException", "The specified launch template, with template name %s, does not exist.", name)
}

// version returns one by its number, $Latest or $Default, which is what none means too.
func (t *Template) version(number string) (*templateVersion, error) {
	switch number {
	case "", "$Default":
		number = strconv.Itoa(t.Default)
	case "$Latest":
		number = strconv.Itoa(t.Latest)
	}
	for _, v := range t.versions {
		if strconv.Itoa(v.number) == number {
			return v, nil
		}
	}
	return nil, refuse(noVersion, "Could not find launch template version %s of %s", number, t.ID)
}

// userDataOf decodes user data, and checks EC2's limit on them.
func userDataOf(text string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, refuse("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")
	}
	if len(data) > maxUserData {
		return nil, refuse("InvalidParameterValue", "User data is limited to %d bytes", maxUserData)
	}
	return data, nil
}

// top is the first part of a parameter's name.
func top(name string) string {
	first, _, _ := strings.Cut(name, ".")
	return first
}

// overlay lays some parameters over others: what both say counts as the upper ones say it, whole.
func overlay(under, over url.Values) url.Values {
	said := make(map[string]bool)
	for name := range over {
		said[top(name)] = true
	}
	merged := maps.Clone(over)
	for name, value := range under {
		if !said[top(name)] {
			merged[name] = value
		}
	}
	return merged
}

// below are the parameters under a name.
func (p Params) below(name string) url.Values {
	values := url.Values{}
	for full, value := range p.values {
		if rest, ok := strings.CutPrefix(full, p.prefix+name+"."); ok {
			values[rest] = value
		}
	}
	return values
}

// addVersion makes a version of a template.
func (e *ec2) addVersion(t *Template, p Params) (*templateVersion, error) {
	data := p.below("LaunchTemplateData")
	if p.Has("SourceVersion") {
		from, err := t.version(p.String("SourceVersion"))
		if err != nil {
			return nil, err
		}
		data = overlay(from.data, data)
	}
	if len(data) == 0 {
		return nil, refuse("MissingParameter", "The request must contain the parameter LaunchTemplateData")
	}
	if _, err := userDataOf(data.Get("UserData")); err != nil {
		return nil, err
	}
	t.Latest++
	v := &templateVersion{t.Latest, p.String("VersionDescription"), stamp(e.now()), data}
	t.versions = append(t.versions, v)
	return v, nil
}

func (e *ec2) createTemplate(c *Call) (any, error) {
	p := c.Params
	name := p.String("LaunchTemplateName")
	if len(name) < 3 || len(name) > 128 {
		return nil, refuse("InvalidLaunchTemplateName.MalformedException", "a launch template's name has 3 to 128 characters")
	}
	if _, err := e.templateOf(c.Region, p); err == nil {
		return nil, refuse("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")
	}
	t := &Template{about: about{id: e.newID("lt"), region: c.Region, Tags: p.TagsFor("launch-template")}, Name: name, Created: stamp(e.now()), By: me, Default: 1}
	t.ID = t.id
	if _, err := e.addVersion(t, p); err != nil {
		return nil, err
	}
	e.templates.rows = append(e.templates.rows, t)
	return templateReply{t}, nil
}

type templateReply struct {
	Template *Template `xml:"launchTemplate"`
}

func (e *ec2) createTemplateVersion(c *Call) (any, error) {
	t, err := e.templateOf(c.Region, c.Params)
	if err != nil {
		return nil, err
	}
	v, err := e.addVersion(t, c.Params)
	if err != nil {
		return nil, err
	}
	return struct {
		Version versionReply `xml:"launchTemplateVersion"`
	}{versionOf(t, v, v.data)}, nil
}

func (e *ec2) describeTemplates(c *Call) (any, error) {
	var reply struct {
		Templates []*Template `xml:"launchTemplates>item"`
		Token     string      `xml:"nextToken,omitempty"`
	}
	list, err := e.templates.pick(c, "LaunchTemplateId", noTemplate, nil)
	if err != nil {
		return nil, err
	}
	if named := c.Params.Strings("LaunchTemplateName"); len(named) > 0 {
		list = slices.DeleteFunc(list, func(t *Template) bool { return !slices.Contains(named, t.Name) })
		if len(list) < len(named) {
			return nil, refuse("InvalidLaunchTemplateName.NotFoundException", "At least one of the launch templates specified in the request does not exist.")
		}
	}
	reply.Templates, reply.Token, err = pageOf(c.Params, list, 200)
	return reply, err
}

// versionReply is how EC2 writes a version.
type versionReply struct {
	ID          string       `xml:"launchTemplateId"`
	Name        string       `xml:"launchTemplateName"`
	Number      int          `xml:"versionNumber"`
	Description string       `xml:"versionDescription,omitempty"`
	Created     string       `xml:"createTime"`
	By          string       `xml:"createdBy"`
	Default     bool         `xml:"defaultVersion"`
	Data        templateData `xml:"launchTemplateData"`
}

// versionOf is one version as it is told, with data that may be resolved.
func versionOf(t *Template, v *templateVersion, data url.Values) versionReply {
	return versionReply{t.ID, t.Name, v.number, v.description, v.created, me, v.number == t.Default, templateData(data)}
}

// shown is one version as it is told, with the image that a parameter names, if that is wanted.
func (e *ec2) shown(t *Template, v *templateVersion, resolve bool) (versionReply, error) {
	data := v.data
	if resolve && data.Has("ImageId") {
		id, err := e.resolveImage(t.region, data.Get("ImageId"))
		if err != nil {
			return versionReply{}, err
		}
		data = overlay(data, url.Values{"ImageId": {id}})
	}
	return versionOf(t, v, data), nil
}

func (e *ec2) describeTemplateVersions(c *Call) (any, error) {
	var reply struct {
		Versions []versionReply `xml:"launchTemplateVersionSet>item"`
		Token    string         `xml:"nextToken,omitempty"`
	}
	p := c.Params
	templates, wanted := e.templates.rows, p.Strings("LaunchTemplateVersion")
	if p.Has("LaunchTemplateId") || p.Has("LaunchTemplateName") {
		t, err := e.templateOf(c.Region, p)
		if err != nil {
			return nil, err
		}
		templates = []*Template{t}
	} else if len(wanted) == 0 || slices.ContainsFunc(wanted, func(v string) bool { return v[0] != '$' }) {
		return nil, refuse("MissingParameter", "without a template, only $Latest and $Default can be described")
	}
	var list []versionReply
	for _, t := range templates {
		if t.region != c.Region {
			continue
		}
		for _, number := range wanted {
			v, err := t.version(number)
			if err != nil {
				return nil, err
			}
			one, err := e.shown(t, v, p.Bool("ResolveAlias"))
			if err != nil {
				return nil, err
			}
			list = append(list, one)
		}
		for _, v := range slices.Backward(t.versions) {
			if len(wanted) == 0 && v.number >= p.Int("MinVersion") && (!p.Has("MaxVersion") || v.number <= p.Int("MaxVersion")) {
				one, err := e.shown(t, v, p.Bool("ResolveAlias"))
				if err != nil {
					return nil, err
				}
				list = append(list, one)
			}
		}
	}
	var err error
	reply.Versions, reply.Token, err = pageOf(p, list, 200)
	return reply, err
}

func (e *ec2) modifyTemplate(c *Call) (any, error) {
	t, err := e.templateOf(c.Region, c.Params)
	if err != nil {
		return nil, err
	}
	v, err := t.version(c.Params.String("SetDefaultVersion"))
	if err != nil {
		return nil, err
	}
	t.Default = v.number
	return templateReply{t}, nil
}

func (e *ec2) deleteTemplateVersions(c *Call) (any, error) {
	type row struct {
		ID      string `xml:"launchTemplateId"`
		Name    string `xml:"launchTemplateName"`
		Number  string `xml:"versionNumber"`
		Code    string `xml:"responseError>code,omitempty"`
		Message string `xml:"responseError>message,omitempty"`
	}
	var reply struct {
		Well  []row `xml:"successfullyDeletedLaunchTemplateVersionSet>item"`
		Badly []row `xml:"unsuccessfullyDeletedLaunchTemplateVersionSet>item"`
	}
	t, err := e.templateOf(c.Region, c.Params)
	if err != nil {
		return nil, err
	}
	for _, number := range c.Params.Strings("LaunchTemplateVersion") {
		one := row{ID: t.ID, Name: t.Name, Number: number}
		v, err := t.version(number)
		switch {
		case err != nil:
			one.Code, one.Message = "launchTemplateVersionDoesNotExist", err.Error()
		case v.number == t.Default:
			one.Code, one.Message = "unexpectedError", "The default version cannot be deleted."
		default:
			t.versions = slices.DeleteFunc(t.versions, func(other *templateVersion) bool { return other == v })
			reply.Well = append(reply.Well, one)
			continue
		}
		reply.Badly = append(reply.Badly, one)
	}
	return reply, nil
}

func (e *ec2) deleteTemplate(c *Call) (any, error) {
	t, err := e.templateOf(c.Region, c.Params)
	if err != nil {
		return nil, err
	}
	e.templates.remove(t.ID)
	return templateReply{t}, nil
}

// withTemplate returns the parameters of an instance: a call's own, laid over the template's that it names. Tags of both count.
func (e *ec2) withTemplate(region string, p Params) (Params, *Template, *templateVersion, error) {
	if len(p.below("LaunchTemplate")) == 0 {
		return p, nil, nil, nil
	}
	named := Params{p.values, p.prefix + "LaunchTemplate."}
	t, err := e.templateOf(region, named)
	if err != nil {
		return p, nil, nil, err
	}
	v, err := t.version(named.String("Version"))
	if err != nil {
		return p, nil, nil, err
	}
	merged := overlay(v.data, p.values)
	template, own := Params{values: v.data}, p.List("TagSpecification")
	for name := range merged {
		if top(name) == "TagSpecification" {
			delete(merged, name)
		}
	}
	for i, specification := range slices.Concat(template.List("TagSpecification"), own) {
		for _, name := range specification.Names() {
			merged.Set(fmt.Sprintf("TagSpecification.%d.%s", i+1, name), specification.String(name))
		}
	}
	return Params{values: merged}, t, v, nil
}

// resolveImage returns an image's id, which may be that of a parameter: resolve:ssm:NAME, or with :VERSION after it.
func (e *ec2) resolveImage(region, id string) (string, error) {
	name, ok := strings.CutPrefix(id, "resolve:ssm:")
	if !ok {
		return id, nil
	}
	v, err := e.parameter(region, name)
	if err != nil {
		return "", refuse("InvalidParameterValue", "the image id %s cannot be resolved: %v", id, err)
	}
	return v, nil
}

// templateData are parameters that are written as EC2 answers them.
type templateData url.Values

var _ xml.Marshaler = templateData{}

// setNames are the names of those lists that are not called by their parameter's name with Set.
var setNames = map[string]string{"LicenseSpecification": "licenseSet", "Ipv6Addresses": "ipv6AddressesSet", "PrivateIpAddresses": "privateIpAddressesSet"}

// MarshalXML writes lists as sets of items, and names with a small letter.
func (d templateData) MarshalXML(enc *xml.Encoder, start xml.StartElement) error {
	return writeParams(enc, start.Name.Local, url.Values(d))
}

func writeParams(enc *xml.Encoder, element string, values url.Values) error {
	open := xml.StartElement{Name: xml.Name{Local: element}}
	if text, leaf := values[""]; leaf {
		return enc.EncodeElement(text[0], open)
	}
	if err := enc.EncodeToken(open); err != nil {
		return err
	}
	parts := make(map[string]url.Values)
	for name, value := range values {
		first, rest, _ := strings.Cut(name, ".")
		if parts[first] == nil {
			parts[first] = url.Values{}
		}
		parts[first][rest] = value
	}
	number := func(name string) int { n, _ := strconv.Atoi(name); return n }
	for _, name := range slices.SortedFunc(maps.Keys(parts), func(a, b string) int { return cmp.Or(number(a)-number(b), strings.Compare(a, b)) }) {
		part := parts[name]
		_, list := part["1"]
		for inner := range part {
			list = list || strings.HasPrefix(inner, "1.")
		}
		as := strings.ToLower(name[:1]) + name[1:]
		switch {
		case number(name) > 0:
			as = "item"
		case list && setNames[name] != "":
			as = setNames[name]
		case list && name == "SecurityGroupId" && element == "item": // of a network interface
			as = "groupSet"
		case list:
			as += "Set"
		}
		if err := writeParams(enc, as, part); err != nil {
			return err
		}
	}
	return enc.EncodeToken(open.End())
}
