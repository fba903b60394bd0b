package fakeaws

import (
	"maps"
	"slices"
	"strings"
)

// tagged lists what can have tags in a region, by id, with its kind.
func (e *ec2) tagged(region string) map[string]entryOf {
	all := make(map[string]entryOf)
	collect(all, region, "image", e.images)
	collect(all, region, "snapshot", e.snapshots)
	collect(all, region, "volume", e.volumes)
	collect(all, region, "instance", e.instances)
	collect(all, region, "network-interface", e.interfaces)
	collect(all, region, "launch-template", e.templates)
	collect(all, region, "key-pair", e.keys)
	collect(all, region, "security-group", e.groups)
	collect(all, region, "vpc", e.vpcs)
	collect(all, region, "subnet", e.subnets)
	return all
}

// entryOf is a resource and its kind.
type entryOf struct {
	entry
	kind string
}

func collect[T entry](all map[string]entryOf, region, kind string, t table[T]) {
	for _, row := range t.rows {
		if about := row.self(); about.region == region {
			all[about.id] = entryOf{row, kind}
		}
	}
}

// codes of the errors for an id that there is not, by what it begins with.
var missing = map[string]string{
	"ami": "InvalidAMIID.NotFound", "snap": "InvalidSnapshot.NotFound", "vol": "InvalidVolume.NotFound", "i": "InvalidInstanceID.NotFound",
	"eni": "InvalidNetworkInterfaceID.NotFound", "sg": noGroup, "vpc": "InvalidVpcID.NotFound", "subnet": "InvalidSubnetID.NotFound",
	"lt": noTemplate,
}

// named returns the resources that a call on tags is for.
func (e *ec2) named(c *Call) ([]entryOf, error) {
	all := e.tagged(c.Region)
	var found []entryOf
	for _, id := range c.Params.Strings("ResourceId") {
		one, ok := all[id]
		if !ok {
			prefix, _, _ := strings.Cut(id, "-")
			if code := missing[prefix]; code != "" {
				return nil, refuse(code, "The ID '%s' does not exist", id)
			}
			return nil, refuse("InvalidID", "The ID '%s' is not valid", id)
		}
		found = append(found, one)
	}
	if len(found) == 0 {
		return nil, refuse("MissingParameter", "The request must contain the parameter resourceIdSet")
	}
	return found, nil
}

func (e *ec2) createTags(c *Call) (any, error) {
	list, err := e.named(c)
	if err != nil {
		return nil, err
	}
	tags := c.Params.Tags("Tag")
	for key, value := range tags {
		if len(key) > 127 || len(value) > 255 || strings.HasPrefix(key, "aws:") {
			return nil, refuse("InvalidParameterValue", "the tag '%s' is too long, or AWS's own", key)
		}
	}
	for _, one := range list { // all or none
		about := one.self()
		if about.Tags == nil {
			about.Tags = Tags{}
		}
		maps.Copy(about.Tags, tags)
	}
	return done{true}, nil
}

func (e *ec2) deleteTags(c *Call) (any, error) {
	list, err := e.named(c)
	if err != nil {
		return nil, err
	}
	for _, one := range list {
		about := one.self()
		if !c.Params.Has("Tag.1.Key") {
			about.Tags = nil
		}
		for _, tag := range c.Params.List("Tag") {
			if !tag.Has("Value") || about.Tags[tag.String("Key")] == tag.String("Value") {
				delete(about.Tags, tag.String("Key"))
			}
		}
	}
	return done{true}, nil
}

// tag is one of a resource's, for filters.
type tag struct {
	about
	ID    string `xml:"resourceId"`
	Kind  string `xml:"resourceType"`
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

func (t *tag) field(name string) ([]string, bool) {
	switch name {
	case "resource-id":
		return []string{t.ID}, true
	case "resource-type":
		return []string{t.Kind}, true
	case "key":
		return []string{t.Key}, true
	case "value":
		return []string{t.Value}, true
	}
	return nil, false
}

func (e *ec2) describeTags(c *Call) (any, error) {
	type row struct {
		ID    string `xml:"resourceId"`
		Kind  string `xml:"resourceType"`
		Key   string `xml:"key"`
		Value string `xml:"value"`
	}
	var reply struct {
		Tags  []row  `xml:"tagSet>item"`
		Token string `xml:"nextToken,omitempty"`
	}
	all, wanted := e.tagged(c.Region), filters(c.Params)
	var found []row
	for _, id := range slices.Sorted(maps.Keys(all)) {
		tags := all[id].self().Tags
		for _, key := range slices.Sorted(maps.Keys(tags)) {
			one := &tag{ID: id, Kind: all[id].kind, Key: key, Value: tags[key]}
			one.Tags = Tags{key: tags[key]}
			ok, err := fits(one, wanted)
			if err != nil {
				return nil, err
			}
			if ok {
				found = append(found, row{id, one.Kind, key, tags[key]})
			}
		}
	}
	var err error
	reply.Tags, reply.Token, err = page(c.Params, found)
	return reply, err
}
