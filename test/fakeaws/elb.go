package fakeaws

import (
	"cmp"
	"slices"
	"time"
)

// elb balances load, as far as groups and their targets go. It shares EC2's lock.
type elb struct {
	ec2       *ec2
	groups    []*TargetGroup
	balancers []*LoadBalancer
}

// TargetGroup is where a load balancer sends what it is asked.
type TargetGroup struct {
	Region    string   `xml:"-"`
	ARN       string   `xml:"TargetGroupArn"`
	Name      string   `xml:"TargetGroupName"`
	Protocol  string   `xml:"Protocol"`
	Port      int      `xml:"Port"`
	VPC       string   `xml:"VpcId"`
	Target    string   `xml:"TargetType"`
	Balancers []string `xml:"LoadBalancerArns>member"`

	targets []*target
}

// target is an instance of a group.
type target struct {
	id    string
	polls int       // describes until it is healthy
	at    time.Time // from when on it is
	says  string    // what a test says of it
}

// LoadBalancer is one.
type LoadBalancer struct {
	Region string `xml:"-"`
	ARN    string `xml:"LoadBalancerArn"`
	Name   string `xml:"LoadBalancerName"`
	DNS    string `xml:"DNSName"`
	Scheme string `xml:"Scheme"`
	Type   string `xml:"Type"`
	VPC    string `xml:"VpcId"`
	State  string `xml:"State>Code"`
}

func (l *elb) service() service {
	return &tabled{name: "elasticloadbalancing", speaks: queryProtocol{"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"}, lock: &l.ec2.mu, actions: map[string]func(*Call) (any, error){
		"DescribeTargetGroups":  l.describeGroups,
		"DescribeTargetHealth":  l.describeHealth,
		"DescribeLoadBalancers": l.describeBalancers,
	}}
}

// marked is a call whose pages are called otherwise: Marker and PageSize.
func marked[T any](p Params, list []T) ([]T, string, error) {
	values := map[string][]string{"NextToken": {p.String("Marker")}, "MaxResults": {p.String("PageSize")}}
	return pageOf(Params{values: values}, list, 400)
}

func (l *elb) group(region, arn string) *TargetGroup {
	for _, g := range l.groups {
		if g.Region == region && g.ARN == arn {
			return g
		}
	}
	return nil
}

func (l *elb) describeGroups(c *Call) (any, error) {
	var reply struct {
		Groups []*TargetGroup `xml:"TargetGroups>member"`
		Next   string         `xml:"NextMarker,omitempty"`
	}
	p := c.Params
	arns, names := p.Strings("TargetGroupArns"), p.Strings("Names")
	var list []*TargetGroup
	for _, g := range l.groups {
		if g.Region == c.Region && (len(arns) == 0 || slices.Contains(arns, g.ARN)) && (len(names) == 0 || slices.Contains(names, g.Name)) &&
			(!p.Has("LoadBalancerArn") || slices.Contains(g.Balancers, p.String("LoadBalancerArn"))) {
			list = append(list, g)
		}
	}
	if len(list) < max(len(arns), len(names)) {
		return nil, refuse("TargetGroupNotFound", "One or more target groups not found")
	}
	var err error
	reply.Groups, reply.Next, err = marked(p, list)
	return reply, err
}

func (l *elb) describeBalancers(c *Call) (any, error) {
	var reply struct {
		Balancers []*LoadBalancer `xml:"LoadBalancers>member"`
		Next      string          `xml:"NextMarker,omitempty"`
	}
	arns, names := c.Params.Strings("LoadBalancerArns"), c.Params.Strings("Names")
	var list []*LoadBalancer
	for _, b := range l.balancers {
		if b.Region == c.Region && (len(arns) == 0 || slices.Contains(arns, b.ARN)) && (len(names) == 0 || slices.Contains(names, b.Name)) {
			list = append(list, b)
		}
	}
	if len(list) < max(len(arns), len(names)) {
		return nil, refuse("LoadBalancerNotFound", "One or more load balancers not found")
	}
	var err error
	reply.Balancers, reply.Next, err = marked(c.Params, list)
	return reply, err
}

