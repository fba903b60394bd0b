package fakeaws

import (
	"fmt"
	"slices"
)

// VPC is a network.
type VPC struct {
	about
	ID      string `xml:"vpcId"`
	State   string `xml:"state"`
	CIDR    string `xml:"cidrBlock"`
	Default bool   `xml:"isDefault"`
}

func (v *VPC) field(name string) ([]string, bool) {
	switch name {
	case "vpc-id":
		return []string{v.ID}, true
	case "state":
		return []string{v.State}, true
	case "is-default", "isDefault":
		return yes(v.Default), true
	case "cidr":
		return []string{v.CIDR}, true
	}
	return nil, false
}

// Subnet is a part of one, in one zone.
type Subnet struct {
	about
	ID        string `xml:"subnetId"`
	VPC       string `xml:"vpcId"`
	State     string `xml:"state"`
	Zone      string `xml:"availabilityZone"`
	CIDR      string `xml:"cidrBlock"`
	Free      int    `xml:"availableIpAddressCount"`
	Default   bool   `xml:"defaultForAz"`
	GivesAddr bool   `xml:"mapPublicIpOnLaunch"`

	given int // addresses
}

func (s *Subnet) field(name string) ([]string, bool) {
	switch name {
	case "subnet-id":
		return []string{s.ID}, true
	case "vpc-id":
		return []string{s.VPC}, true
	case "state":
		return []string{s.State}, true
	case "availability-zone", "availabilityZone":
		return []string{s.Zone}, true
	case "default-for-az", "defaultForAz":
		return yes(s.Default), true
	}
	return nil, false
}

// SecurityGroup says who may speak to an instance.
type SecurityGroup struct {
	about
	ID          string `xml:"groupId"`
	Name        string `xml:"groupName"`
	Description string `xml:"groupDescription"`
	Owner       string `xml:"ownerId"`
	VPC         string `xml:"vpcId"`
	Ingress     []Rule `xml:"ipPermissions>item"`
}

// Rule lets traffic in.
type Rule struct {
	Protocol string  `xml:"ipProtocol"`
	From     int     `xml:"fromPort"`
	To       int     `xml:"toPort"`
	Ranges   []Range `xml:"ipRanges>item"`
}

// Range is where it comes from.
type Range struct {
	CIDR string `xml:"cidrIp"`
}

func (g *SecurityGroup) field(name string) ([]string, bool) {
	switch name {
	case "group-id":
		return []string{g.ID}, true
	case "group-name":
		return []string{g.Name}, true
	case "vpc-id":
		return []string{g.VPC}, true
	}
	return nil, false
}

// addNetwork gives a region what every account has in it.
func (e *ec2) addNetwork(region string) {
	vpc := &VPC{about: about{region: region}, ID: e.newID("vpc"), State: "available", CIDR: "172.31.0.0/16", Default: true}
	vpc.id = vpc.ID
	e.vpcs.rows = append(e.vpcs.rows, vpc)
	for i, zone := range zones(region) {
		subnet := &Subnet{
			about: about{region: region}, ID: e.newID("subnet"), VPC: vpc.ID, State: "available", Zone: zone,
			CIDR: fmt.Sprintf("172.31.%d.0/20", i*16), Free: 4091 - i, Default: true, GivesAddr: true,
		}
		subnet.id = subnet.ID
		e.subnets.rows = append(e.subnets.rows, subnet)
	}
	e.addGroup(&SecurityGroup{about: about{region: region}, Name: "default", Description: "default VPC security group", VPC: vpc.ID})
}

// vpcOf is a region's default one.
func (e *ec2) vpcOf(region string) *VPC {
	return e.vpcs.rows[slices.IndexFunc(e.vpcs.rows, func(v *VPC) bool { return v.region == region })]
}

func (e *ec2) addGroup(g *SecurityGroup) {
	g.ID, g.Owner = e.newID("sg"), Account
	g.id = g.ID
	e.groups.rows = append(e.groups.rows, g)
}

