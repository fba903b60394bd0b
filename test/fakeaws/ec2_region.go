package fakeaws

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
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

// instanceTypes are those that a describe lists when none is named. Any other of the form is known too.
func instanceTypes() []string {
	var names []string
	for _, family := range []string{"c6i", "c7g", "m6i", "m7g", "m7i", "r6i", "r7g", "t3", "t4g"} {
		for _, size := range []string{"medium", "large", "xlarge", "2xlarge", "4xlarge"} {
			names = append(names, family+"."+size)
		}
	}
	return names
}

// instanceType is what instances of a type are like.
type instanceType struct {
	about   `xml:"-"`
	Name    string   `xml:"instanceType"`
	Current bool     `xml:"currentGeneration"`
	Archs   []string `xml:"processorInfo>supportedArchitectures>item"`
	CPUs    int      `xml:"vCpuInfo>defaultVCpus"`
	Memory  int      `xml:"memoryInfo>sizeInMiB"`
	ENA     string   `xml:"networkInfo>enaSupport"`
	Cards   int      `xml:"networkInfo>maximumNetworkInterfaces"`
	Roots   []string `xml:"supportedRootDeviceTypes>item"`
	Virtual []string `xml:"supportedVirtualizationTypes>item"`
}

func (i *instanceType) field(name string) ([]string, bool) {
	switch name {
	case "instance-type":
		return []string{i.Name}, true
	case "processor-info.supported-architecture":
		return i.Archs, true
	case "current-generation":
		return yes(i.Current), true
	}
	return nil, false
}

// typeNamed works out what a type is like from its name, roughly: two processors in a large one, twice as many in the next,
// and memory by the family.
func typeNamed(name string) (*instanceType, bool) {
	arch, ok := archOf(name)
	if !ok {
		return nil, false
	}
	family, size, _ := strings.Cut(name, ".")
	cpus := 2
	if times, extra := strings.CutSuffix(size, "xlarge"); extra {
		n, _ := strconv.Atoi(cmp.Or(times, "1"))
		cpus = 4 * n
	}
	memory := map[byte]int{'c': 2, 'r': 8}[family[0]]
	return &instanceType{
		Name: name, Current: true, Archs: []string{arch}, CPUs: cpus, Memory: cpus * 1024 * cmp.Or(memory, 4), ENA: "required", Cards: min(2+cpus/2, 15),
		Roots: []string{"ebs"}, Virtual: []string{"hvm"},
	}, true
}

func (e *ec2) describeTypes(c *Call) (any, error) {
	var reply struct {
		Types []*instanceType `xml:"instanceTypeSet>item"`
		Token string          `xml:"nextToken,omitempty"`
	}
	names, wanted := c.Params.Strings("InstanceType"), filters(c.Params)
	if len(names) == 0 {
		names = instanceTypes()
	}
	var list []*instanceType
	for _, name := range names {
		one, ok := typeNamed(name)
		if !ok {
			return nil, badType(name)
		}
		ok, err := fits(one, wanted)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, one)
		}
	}
	var err error
	reply.Types, reply.Token, err = pageOf(c.Params, list, 100)
	return reply, err
}

// offering is where instances of a type can run.
type offering struct {
	about    `xml:"-"`
	Type     string `xml:"instanceType"`
	Kind     string `xml:"locationType"`
	Location string `xml:"location"`
}

func (o *offering) field(name string) ([]string, bool) {
	switch name {
	case "instance-type":
		return []string{o.Type}, true
	case "location":
		return []string{o.Location}, true
	}
	return nil, false
}

func (e *ec2) describeOfferings(c *Call) (any, error) {
	var reply struct {
		Offerings []*offering `xml:"instanceTypeOfferingSet>item"`
		Token     string      `xml:"nextToken,omitempty"`
	}
	kind, places := "region", []string{c.Region}
	if c.Params.String("LocationType") == "availability-zone" {
		kind, places = "availability-zone", zones(c.Region)
	}
	wanted, types := filters(c.Params), instanceTypes()
	for _, f := range wanted {
		if f.name == "instance-type" {
			types = append(types, f.patterns...)
		}
	}
	slices.Sort(types)
	var list []*offering
	for _, name := range slices.Compact(types) {
		for _, place := range places {
			one := &offering{Type: name, Kind: kind, Location: place}
			ok, err := fits(one, wanted)
			if err != nil {
				return nil, err
			}
			if _, known := archOf(name); ok && known && !e.lacking[place+name] {
				list = append(list, one)
			}
		}
	}
	var err error
	reply.Offerings, reply.Token, err = pageOf(c.Params, list, 1000)
	return reply, err
}

// Lack makes a zone offer an instance type no more. Running one there is refused.
func (s *Server) Lack(zone, instanceType string) {
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	s.ec2.lacking[zone+instanceType] = true
}
