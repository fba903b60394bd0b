package fakeaws

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scaling is EC2 Auto Scaling. It shares EC2's lock, clock and instances. Things happen when somebody calls it, or lets time
// pass by Advance.
type scaling struct {
	ec2    *ec2
	elb    *elb
	groups []*scalingGroup
	bad    map[string]bool // images whose instances never become healthy
}

// templateRef names a version of a launch template.
type templateRef struct {
	ID      string `xml:"LaunchTemplateId"`
	Name    string `xml:"LaunchTemplateName"`
	Version string `xml:"Version"`
}

type scalingGroup struct {
	region, name, arn, created, healthType      string
	min, max, desired                           int
	template                                    templateRef
	subnets, zones, targets, sources, suspended []string
	tags                                        []groupTag
	grace, warmup                               time.Duration
	warmupSet, protects, deleting               bool
	hooks                                       []*hook
	members                                     []*member
	activities                                  []*activity
	refreshes                                   []*refresh
	again                                       time.Time // when a launch that failed is tried again
}

// groupTag is a tag of a group, and of its instances if it is propagated.
type groupTag struct {
	Key       string
	Value     string
	Propagate bool   `xml:"PropagateAtLaunch"`
	Resource  string `xml:"ResourceId"`
	Kind      string `xml:"ResourceType"`
}

// hook holds instances on their way into a group or out of it.
type hook struct {
	Group      string `xml:"AutoScalingGroupName"`
	Name       string `xml:"LifecycleHookName"`
	Transition string `xml:"LifecycleTransition"`
	Heartbeat  int    `xml:"HeartbeatTimeout"` // seconds
	Global     int    `xml:"GlobalTimeout"`
	Result     string `xml:"DefaultResult"`
	Metadata   string `xml:"NotificationMetadata,omitempty"`
}

const (
	launching   = "autoscaling:EC2_INSTANCE_LAUNCHING"
	terminating = "autoscaling:EC2_INSTANCE_TERMINATING"
	// launchAgain is how long a group waits after a launch that failed.
	launchAgain = 30 * time.Second
)

// member is an instance of a group.
type member struct {
	i                   *Instance
	state, health, said string
	template            templateRef // with a number
	protected           bool
	launched, served    time.Time
	hooks               []*hook // those that hold it, one after the other
	held                time.Time
	deadline            time.Time
	token, result       string
	activity            *activity
}

// activity is what a group did.
type activity struct {
	ID      string `xml:"ActivityId"`
	Group   string `xml:"AutoScalingGroupName"`
	Text    string `xml:"Description"`
	Cause   string `xml:"Cause"`
	Start   string `xml:"StartTime"`
	End     string `xml:"EndTime,omitempty"`
	Code    string `xml:"StatusCode"`
	Message string `xml:"StatusMessage,omitempty"`
	Percent int    `xml:"Progress"`
}

func (a *activity) end(code, message, when string) {
	a.Code, a.Message, a.End, a.Percent = code, message, when, 100
}

func (g *scalingGroup) note(e *ec2, text, cause string) *activity {
	e.last++
	a := &activity{ID: fmt.Sprintf("00000000-0000-4000-a000-%012d", e.last), Group: g.name, Text: text, Cause: cause, Start: stamp(e.now()), Code: "InProgress"}
	g.activities = append(g.activities, a)
	return a
}

// leaves tells whether a member is on its way out.
func (m *member) leaves() bool { return strings.HasPrefix(m.state, "Terminating") }

func (g *scalingGroup) active() []*member {
	return slices.DeleteFunc(slices.Clone(g.members), (*member).leaves)
}

func (g *scalingGroup) hooksFor(transition string) []*hook {
	return slices.DeleteFunc(slices.Clone(g.hooks), func(h *hook) bool { return h.Transition != transition })
}

func (g *scalingGroup) does(process string) bool { return !slices.Contains(g.suspended, process) }

func (g *scalingGroup) allTargets() []string { return slices.Concat(g.targets, g.sources) }

// settle brings all groups to where they are by now.
func (s *scaling) settle() {
	for _, g := range slices.Clone(s.groups) {
		for range 10000 { // a group that never comes to rest is a mistake of this fake's
			if !s.step(g) {
				break
			}
		}
	}
}

// step does what is due in a group, and tells whether there was anything.
func (s *scaling) step(g *scalingGroup) bool {
	changed := false
	for _, m := range slices.Clone(g.members) {
		changed = s.stepMember(g, m) || changed
	}
	changed = s.stepRefresh(g) || changed
	changed = s.scale(g) || changed
	if g.deleting && len(g.members) == 0 {
		s.groups = slices.DeleteFunc(s.groups, func(other *scalingGroup) bool { return other == g })
	}
	return changed
}