func (l *elb) describeHealth(c *Call) (any, error) {
	type health struct {
		ID    string `xml:"Target>Id"`
		Port  int    `xml:"Target>Port"`
		State string `xml:"TargetHealth>State"`
	}
	var reply struct {
		Health []health `xml:"TargetHealthDescriptions>member"`
	}
	g := l.group(c.Region, c.Params.String("TargetGroupArn"))
	if g == nil {
		return nil, refuse("TargetGroupNotFound", "Target group '%s' not found", c.Params.String("TargetGroupArn"))
	}
	var named []string
	for _, one := range c.Params.List("Targets") {
		named = append(named, one.String("Id"))
	}
	for _, one := range g.targets {
		if len(named) == 0 || slices.Contains(named, one.id) {
			reply.Health = append(reply.Health, health{one.id, g.Port, one.state(l.ec2.now())})
			one.polls = max(one.polls-1, 0)
		}
	}
	return reply, nil
}

func (t *target) state(now time.Time) string {
	if (t.polls > 0 || now.Before(t.at)) && t.says == "" {
		return "initial"
	}
	return cmp.Or(t.says, "healthy")
}

// register adds an instance to groups, unless it is in them.
func (l *elb) register(region string, arns []string, id string) {
	for _, arn := range arns {
		if g := l.group(region, arn); g != nil && !slices.ContainsFunc(g.targets, func(t *target) bool { return t.id == id }) {
			g.targets = append(g.targets, &target{id: id, polls: l.ec2.options.Polls, at: l.ec2.now().Add(l.ec2.options.Register)})
		}
	}
}

func (l *elb) deregister(region string, arns []string, id string) {
	for _, arn := range arns {
		if g := l.group(region, arn); g != nil {
			g.targets = slices.DeleteFunc(g.targets, func(t *target) bool { return t.id == id })
		}
	}
}

// ill tells whether one of the groups finds an instance unhealthy.
func (l *elb) ill(region string, arns []string, id string) bool {
	return slices.ContainsFunc(arns, func(arn string) bool {
		g := l.group(region, arn)
		return g != nil && slices.ContainsFunc(g.targets, func(t *target) bool { return t.id == id && t.state(l.ec2.now()) == "unhealthy" })
	})
}

// AddTargetGroup keeps a group of a region, and returns its ARN. What is left out is filled in.
func (s *Server) AddTargetGroup(region string, g TargetGroup) string {
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	g.Region, g.Protocol, g.Port, g.Target = region, cmp.Or(g.Protocol, "TCP"), cmp.Or(g.Port, 443), cmp.Or(g.Target, "instance")
	g.VPC = cmp.Or(g.VPC, s.ec2.vpcOf(region).ID)
	g.ARN = arn("elasticloadbalancing", region, "targetgroup/"+g.Name+"/"+s.ec2.newID("tg")[4:])
	s.elb.groups = append(s.elb.groups, &g)
	return g.ARN
}

// AddLoadBalancer keeps a load balancer of a region, and returns its ARN. What is left out is filled in.
func (s *Server) AddLoadBalancer(region string, b LoadBalancer) string {
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	b.Region, b.Scheme, b.Type, b.State = region, cmp.Or(b.Scheme, "internal"), cmp.Or(b.Type, "network"), cmp.Or(b.State, "active")
	b.VPC, b.DNS = cmp.Or(b.VPC, s.ec2.vpcOf(region).ID), cmp.Or(b.DNS, b.Name+".elb."+region+".amazonaws.com")
	b.ARN = arn("elasticloadbalancing", region, "loadbalancer/net/"+b.Name+"/"+s.ec2.newID("lb")[4:])
	s.elb.balancers = append(s.elb.balancers, &b)
	return b.ARN
}

// SetTargetHealth says what load balancers find of an instance from now on: healthy, unhealthy, draining; "" takes that back.
func (s *Server) SetTargetHealth(region, instance, state string) {
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	for _, g := range s.elb.groups {
		for _, t := range g.targets {
			if g.Region == region && t.id == instance {
				t.says = state
			}
		}
	}
}

// RegisterTarget puts an instance into a target group, as its autoscaling group would.
func (s *Server) RegisterTarget(region, group, instance string) {
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	s.elb.register(region, []string{group}, instance)
}
