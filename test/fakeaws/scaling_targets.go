package fakeaws

import (
	"slices"
)

// targetsOf are the groups that a call attaches or detaches: target groups, and traffic sources, which are the same here.
func targetsOf(p Params) (targets, sources []string) {
	for _, one := range p.List("TrafficSources") {
		sources = append(sources, one.String("Identifier"))
	}
	return p.Strings("TargetGroupARNs"), sources
}

func (s *scaling) attach(c *Call, g *scalingGroup) (any, error) {
	targets, sources := targetsOf(c.Params)
	for _, id := range slices.Concat(targets, sources) {
		if s.elb.group(c.Region, id) == nil {
			return nil, invalid("Provided Target Groups may not be valid: %s. Please ensure they exist and try again.", id)
		}
	}
	add := func(list, more []string) []string {
		for _, id := range more {
			if !slices.Contains(list, id) {
				list = append(list, id)
			}
		}
		return list
	}
	g.targets, g.sources = add(g.targets, targets), add(g.sources, sources)
	for _, m := range g.members {
		if m.state == "InService" {
			s.elb.register(g.region, g.allTargets(), m.i.ID)
		}
	}
	return nil, nil
}

func (s *scaling) detach(c *Call, g *scalingGroup) (any, error) {
	targets, sources := targetsOf(c.Params)
	both := slices.Concat(targets, sources)
	for _, m := range g.members {
		s.elb.deregister(g.region, both, m.i.ID)
	}
	gone := func(id string) bool { return slices.Contains(both, id) }
	g.targets, g.sources = slices.DeleteFunc(g.targets, gone), slices.DeleteFunc(g.sources, gone)
	return nil, nil
}

func (s *scaling) describeTargets(_ *Call, g *scalingGroup) (any, error) {
	type target struct {
		ARN   string `xml:"LoadBalancerTargetGroupARN"`
		State string `xml:"State"`
	}
	var reply struct {
		Targets []target `xml:"LoadBalancerTargetGroups>member"`
		Sources []source `xml:"TrafficSources>member"`
	}
	for _, id := range g.targets {
		reply.Targets = append(reply.Targets, target{id, "InService"})
	}
	for _, id := range g.allTargets() {
		reply.Sources = append(reply.Sources, source{id, "elbv2", "InService"})
	}
	return reply, nil
}