func (s *scaling) stepMember(g *scalingGroup, m *member) bool {
	now, state := s.ec2.now(), m.i.State.Name
	switch m.state {
	case "Pending:Wait", "Terminating:Wait":
		return s.stepHeld(g, m)
	case "Pending", "Pending:Proceed":
		switch state {
		case "running":
			m.state, m.served = "InService", now
			m.activity.end("Successful", "", stamp(now))
			s.elb.register(g.region, g.allTargets(), m.i.ID)
			return true
		case "shutting-down", "terminated", "stopped":
			m.activity.end("Failed", cmp.Or(m.i.Message, "the instance ended before it was in service"), stamp(now))
			s.leave(g, m, "an instance that did not start")
			return true
		}
	case "InService":
		late := !now.Before(m.served.Add(g.grace))
		if state != "running" && state != "pending" || m.said == "Unhealthy" || late && (g.healthType == "ELB" && s.elb.ill(g.region, g.allTargets(), m.i.ID) || s.bad[m.i.Image]) {
			m.health = "Unhealthy"
		}
		if m.health == "Unhealthy" && g.does("ReplaceUnhealthy") && g.does("HealthCheck") {
			s.leave(g, m, "an instance was taken out of service in response to a health check")
			return true
		}
	case "Terminating", "Terminating:Proceed":
		if state == "terminated" {
			m.activity.end("Successful", "", stamp(now))
			g.members = slices.DeleteFunc(g.members, func(other *member) bool { return other == m })
			return true
		}
	}
	return false
}

// hold makes the first of a member's hooks wait.
func (s *scaling) hold(m *member) {
	s.ec2.last++
	m.held, m.token, m.result = s.ec2.now(), fmt.Sprintf("00000000-0000-4000-b000-%012d", s.ec2.last), ""
	m.deadline = m.held.Add(time.Duration(m.hooks[0].Heartbeat) * time.Second)
}

// stepHeld lets a member go on whose hook is complete, or was silent for too long.
func (s *scaling) stepHeld(g *scalingGroup, m *member) bool {
	now, boot := s.ec2.now(), s.ec2.options.Boot
	switch {
	case m.result != "":
	case boot > 0 && !s.bad[m.i.Image] && !now.Before(m.held.Add(boot)):
		m.result = "CONTINUE"
	case !now.Before(m.deadline):
		m.result = m.hooks[0].Result
	default:
		return false
	}
	before, _, _ := strings.Cut(m.state, ":")
	m.hooks = m.hooks[1:]
	switch {
	case before == "Pending" && m.result == "ABANDON":
		m.activity.end("Failed", "Lifecycle Action Token "+m.token+" was abandoned: ABANDON", stamp(now))
		s.leave(g, m, "a lifecycle hook's result is to abandon the instance")
	case len(m.hooks) > 0 && m.result != "ABANDON":
		s.hold(m)
	default:
		m.state = before + ":Proceed"
		if before == "Terminating" {
			s.end(m)
		}
	}
	return true
}

// leave begins to take a member out of its group.
func (s *scaling) leave(g *scalingGroup, m *member, cause string) {
	s.elb.deregister(g.region, g.allTargets(), m.i.ID)
	m.state, m.hooks = "Terminating", g.hooksFor(terminating)
	m.activity = g.note(s.ec2, "Terminating EC2 instance: "+m.i.ID, cause)
	if state := m.i.State.Name; len(m.hooks) > 0 && (state == "running" || state == "pending") {
		m.state = "Terminating:Wait"
		s.hold(m)
		return
	}
	s.end(m)
}

// end terminates a member's instance.
func (s *scaling) end(m *member) {
	if state := m.i.State.Name; state != "shutting-down" && state != "terminated" {
		s.ec2.head(m.i, "shutting-down", "terminated", false, func() error { return s.ec2.options.Machines.Terminate(m.i.ID) })
	}
}

// scale launches what a group lacks and ends what it has too much, one at a time.
func (s *scaling) scale(g *scalingGroup) bool {
	active, want, r := g.active(), g.desired, g.refreshing()
	if r != nil {
		want += r.surge
	}
	switch {
	case g.deleting:
	case len(active) < want && g.does("Launch") && !s.ec2.now().Before(g.again):
		s.launch(g)
		return true
	case len(active) > want && r == nil && g.does("Terminate"):
		if m := g.victim(active); m != nil {
			s.leave(g, m, fmt.Sprintf("the group has %d instances and wants %d", len(active), want))
			return true
		}
	}
	return false
}

// victim is who leaves when a group shrinks: of the zone with most instances, the oldest.
func (g *scalingGroup) victim(active []*member) *member {
	zone := make(map[string]int)
	for _, m := range active {
		zone[m.i.Zone]++
	}
	var found *member
	for _, m := range active {
		if !m.protected && (found == nil || zone[m.i.Zone] > zone[found.i.Zone]) {
			found = m
		}
	}
	return found
}

