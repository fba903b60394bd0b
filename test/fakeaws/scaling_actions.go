package fakeaws

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

func newScaling(e *ec2, l *elb) *scaling { return &scaling{ec2: e, elb: l, bad: map[string]bool{}} }

func (s *scaling) service() service {
	actions := map[string]func(*Call) (any, error){
		"CreateAutoScalingGroup":              s.create,
		"UpdateAutoScalingGroup":              s.inGroup(s.update),
		"DeleteAutoScalingGroup":              s.inGroup(s.delete),
		"DescribeAutoScalingGroups":           s.describe,
		"DescribeAutoScalingInstances":        s.describeInstances,
		"DescribeScalingActivities":           s.describeActivities,
		"DescribeAccountLimits":               s.limits,
		"SetDesiredCapacity":                  s.inGroup(s.setDesired),
		"SetInstanceHealth":                   s.setHealth,
		"SetInstanceProtection":               s.inGroup(s.protect),
		"TerminateInstanceInAutoScalingGroup": s.terminate,
		"SuspendProcesses":                    s.inGroup(s.suspend),
		"ResumeProcesses":                     s.inGroup(s.resume),
		"PutLifecycleHook":                    s.inGroup(s.putHook),
		"DeleteLifecycleHook":                 s.inGroup(s.deleteHook),
		"DescribeLifecycleHooks":              s.inGroup(s.describeHooks),
		"CompleteLifecycleAction":             s.inGroup(s.complete),
		"RecordLifecycleActionHeartbeat":      s.inGroup(s.heartbeat),
		"AttachLoadBalancerTargetGroups":      s.inGroup(s.attach),
		"DetachLoadBalancerTargetGroups":      s.inGroup(s.detach),
		"DescribeLoadBalancerTargetGroups":    s.inGroup(s.describeTargets),
		"AttachTrafficSources":                s.inGroup(s.attach),
		"DetachTrafficSources":                s.inGroup(s.detach),
		"DescribeTrafficSources":              s.inGroup(s.describeTargets),
		"StartInstanceRefresh":                s.inGroup(s.startRefresh),
		"DescribeInstanceRefreshes":           s.inGroup(s.describeRefreshes),
		"CancelInstanceRefresh":               s.inGroup(s.cancelRefresh),
		"RollbackInstanceRefresh":             s.inGroup(s.rollbackRefresh),
		"CreateOrUpdateTags":                  s.putTags,
		"DeleteTags":                          s.deleteTags,
		"DescribeTags":                        s.describeTags,
	}
	for name, action := range actions {
		actions[name] = func(c *Call) (any, error) {
			if strings.HasPrefix(name, "Describe") {
				s.watch(false)
			}
			s.settle()
			reply, err := action(c)
			if !strings.HasPrefix(name, "Describe") {
				s.settle()
			}
			return reply, err
		}
	}
	return &tabled{name: "autoscaling", speaks: queryProtocol{"http://autoscaling.amazonaws.com/doc/2011-01-01/"}, lock: &s.ec2.mu, actions: actions}
}

func invalid(format string, args ...any) *Error { return refuse("ValidationError", format, args...) }

func (s *scaling) group(region, name string) *scalingGroup {
	for _, g := range s.groups {
		if g.region == region && g.name == name {
			return g
		}
	}
	return nil
}

// inGroup finds the group that an action is for.
func (s *scaling) inGroup(action func(*Call, *scalingGroup) (any, error)) func(*Call) (any, error) {
	return func(c *Call) (any, error) {
		g := s.group(c.Region, c.Params.String("AutoScalingGroupName"))
		if g == nil {
			return nil, invalid("AutoScalingGroup name not found - AutoScalingGroup '%s' not found", c.Params.String("AutoScalingGroupName"))
		}
		return action(c, g)
	}
}

// member returns the instance of a group that a call names.
func (s *scaling) member(c *Call) (*scalingGroup, *member, error) {
	id := c.Params.String("InstanceId")
	for _, g := range s.groups {
		for _, m := range g.members {
			if g.region == c.Region && m.i.ID == id {
				return g, m, nil
			}
		}
	}
	return nil, nil, invalid("Instance Id not found - No managed instance found for instance ID %s", id)
}

func refOf(p Params, name string) templateRef {
	return templateRef{p.String(name + ".LaunchTemplateId"), p.String(name + ".LaunchTemplateName"), p.String(name + ".Version")}
}

