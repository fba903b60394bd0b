package fakeaws

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ssm keeps parameters. It shares EC2's lock and clock.
type ssm struct {
	ec2        *ec2
	parameters map[string]*parameter // by region and name
}

// parameter is a text with a history.
type parameter struct {
	region, name string
	versions     []parameterVersion
	tags         Tags
}

// parameterVersion is how Systems Manager answers one, and how it lists one.
type parameterVersion struct {
	Name             string
	ARN              string   `json:",omitempty"`
	Type             string   `json:",omitempty"`
	Value            string   `json:",omitempty"`
	DataType         string   `json:",omitempty"`
	Version          int      `json:",omitempty"`
	LastModifiedDate seconds  `json:",omitzero"`
	LastModifiedUser string   `json:",omitempty"`
	Description      string   `json:",omitempty"`
	Tier             string   `json:",omitempty"`
	Labels           []string `json:",omitempty"`
}

const (
	// maxParameter is what a standard parameter holds, in bytes; an advanced one holds twice as much.
	maxParameter = 4096
	// maxVersions are kept of a parameter.
	maxVersions = 100
	noParameter = "ParameterNotFound"
)

func newSSM(e *ec2) *ssm { return &ssm{ec2: e, parameters: map[string]*parameter{}} }

func (s *ssm) service() service {
	return &tabled{name: "ssm", speaks: jsonProtocol{}, lock: &s.ec2.mu, actions: map[string]func(*Call) (any, error){
		"PutParameter":           s.put,
		"GetParameter":           s.get,
		"GetParameters":          s.getMany,
		"GetParametersByPath":    s.byPath,
		"GetParameterHistory":    s.history,
		"DeleteParameter":        s.delete,
		"AddTagsToResource":      s.addTags,
		"RemoveTagsFromResource": s.removeTags,
		"ListTagsForResource":    s.listTags,
	}}
}

// parameterName is a path of names, or one name.
var parameterName = regexp.MustCompile(`^/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$`)

