package fakeaws

import (
	"slices"
)

// tag keeps a tag, or changes it.
func (g *scalingGroup) tag(p Params) {
	t := groupTag{p.String("Key"), p.String("Value"), p.Bool("PropagateAtLaunch"), g.name, "auto-scaling-group"}
	g.tags = slices.DeleteFunc(g.tags, func(known groupTag) bool { return known.Key == t.Key })
	g.tags = append(g.tags, t)
}

// eachTag does something with each tag of a call, and its group.
func (s *scaling) eachTag(c *Call, do func(*scalingGroup, Params)) error {
	tags := c.Params.List("Tags")
	for _, t := range tags { // all or none
		if s.group(c.Region, t.String("ResourceId")) == nil {
			return invalid("The request is invalid: there is no group %q", t.String("ResourceId"))
		}
	}
	for _, t := range tags {
		do(s.group(c.Region, t.String("ResourceId")), t)
	}
	return nil
}

func (s *scaling) putTags(c *Call) (any, error) { return nil, s.eachTag(c, (*scalingGroup).tag) }

func (s *scaling) deleteTags(c *Call) (any, error) {
	return nil, s.eachTag(c, func(g *scalingGroup, t Params) {
		g.tags = slices.DeleteFunc(g.tags, func(known groupTag) bool { return known.Key == t.String("Key") })
	})
}

func (s *scaling) describeTags(c *Call) (any, error) {
	var reply struct {
		Tags []groupTag `xml:"Tags>member"`
		Next string     `xml:"NextToken,omitempty"`
	}
	var list []groupTag
	for _, g := range s.groups {
		for _, t := range g.tags {
			if g.region == c.Region && !slices.ContainsFunc(c.Params.List("Filters"), func(f Params) bool {
				return !slices.Contains(f.Strings("Values"), map[string]string{"auto-scaling-group": g.name, "key": t.Key, "value": t.Value}[f.String("Name")])
			}) {
				list = append(list, t)
			}
		}
	}
	var err error
	reply.Tags, reply.Next, err = pageOf(c.Params, list, 50)
	return reply, err
}