// change takes over what a call says of a group, or nothing of it.
func (s *scaling) change(g *scalingGroup, p Params) error {
	n := *g
	number := func(name string, where *int) {
		if p.Has(name) {
			*where = p.Int(name)
		}
	}
	duration := func(name string, where *time.Duration) {
		if p.Has(name) {
			*where = time.Duration(p.Int(name)) * time.Second
		}
	}
	number("MinSize", &n.min)
	number("MaxSize", &n.max)
	duration("HealthCheckGracePeriod", &n.grace)
	duration("DefaultInstanceWarmup", &n.warmup)
	n.warmupSet = n.warmupSet || p.Int("DefaultInstanceWarmup") > 0
	switch {
	case p.Has("DesiredCapacity"):
		n.desired = p.Int("DesiredCapacity")
	case p.Has("MinSize") || p.Has("MaxSize"):
		n.desired = min(max(n.desired, n.min), n.max)
	}
	if n.min < 0 || n.min > n.max || n.desired < n.min || n.desired > n.max {
		return invalid("Desired capacity:%d must be between the specified min size:%d and max size:%d", n.desired, n.min, n.max)
	}
	if p.Has("HealthCheckType") {
		n.healthType = p.String("HealthCheckType")
	}
	if p.Has("NewInstancesProtectedFromScaleIn") {
		n.protects = p.Bool("NewInstancesProtectedFromScaleIn")
	}
	if p.Has("VPCZoneIdentifier") {
		n.subnets = strings.Split(p.String("VPCZoneIdentifier"), ",")
	}
	if zones := p.Strings("AvailabilityZones"); len(zones) > 0 {
		n.zones = zones
	}
	if len(n.subnets) == 0 && len(n.zones) == 0 {
		return invalid("At least one Availability Zone or VPC Subnet is required.")
	}
	if len(n.subnets) == 0 && len(s.placesOf(&n)) == 0 {
		return invalid("The zones %s have no subnet", strings.Join(n.zones, ", "))
	}
	for _, id := range n.subnets {
		if _, ok := s.ec2.subnets.find(g.region, id); !ok {
			return invalid("The subnet ID '%s' does not exist", id)
		}
	}
	if len(p.below("LaunchTemplate")) > 0 {
		n.template = refOf(p, "LaunchTemplate")
		known, err := s.resolve(g.region, n.template)
		if err != nil {
			return err
		}
		n.template.ID, n.template.Name = known.ID, known.Name
	}
	if n.template == (templateRef{}) {
		return invalid("Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter.")
	}
	*g = n
	return nil
}

func (s *scaling) create(c *Call) (any, error) {
	p := c.Params
	g := &scalingGroup{region: c.Region, name: p.String("AutoScalingGroupName"), created: stamp(s.ec2.now()), healthType: "EC2"}
	if g.name == "" {
		return nil, invalid("AutoScalingGroupName is needed")
	}
	if s.group(c.Region, g.name) != nil {
		return nil, refuse("AlreadyExists", "AutoScalingGroup by this name already exists - A group with the name %s already exists", g.name)
	}
	if err := s.change(g, p); err != nil {
		return nil, err
	}
	s.ec2.last++
	g.arn = arn("autoscaling", c.Region, fmt.Sprintf("autoScalingGroup:00000000-0000-4000-8000-%012d:autoScalingGroupName/%s", s.ec2.last, g.name))
	for _, t := range p.List("Tags") {
		g.tag(t)
	}
	for _, one := range p.List("LifecycleHookSpecificationList") {
		if err := g.hook(one); err != nil {
			return nil, err
		}
	}
	if _, err := s.attach(c, g); err != nil {
		return nil, err
	}
	s.groups = append(s.groups, g)
	return nil, nil
}

func (s *scaling) update(c *Call, g *scalingGroup) (any, error) { return nil, s.change(g, c.Params) }

func (s *scaling) setDesired(c *Call, g *scalingGroup) (any, error) {
	return nil, s.change(g, Params{values: url.Values{"DesiredCapacity": {c.Params.String("DesiredCapacity")}}})
}

func (s *scaling) delete(c *Call, g *scalingGroup) (any, error) {
	force := c.Params.Bool("ForceDelete")
	switch {
	case len(g.active()) > 0 && !force:
		return nil, refuse("ResourceInUse", "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.")
	case len(g.members) > 0 && !force:
		return nil, refuse("ScalingActivityInProgress", "You cannot delete an AutoScalingGroup while there are scaling activities in progress for that group.")
	}
	g.deleting, g.hooks = true, nil
	for _, r := range g.refreshes {
		if r == g.refreshing() {
			s.finish(g, r, "Cancelled", "the group is deleted")
		}
	}
	for _, m := range g.active() {
		s.leave(g, m, "the group is deleted")
	}
	return nil, nil
}