// resolve finds a version of a template, by its number.
func (s *scaling) resolve(region string, ref templateRef) (templateRef, error) {
	p := Params{values: url.Values{"LaunchTemplateId": {ref.ID}, "LaunchTemplateName": {ref.Name}}}
	t, err := s.ec2.templateOf(region, p)
	if err != nil {
		return ref, invalid("%v", err)
	}
	v, err := t.version(ref.Version)
	if err != nil {
		return ref, invalid("%v", err)
	}
	return templateRef{t.ID, t.Name, strconv.Itoa(v.number)}, nil
}

// placesOf are the subnets that a group's instances may be in: those that it names, or all of its zones. A template with a
// network interface of its own starts its instance in that one's.
func (s *scaling) placesOf(g *scalingGroup) []string {
	if len(g.subnets) > 0 {
		return g.subnets
	}
	var ids []string
	for _, subnet := range s.ec2.subnets.rows {
		if subnet.region == g.region && slices.Contains(g.zones, subnet.Zone) {
			ids = append(ids, subnet.id)
		}
	}
	return ids
}

// launch starts an instance in the subnet that has fewest.
func (s *scaling) launch(g *scalingGroup) {
	now, ref := s.ec2.now(), g.template
	if r := g.refreshing(); r != nil && r.status != "Cancelling" {
		ref = r.target
	}
	a := g.note(s.ec2, "Launching a new EC2 instance", fmt.Sprintf("the group wants %d instances", g.desired))
	count := make(map[string]int)
	for _, m := range g.active() {
		count[m.i.Subnet]++
	}
	subnet := slices.MinFunc(s.placesOf(g), func(a, b string) int { return count[a] - count[b] })
	own := Tags{"aws:autoscaling:groupName": g.name}
	for _, t := range g.tags {
		if t.Propagate {
			own[t.Key] = t.Value
		}
	}
	ref, err := s.resolve(g.region, ref)
	var i *Instance
	if err == nil {
		i, err = s.ec2.launch(g.region, Params{values: url.Values{"LaunchTemplate.LaunchTemplateId": {ref.ID}, "LaunchTemplate.Version": {ref.Version}, "SubnetId": {subnet}}}, false, own)
	}
	if err != nil {
		a.end("Failed", err.Error()+". Launching EC2 instance failed.", stamp(now))
		g.again = now.Add(launchAgain)
		return
	}
	a.Text += ": " + i.ID
	m := &member{i: i, state: "Pending", health: "Healthy", template: ref, protected: g.protects, launched: now, activity: a, hooks: g.hooksFor(launching)}
	if len(m.hooks) > 0 {
		m.state, a.Code = "Pending:Wait", "MidLifecycleAction"
		s.hold(m)
	}
	g.members = append(g.members, m)
}

// next is when something is due by itself; false: nothing is.
func (s *scaling) next() (time.Time, bool) {
	var times []time.Time
	for _, g := range s.groups {
		times = append(times, g.again)
		for _, m := range g.members {
			times = append(times, m.deadline, m.served.Add(g.grace))
			if !m.held.IsZero() {
				times = append(times, m.held.Add(s.ec2.options.Boot))
			}
			if r := g.refreshing(); r != nil {
				times = append(times, m.served.Add(r.warmup))
			}
		}
		if r := g.refreshing(); r != nil {
			times = append(times, r.until, r.moved.Add(noProgress))
		}
	}
	now := s.ec2.now()
	times = slices.DeleteFunc(times, func(t time.Time) bool { return !t.After(now) })
	if len(times) == 0 {
		return time.Time{}, false
	}
	return slices.MinFunc(times, time.Time.Compare), true
}

// watch is what a describe comes to: instances go on, by Options.Polls.
func (s *scaling) watch(atOnce bool) {
	for _, g := range s.groups {
		for _, m := range g.members {
			s.ec2.watchInstance(m.i, atOnce)
		}
	}
}

// Advance lets time pass on the clock of all services. What is due meanwhile happens in its order: heartbeats run out,
// instances warm up, refreshes go on.
func (s *Server) Advance(d time.Duration) {
	s.ec2.wait() // machines that are on their way
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	end := s.ec2.now().Add(d)
	for {
		s.scaling.settle()
		s.scaling.watch(true)
		s.scaling.settle()
		at, due := s.scaling.next()
		if !due || at.After(end) {
			break
		}
		s.ec2.passed.Add(int64(at.Sub(s.ec2.now())))
	}
	s.ec2.passed.Add(int64(end.Sub(s.ec2.now())))
	s.scaling.settle()
}

// SpoilImage says that instances of an image never become healthy: with Options.Boot, no launching hook of theirs is completed;
// where none holds them, they are unhealthy when the group's grace period ends.
func (s *Server) SpoilImage(image string) {
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	s.scaling.bad[image] = true
}

// GroupInstances returns the instances of an autoscaling group as they are now, by id, with their states, like "InService".
func (s *Server) GroupInstances(region, group string) map[string]string {
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	s.scaling.settle()
	states := make(map[string]string)
	for _, g := range s.scaling.groups {
		if g.region == region && g.name == group {
			for _, m := range g.members {
				states[m.i.ID] = m.state
			}
		}
	}
	return maps.Clone(states)
}
