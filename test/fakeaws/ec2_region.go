package fakeaws

import (
	"regexp"
	"slices"
)

func (e *ec2) describeRegions(c *Call) (any, error) {
	type region struct {
		Name     string `xml:"regionName"`
		Endpoint string `xml:"regionEndpoint"`
		Status   string `xml:"optInStatus"`
	}
	var reply struct {
		Regions []region `xml:"regionInfo>item"`
	}
	for _, name := range Regions() {
		if named := c.Params.Strings("RegionName"); len(named) == 0 || slices.Contains(named, name) {
			reply.Regions = append(reply.Regions, region{name, "ec2." + name + ".amazonaws.com", "opt-in-not-required"})
		}
	}
	return reply, nil
}

// zones are those of a region.
func zones(region string) []string { return []string{region + "a", region + "b", region + "c"} }

func (e *ec2) describeZones(c *Call) (any, error) {
	type zone struct {
		Name   string `xml:"zoneName"`
		State  string `xml:"zoneState"`
		Region string `xml:"regionName"`
		Type   string `xml:"zoneType"`
	}
	var reply struct {
		Zones []zone `xml:"availabilityZoneInfo>item"`
	}
	for _, name := range zones(c.Region) {
		reply.Zones = append(reply.Zones, zone{name, "available", c.Region, "availability-zone"})
	}
	return reply, nil
}

func (e *ec2) describeAccount(c *Call) (any, error) {
	type value struct {
		Value string `xml:"attributeValue"`
	}
	type attribute struct {
		Name   string  `xml:"attributeName"`
		Values []value `xml:"attributeValueSet>item"`
	}
	var reply struct {
		Attributes []attribute `xml:"accountAttributeSet>item"`
	}
	for _, a := range []attribute{{"supported-platforms", []value{{"VPC"}}}, {"default-vpc", []value{{e.vpcOf(c.Region).ID}}}} {
		if named := c.Params.Strings("AttributeName"); len(named) == 0 || slices.Contains(named, a.Name) {
			reply.Attributes = append(reply.Attributes, a)
		}
	}
	return reply, nil
}

// typeForm is an instance type: family, generation, options and size.
var typeForm = regexp.MustCompile(`^[a-z]+[0-9]([a-z-]*)\.(nano|micro|small|medium|large|metal|[0-9]*xlarge)$`)

// archOf returns the processor of an instance type. A g among the options after the generation is Graviton.
func archOf(instanceType string) (string, bool) {
	match := typeForm.FindStringSubmatch(instanceType)
	switch {
	case match == nil:
		return "", false
	case slices.Contains([]byte(match[1]), 'g'):
		return "arm64", true
	}
	return "x86_64", true
}

func badType(name string) error {
	return refuse("InvalidInstanceType", "The following supplied instance types do not exist: [%s]", name)
}

func (e *ec2) describeTypes(c *Call) (any, error) {
	type instanceType struct {
		Name  string   `xml:"instanceType"`
		Archs []string `xml:"processorInfo>supportedArchitectures>item"`
		Ena   string   `xml:"networkInfo>enaSupport"`
	}
	var reply struct {
		Types []instanceType `xml:"instanceTypeSet>item"`
	}
	names := c.Params.Strings("InstanceType")
	if len(names) == 0 {
		return nil, refuse("MissingParameter", "the fake describes types that are named")
	}
	for _, name := range names {
		arch, ok := archOf(name)
		if !ok {
			return nil, badType(name)
		}
		reply.Types = append(reply.Types, instanceType{name, []string{arch}, "required"})
	}
	return reply, nil
}

func (e *ec2) describeOfferings(c *Call) (any, error) {
	type offering struct {
		Type     string `xml:"instanceType"`
		Kind     string `xml:"locationType"`
		Location string `xml:"location"`
	}
	var reply struct {
		Offerings []offering `xml:"instanceTypeOfferingSet>item"`
	}
	kind, places := "region", []string{c.Region}
	if c.Params.String("LocationType") == "availability-zone" {
		kind, places = "availability-zone", zones(c.Region)
	}
	var types []string
	for _, filter := range c.Params.List("Filter") {
		switch filter.String("Name") {
		case "instance-type":
			types = filter.Strings("Value")
		case "location":
			places = slices.DeleteFunc(places, func(place string) bool { return !slices.Contains(filter.Strings("Value"), place) })
		default:
			return nil, refuse("InvalidParameterValue", "The filter '%s' is invalid", filter.String("Name"))
		}
	}
	for _, name := range types {
		if _, ok := archOf(name); !ok {
			continue // offered nowhere
		}
		for _, place := range places {
			reply.Offerings = append(reply.Offerings, offering{name, kind, place})
		}
	}
	return reply, nil
}