// memberReply is how an instance is described.
type memberReply struct {
	ID        string      `xml:"InstanceId"`
	Type      string      `xml:"InstanceType"`
	Zone      string      `xml:"AvailabilityZone"`
	State     string      `xml:"LifecycleState"`
	Health    string      `xml:"HealthStatus"`
	Template  templateRef `xml:"LaunchTemplate"`
	Protected bool        `xml:"ProtectedFromScaleIn"`
	Group     string      `xml:"AutoScalingGroupName,omitempty"`
}

func (m *member) reply(group string) memberReply {
	return memberReply{m.i.ID, m.i.Type, m.i.Zone, m.state, m.health, m.template, m.protected, group}
}

type suspension struct {
	Process string `xml:"ProcessName"`
	Reason  string `xml:"SuspensionReason"`
}

type source struct {
	ID    string `xml:"Identifier"`
	Type  string `xml:"Type"`
	State string `xml:"State,omitempty"`
}

// groupReply is how a group is described.
type groupReply struct {
	Name      string        `xml:"AutoScalingGroupName"`
	ARN       string        `xml:"AutoScalingGroupARN"`
	Template  templateRef   `xml:"LaunchTemplate"`
	Min       int           `xml:"MinSize"`
	Max       int           `xml:"MaxSize"`
	Desired   int           `xml:"DesiredCapacity"`
	Cooldown  int           `xml:"DefaultCooldown"`
	Zones     []string      `xml:"AvailabilityZones>member"`
	Targets   []string      `xml:"TargetGroupARNs>member"`
	Sources   []source      `xml:"TrafficSources>member"`
	Health    string        `xml:"HealthCheckType"`
	Grace     int           `xml:"HealthCheckGracePeriod"`
	Warmup    int           `xml:"DefaultInstanceWarmup,omitempty"`
	Instances []memberReply `xml:"Instances>member"`
	Created   string        `xml:"CreatedTime"`
	Suspended []suspension  `xml:"SuspendedProcesses>member"`
	Subnets   string        `xml:"VPCZoneIdentifier"`
	Tags      []groupTag    `xml:"Tags>member"`
	Protects  bool          `xml:"NewInstancesProtectedFromScaleIn"`
	Status    string        `xml:"Status,omitempty"`
}

func (s *scaling) reply(g *scalingGroup) groupReply {
	r := groupReply{
		Name: g.name, ARN: g.arn, Template: g.template, Min: g.min, Max: g.max, Desired: g.desired, Cooldown: 300, Targets: g.targets, Health: g.healthType,
		Grace: int(g.grace.Seconds()), Warmup: int(g.warmup.Seconds()), Created: g.created, Subnets: strings.Join(g.subnets, ","), Tags: g.tags, Protects: g.protects,
	}
	if len(g.subnets) == 0 {
		r.Zones = g.zones
	}
	for _, id := range g.subnets {
		if subnet, ok := s.ec2.subnets.find(g.region, id); ok && !slices.Contains(r.Zones, subnet.Zone) {
			r.Zones = append(r.Zones, subnet.Zone)
		}
	}
	for _, id := range g.allTargets() {
		r.Sources = append(r.Sources, source{ID: id, Type: "elbv2"})
	}
	for _, m := range g.members {
		r.Instances = append(r.Instances, m.reply(""))
	}
	for _, name := range g.suspended {
		r.Suspended = append(r.Suspended, suspension{name, "User suspended at " + g.created})
	}
	if g.deleting {
		r.Status = "Delete in progress"
	}
	return r
}

func (s *scaling) describe(c *Call) (any, error) {
	var reply struct {
		Groups []groupReply `xml:"AutoScalingGroups>member"`
		Next   string       `xml:"NextToken,omitempty"`
	}
	names := c.Params.Strings("AutoScalingGroupNames")
	var list []groupReply
	for _, g := range s.groups {
		fits, err := g.fits(c.Params)
		if err != nil {
			return nil, err
		}
		if g.region == c.Region && fits && (len(names) == 0 || slices.Contains(names, g.name)) {
			list = append(list, s.reply(g))
		}
	}
	var err error
	reply.Groups, reply.Next, err = pageOf(c.Params, list, 50)
	return reply, err
}

// fits tells whether a group's tags pass all filters.
func (g *scalingGroup) fits(p Params) (bool, error) {
	for _, f := range p.List("Filters") {
		name, values := f.String("Name"), f.Strings("Values")
		key, byKey := strings.CutPrefix(name, "tag:")
		if !byKey && name != "tag-key" && name != "tag-value" {
			return false, invalid("the filter %q is not valid", name)
		}
		if !slices.ContainsFunc(g.tags, func(t groupTag) bool {
			return byKey && t.Key == key && slices.Contains(values, t.Value) || name == "tag-key" && slices.Contains(values, t.Key) || name == "tag-value" && slices.Contains(values, t.Value)
		}) {
			return false, nil
		}
	}
	return true, nil
}

