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

// hook keeps a hook, or changes it.
func (g *scalingGroup) hook(p Params) error {
	h := &hook{g.name, p.String("LifecycleHookName"), p.String("LifecycleTransition"), 3600, 172800, "ABANDON", p.String("NotificationMetadata")}
	at := slices.IndexFunc(g.hooks, func(known *hook) bool { return known.Name == h.Name })
	if at >= 0 {
		known := *g.hooks[at]
		if h.Transition == "" {
			h.Transition = known.Transition
		}
		h.Heartbeat, h.Result = known.Heartbeat, known.Result
	}
	if p.Has("HeartbeatTimeout") {
		h.Heartbeat = p.Int("HeartbeatTimeout")
	}
	if p.Has("DefaultResult") {
		h.Result = p.String("DefaultResult")
	}
	h.Global = min(h.Heartbeat*100, 172800)
	switch {
	case h.Name == "" || h.Transition != launching && h.Transition != terminating:
		return invalid("a lifecycle hook needs a name and a transition, %s or %s", launching, terminating)
	case h.Heartbeat < 30 || h.Heartbeat > 7200 || h.Result != "CONTINUE" && h.Result != "ABANDON":
		return invalid("a heartbeat's timeout has 30 to 7200 seconds, and a default result is CONTINUE or ABANDON")
	case at >= 0:
		g.hooks[at] = h
	default:
		g.hooks = append(g.hooks, h)
	}
	return nil
}

func (s *scaling) putHook(c *Call, g *scalingGroup) (any, error) { return nil, g.hook(c.Params) }

func (s *scaling) deleteHook(c *Call, g *scalingGroup) (any, error) {
	g.hooks = slices.DeleteFunc(g.hooks, func(h *hook) bool { return h.Name == c.Params.String("LifecycleHookName") })
	return nil, nil
}

func (s *scaling) describeHooks(c *Call, g *scalingGroup) (any, error) {
	var reply struct {
		Hooks []*hook `xml:"LifecycleHooks>member"`
	}
	names := c.Params.Strings("LifecycleHookNames")
	for _, h := range g.hooks {
		if len(names) == 0 || slices.Contains(names, h.Name) {
			reply.Hooks = append(reply.Hooks, h)
		}
	}
	return reply, nil
}

// heldBy returns the instance that a hook holds, by its id or by the token.
func (g *scalingGroup) heldBy(p Params) (*member, error) {
	for _, m := range g.members {
		waits := strings.HasSuffix(m.state, ":Wait") && m.hooks[0].Name == p.String("LifecycleHookName")
		if waits && (m.i.ID == p.String("InstanceId") || m.token == p.String("LifecycleActionToken")) {
			return m, nil
		}
	}
	return nil, invalid("No active Lifecycle Action found with instance ID %s", p.String("InstanceId"))
}

func (s *scaling) complete(c *Call, g *scalingGroup) (any, error) {
	m, err := g.heldBy(c.Params)
	if err != nil {
		return nil, err
	}
	result := c.Params.String("LifecycleActionResult")
	if result != "CONTINUE" && result != "ABANDON" {
		return nil, invalid("a result is CONTINUE or ABANDON, not %q", result)
	}
	m.result = result
	return nil, nil
}

func (s *scaling) heartbeat(c *Call, g *scalingGroup) (any, error) {
	m, err := g.heldBy(c.Params)
	if err != nil {
		return nil, err
	}
	m.deadline = s.ec2.now().Add(time.Duration(m.hooks[0].Heartbeat) * time.Second)
	return nil, nil
}

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