func (s *ssm) put(c *Call) (any, error) {
	p := c.Params
	name, value := p.String("Name"), p.String("Value")
	old := s.parameters[c.Region+name]
	first := strings.ToLower(strings.TrimPrefix(name, "/"))
	tier, most := "Standard", maxParameter
	if p.String("Tier") == "Advanced" || p.String("Tier") == "Intelligent-Tiering" && len(value) > maxParameter {
		tier, most = "Advanced", 2*maxParameter
	}
	v := parameterVersion{
		Name: name, Type: p.String("Type"), Value: value, DataType: p.String("DataType"), Version: 1, LastModifiedDate: seconds(s.ec2.now()),
		LastModifiedUser: me, Description: p.String("Description"), Tier: tier,
	}
	if v.DataType == "" {
		v.DataType = "text"
	}
	switch {
	case !parameterName.MatchString(name) || strings.Contains(name, "/") && name[0] != '/' || strings.HasPrefix(first, "aws") || strings.HasPrefix(first, "ssm"):
		return nil, refuse("ValidationException", "Parameter name: %s is not valid", name)
	case old != nil && !p.Bool("Overwrite"):
		return nil, refuse("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
	case old != nil && p.Has("Tags.1.Key"):
		return nil, refuse("ValidationException", "tags and overwrite can't be used together. To create a parameter with tags, remove overwrite flag.")
	case old == nil && !slices.Contains([]string{"String", "StringList", "SecureString"}, v.Type):
		return nil, refuse("ValidationException", "A parameter type is required when you create a parameter.")
	case value == "" || len(value) > most:
		return nil, refuse("ValidationException", "%s tier parameters support a maximum parameter value of %d characters", tier, most)
	}
	if v.DataType == "aws:ec2:image" {
		if i, ok := s.ec2.images.find(c.Region, value); !ok || i.State != "available" {
			return nil, refuse("ValidationException", "The following parameter value is not a valid image: %s", value)
		}
	}
	if v.DataType == "aws:ec2:image" && c.stalled { // what AWS finds to be no image after it has answered
		return putReply{v.Version, tier}, nil
	}
	if old == nil {
		old = &parameter{region: c.Region, name: name, tags: p.Tags("Tags")}
		s.parameters[c.Region+name] = old
	} else {
		last := old.versions[len(old.versions)-1]
		v.Version = last.Version + 1
		if v.Type == "" {
			v.Type = last.Type
		}
	}
	v.ARN = arn("ssm", c.Region, "parameter/"+strings.TrimPrefix(name, "/"))
	old.versions = append(old.versions, v)
	if len(old.versions) > maxVersions {
		old.versions = old.versions[1:]
	}
	return putReply{v.Version, tier}, nil
}

type putReply struct {
	Version int
	Tier    string
}

// find returns a parameter by its name or ARN, with a version perhaps: name:3.
func (s *ssm) find(region, name string) (parameterVersion, error) {
	if rest, ok := strings.CutPrefix(name, arn("ssm", region, "parameter")); ok {
		name = rest
		if s.parameters[region+name] == nil { // one whose name is no path
			name = strings.TrimPrefix(rest, "/")
		}
	}
	plain, version, versioned := strings.Cut(name, ":")
	p := s.parameters[region+plain]
	if p == nil {
		return parameterVersion{}, refuse(noParameter, "there is no parameter %s", plain)
	}
	if !versioned {
		return p.versions[len(p.versions)-1], nil
	}
	for _, v := range p.versions {
		if strconv.Itoa(v.Version) == version {
			return v, nil
		}
	}
	return parameterVersion{}, refuse("ParameterVersionNotFound", "Systems Manager could not find version %s of %s", version, plain)
}

// shown is a version without what only the history tells.
func (v parameterVersion) shown() parameterVersion {
	v.LastModifiedUser, v.Description, v.Tier = "", "", ""
	return v
}

func (s *ssm) get(c *Call) (any, error) {
	v, err := s.find(c.Region, c.Params.String("Name"))
	if err != nil {
		return nil, err
	}
	return struct{ Parameter parameterVersion }{v.shown()}, nil
}

func (s *ssm) getMany(c *Call) (any, error) {
	var reply struct {
		Parameters        []parameterVersion
		InvalidParameters []string
	}
	names := c.Params.Strings("Names")
	if len(names) == 0 || len(names) > 10 {
		return nil, refuse("ValidationException", "names must have length between 1 and 10")
	}
	for _, name := range names {
		if v, err := s.find(c.Region, name); err == nil {
			reply.Parameters = append(reply.Parameters, v.shown())
		} else {
			reply.InvalidParameters = append(reply.InvalidParameters, name)
		}
	}
	return reply, nil
}

func (s *ssm) byPath(c *Call) (any, error) {
	var reply struct {
		Parameters []parameterVersion
		NextToken  string `json:",omitempty"`
	}
	path := strings.TrimSuffix(c.Params.String("Path"), "/") + "/"
	if path[0] != '/' {
		return nil, refuse("ValidationException", "The parameter doesn't meet the parameter name requirements: it must begin with a slash")
	}
	var list []parameterVersion
	for _, key := range slices.Sorted(maps.Keys(s.parameters)) {
		p := s.parameters[key]
		rest, under := strings.CutPrefix(p.name, path)
		if p.region == c.Region && under && (c.Params.Bool("Recursive") || !strings.Contains(rest, "/")) {
			list = append(list, p.versions[len(p.versions)-1].shown())
		}
	}
	var err error
	reply.Parameters, reply.NextToken, err = pageOf(c.Params, list, 10)
	return reply, err
}

func (s *ssm) history(c *Call) (any, error) {
	var reply struct {
		Parameters []parameterVersion
		NextToken  string `json:",omitempty"`
	}
	p := s.parameters[c.Region+c.Params.String("Name")]
	if p == nil {
		return nil, refuse(noParameter, "there is no parameter %s", c.Params.String("Name"))
	}
	list := slices.Clone(p.versions)
	for i := range list {
		list[i].ARN = "" // which a history does not tell
	}
	var err error
	reply.Parameters, reply.NextToken, err = pageOf(c.Params, list, 50)
	return reply, err
}

func (s *ssm) delete(c *Call) (any, error) {
	key := c.Region + c.Params.String("Name")
	if s.parameters[key] == nil {
		return nil, refuse(noParameter, "there is no parameter %s", c.Params.String("Name"))
	}
	delete(s.parameters, key)
	return nil, nil
}

// tagged returns the parameter that a call on tags is for.
func (s *ssm) tagged(c *Call) (*parameter, error) {
	p := s.parameters[c.Region+c.Params.String("ResourceId")]
	if c.Params.String("ResourceType") != "Parameter" || p == nil {
		return nil, refuse("InvalidResourceId", "there is no %s %s", c.Params.String("ResourceType"), c.Params.String("ResourceId"))
	}
	return p, nil
}

func (s *ssm) addTags(c *Call) (any, error) {
	p, err := s.tagged(c)
	if err != nil {
		return nil, err
	}
	maps.Copy(p.tags, c.Params.Tags("Tags"))
	return nil, nil
}

func (s *ssm) removeTags(c *Call) (any, error) {
	p, err := s.tagged(c)
	if err != nil {
		return nil, err
	}
	for _, key := range c.Params.Strings("TagKeys") {
		delete(p.tags, key)
	}
	return nil, nil
}

func (s *ssm) listTags(c *Call) (any, error) {
	p, err := s.tagged(c)
	if err != nil {
		return nil, err
	}
	return struct{ TagList []pair }{p.tags.pairs()}, nil
}

// SetParameter keeps a text in a parameter, as somebody else's call would: AWS's own names are allowed.
func (s *Server) SetParameter(region, name, value string) {
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	p := s.ssm.parameters[region+name]
	if p == nil {
		p = &parameter{region: region, name: name, tags: Tags{}}
		s.ssm.parameters[region+name] = p
	}
	p.versions = append(p.versions, parameterVersion{
		Name: name, ARN: arn("ssm", region, "parameter/"+strings.TrimPrefix(name, "/")), Type: "String", Value: value, DataType: "text",
		Version: len(p.versions) + 1, LastModifiedDate: seconds(s.ec2.now()), Tier: "Standard",
	})
}

// Parameter returns a parameter's value as it is now; without one, "".
func (s *Server) Parameter(region, name string) string {
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	v, err := s.ssm.find(region, name)
	if err != nil {
		return ""
	}
	return v.Value
}