func (s *scaling) describeInstances(c *Call) (any, error) {
	var reply struct {
		Instances []memberReply `xml:"AutoScalingInstances>member"`
		Next      string        `xml:"NextToken,omitempty"`
	}
	ids := c.Params.Strings("InstanceIds")
	var list []memberReply
	for _, g := range s.groups {
		for _, m := range g.members {
			if g.region == c.Region && (len(ids) == 0 || slices.Contains(ids, m.i.ID)) {
				one := m.reply(g.name)
				one.Health = strings.ToUpper(one.Health) // as this call writes it
				list = append(list, one)
			}
		}
	}
	var err error
	reply.Instances, reply.Next, err = pageOf(c.Params, list, 50)
	return reply, err
}

func (s *scaling) describeActivities(c *Call) (any, error) {
	var reply struct {
		Activities []*activity `xml:"Activities>member"`
		Next       string      `xml:"NextToken,omitempty"`
	}
	name := c.Params.String("AutoScalingGroupName")
	var list []*activity
	for _, g := range s.groups {
		if g.region == c.Region && (name == "" || g.name == name) {
			for _, a := range slices.Backward(g.activities) {
				list = append(list, a)
			}
		}
	}
	var err error
	reply.Activities, reply.Next, err = pageOf(c.Params, list, 100)
	return reply, err
}

func (s *scaling) limits(c *Call) (any, error) {
	var reply struct {
		Max            int `xml:"MaxNumberOfAutoScalingGroups"`
		Configurations int `xml:"MaxNumberOfLaunchConfigurations"`
		Groups         int `xml:"NumberOfAutoScalingGroups"`
		None           int `xml:"NumberOfLaunchConfigurations"`
	}
	reply.Max, reply.Configurations = 500, 200
	for _, g := range s.groups {
		if g.region == c.Region {
			reply.Groups++
		}
	}
	return reply, nil
}

func (s *scaling) setHealth(c *Call) (any, error) {
	g, m, err := s.member(c)
	if err != nil {
		return nil, err
	}
	status := c.Params.String("HealthStatus")
	if status != "Healthy" && status != "Unhealthy" {
		return nil, invalid("a health status is Healthy or Unhealthy, not %q", status)
	}
	respects := !c.Params.Has("ShouldRespectGracePeriod") || c.Params.Bool("ShouldRespectGracePeriod")
	if status == "Unhealthy" && respects && s.ec2.now().Before(m.served.Add(g.grace)) {
		return nil, nil // it is too young to be ill
	}
	m.said = status
	m.health = status
	return nil, nil
}

func (s *scaling) protect(c *Call, g *scalingGroup) (any, error) {
	for _, id := range c.Params.Strings("InstanceIds") {
		at := slices.IndexFunc(g.members, func(m *member) bool { return m.i.ID == id })
		if at < 0 {
			return nil, invalid("Instance Id not found - %s", id)
		}
		g.members[at].protected = c.Params.Bool("ProtectedFromScaleIn")
	}
	return nil, nil
}

func (s *scaling) terminate(c *Call) (any, error) {
	g, m, err := s.member(c)
	if err != nil {
		return nil, err
	}
	if c.Params.Bool("ShouldDecrementDesiredCapacity") && !m.leaves() {
		if g.desired-1 < g.min {
			return nil, invalid("Currently, desiredSize equals minSize (%d). Terminating instance without replacement will violate group's min size constraint.", g.min)
		}
		g.desired--
	}
	if !m.leaves() {
		s.leave(g, m, "instance was taken out of service in response to a user request")
	}
	return struct {
		Activity *activity `xml:"Activity"`
	}{m.activity}, nil
}

// processes are those that can be suspended.
var processes = []string{"Launch", "Terminate", "AddToLoadBalancer", "AlarmNotification", "AZRebalance", "HealthCheck", "InstanceRefresh", "ReplaceUnhealthy", "ScheduledActions"}

func (s *scaling) suspend(c *Call, g *scalingGroup) (any, error) {
	names := c.Params.Strings("ScalingProcesses")
	if len(names) == 0 {
		names = processes
	}
	for _, name := range names {
		if !slices.Contains(processes, name) {
			return nil, invalid("%s is not a valid scaling process", name)
		}
		if g.does(name) {
			g.suspended = append(g.suspended, name)
		}
	}
	return nil, nil
}

func (s *scaling) resume(c *Call, g *scalingGroup) (any, error) {
	names := c.Params.Strings("ScalingProcesses")
	g.suspended = slices.DeleteFunc(g.suspended, func(name string) bool { return len(names) == 0 || slices.Contains(names, name) })
	return nil, nil
}