func (e *ec2) describeVPCs(c *Call) (any, error) {
	var reply struct {
		VPCs  []*VPC `xml:"vpcSet>item"`
		Token string `xml:"nextToken,omitempty"`
	}
	list, err := e.vpcs.pick(c, "VpcId", "InvalidVpcID.NotFound", nil)
	if err == nil {
		reply.VPCs, reply.Token, err = page(c.Params, list)
	}
	return reply, err
}

func (e *ec2) describeSubnets(c *Call) (any, error) {
	var reply struct {
		Subnets []*Subnet `xml:"subnetSet>item"`
		Token   string    `xml:"nextToken,omitempty"`
	}
	list, err := e.subnets.pick(c, "SubnetId", "InvalidSubnetID.NotFound", nil)
	if err == nil {
		reply.Subnets, reply.Token, err = page(c.Params, list)
	}
	return reply, err
}

const noGroup = "InvalidGroup.NotFound"

func (e *ec2) describeGroups(c *Call) (any, error) {
	var reply struct {
		Groups []*SecurityGroup `xml:"securityGroupInfo>item"`
		Token  string           `xml:"nextToken,omitempty"`
	}
	list, err := e.groups.pick(c, "GroupId", noGroup, nil)
	if err == nil {
		reply.Groups, reply.Token, err = page(c.Params, list)
	}
	return reply, err
}

func (e *ec2) createGroup(c *Call) (any, error) {
	p := c.Params
	vpc := p.String("VpcId")
	if vpc == "" {
		vpc = e.vpcOf(c.Region).ID
	}
	if _, ok := e.vpcs.find(c.Region, vpc); !ok {
		return nil, refuse("InvalidVpcID.NotFound", "The vpc ID '%s' does not exist", vpc)
	}
	if p.String("GroupName") == "" || p.String("GroupDescription") == "" {
		return nil, refuse("MissingParameter", "GroupName and GroupDescription are needed")
	}
	for _, g := range e.groups.rows {
		if g.region == c.Region && g.VPC == vpc && g.Name == p.String("GroupName") {
			return nil, refuse("InvalidGroup.Duplicate", "The security group '%s' already exists for VPC '%s'", g.Name, vpc)
		}
	}
	g := &SecurityGroup{about: about{region: c.Region, Tags: p.TagsFor("security-group")}, Name: p.String("GroupName"), Description: p.String("GroupDescription"), VPC: vpc}
	e.addGroup(g)
	return struct {
		ID   string `xml:"groupId"`
		Tags Tags   `xml:"tagSet"`
	}{g.ID, g.Tags}, nil
}

func (e *ec2) authorizeIngress(c *Call) (any, error) {
	g, ok := e.groups.find(c.Region, c.Params.String("GroupId"))
	if !ok {
		return nil, refuse(noGroup, "The security group '%s' does not exist", c.Params.String("GroupId"))
	}
	for _, p := range c.Params.List("IpPermissions") {
		rule := Rule{Protocol: p.String("IpProtocol"), From: p.Int("FromPort"), To: p.Int("ToPort")}
		for _, r := range p.List("IpRanges") {
			rule.Ranges = append(rule.Ranges, Range{r.String("CidrIp")})
		}
		g.Ingress = append(g.Ingress, rule)
	}
	return done{true}, nil
}

func (e *ec2) deleteGroup(c *Call) (any, error) {
	g, ok := e.groups.find(c.Region, c.Params.String("GroupId"))
	if !ok {
		return nil, refuse(noGroup, "The security group '%s' does not exist", c.Params.String("GroupId"))
	}
	if g.Name == "default" {
		return nil, refuse("CannotDelete", "the specified group: %q name: \"default\" cannot be deleted by a user", g.ID)
	}
	for _, i := range e.instances.rows {
		if i.State.Name != "terminated" && slices.Contains(i.GroupIDs, g.ID) {
			return nil, refuse("DependencyViolation", "resource %s has a dependent object", g.ID)
		}
	}
	e.groups.remove(g.ID)
	return done{true}, nil
}
