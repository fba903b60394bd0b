package fakeaws

import (
	"fmt"
	"slices"
	"time"
)

// noProgress is how long a refresh may replace nothing until it fails.
const noProgress = time.Hour

// refresh replaces the instances of a group, step by step.
type refresh struct {
	id, status, reason  string
	started, ended      time.Time
	minHealthy          int // percent
	maxHealthy          int
	warmup, delay       time.Duration
	points              []int // percent, at which it waits
	skips, rollsBack    bool
	want                *templateRef // what it was told; nil: the group's
	before, target      templateRef
	old, kept           []*member
	total, done, passed int       // passed is of points
	until               time.Time // it waits
	moved               time.Time // it last replaced something
	surge               int       // instances beyond what the group wants
	back                *rollback
}

// rollback says why and when a refresh turned back.
type rollback struct {
	Reason  string `xml:"RollbackReason"`
	Start   string `xml:"RollbackStartTime"`
	Percent int    `xml:"PercentageCompleteOnRollback"`
	Left    int    `xml:"InstancesToUpdateOnRollback"`
}

// refreshing is the refresh that is under way.
func (g *scalingGroup) refreshing() *refresh {
	for _, r := range g.refreshes {
		if slices.Contains([]string{"Pending", "InProgress", "Cancelling", "RollbackInProgress"}, r.status) {
			return r
		}
	}
	return nil
}

// ready tells whether a member counts as healthy.
func (r *refresh) ready(m *member, now time.Time) bool {
	return m.state == "InService" && m.health == "Healthy" && (slices.Contains(r.old, m) || slices.Contains(r.kept, m) || !now.Before(m.served.Add(r.warmup)))
}

// aim sets out for a template: those instances are to be replaced that do not have it, or all.
func (r *refresh) aim(g *scalingGroup, target templateRef, all bool, now time.Time) {
	r.target, r.old, r.kept, r.done, r.passed, r.moved, r.until = target, nil, nil, 0, 0, now, time.Time{}
	for _, m := range g.active() {
		if all || m.template != target {
			r.old = append(r.old, m)
		} else {
			r.kept = append(r.kept, m)
		}
	}
	r.total = len(r.old)
}

// turnBack begins to bring back what was before.
func (s *scaling) turnBack(g *scalingGroup, r *refresh, reason string) {
	now := s.ec2.now()
	r.back = &rollback{reason, stamp(now), r.percent(), r.total - r.done}
	before, err := s.resolve(g.region, r.before)
	if err != nil {
		r.status, r.reason, r.ended, r.surge = "RollbackFailed", err.Error(), now, 0
		return
	}
	r.status, r.reason, r.points = "RollbackInProgress", reason, nil
	r.aim(g, before, false, now)
}

func (r *refresh) percent() int {
	if r.total == 0 {
		return 100
	}
	return r.done * 100 / r.total
}

func (s *scaling) finish(g *scalingGroup, r *refresh, status, reason string) {
	r.status, r.reason, r.ended, r.surge = status, reason, s.ec2.now(), 0
	if status == "Successful" && r.want != nil {
		g.template = *r.want
	}
}

// part is so many percent of a number, rounded up.
func part(of, percent int) int { return (of*percent + 99) / 100 }

func (s *scaling) stepRefresh(g *scalingGroup) bool {
	r, now := g.refreshing(), s.ec2.now()
	if r == nil {
		return false
	}
	active := g.active()
	switch r.status {
	case "Pending":
		ref := g.template
		if r.want != nil {
			ref = *r.want
		}
		target, err := s.resolve(g.region, ref)
		if err != nil {
			s.finish(g, r, "Failed", err.Error())
			return true
		}
		r.status = "InProgress"
		r.aim(g, target, !r.skips, now)
		return true
	case "Cancelling":
		r.surge = 0
		if slices.ContainsFunc(g.members, func(m *member) bool { return m.state != "InService" }) || len(active) < g.desired {
			return false
		}
		s.finish(g, r, "Cancelled", "Cancelled due to user request.")
		return true
	}
	ready, fresh, done := 0, 0, 0
	var left []*member
	for _, m := range active {
		isReady := r.ready(m, now)
		if isReady {
			ready++
		}
		switch {
		case slices.Contains(r.old, m):
			left = append(left, m)
		case !slices.Contains(r.kept, m):
			fresh++
			if isReady {
				done++
			}
		}
	}
	if done = min(done, r.total); done > r.done {
		r.done, r.moved = done, now
	}
	if len(left) == 0 && r.done >= r.total {
		status := "Successful"
		if r.status == "RollbackInProgress" {
			status = "RollbackSuccessful"
		}
		s.finish(g, r, status, r.reason)
		return true
	}
	limit := r.total
	if r.passed < len(r.points) {
		limit = part(r.total, r.points[r.passed])
	}
	started := r.total - len(left)
	switch {
	case r.passed < len(r.points) && limit < r.total && r.done >= limit && started >= limit:
		if r.passed++; r.passed == len(r.points) {
			s.finish(g, r, "Successful", "")
			return true
		}
		r.until = now.Add(r.delay)
		r.moved, r.surge = r.until, 0
		r.reason = fmt.Sprintf("Instance refresh has paused at %d%% until %s.", r.percent(), stamp(r.until))
		return true
	case now.Before(r.until):
		return false
	case !now.Before(r.moved.Add(noProgress)):
		s.stuck(g, r)
		return true
	}
	if r.status == "InProgress" {
		r.reason = ""
	}
	if extra := g.desired*r.maxHealthy/100 - g.desired; r.maxHealthy > 100 {
		r.surge = max(min(max(extra, 1), limit-fresh), 0)
	}
	healthy := part(g.desired, r.minHealthy)
	quiet := ready == len(active) && len(active) == len(g.members) && len(active) >= g.desired // nothing is on its way
	if started < limit && (ready-1 >= healthy || r.maxHealthy <= 100 && healthy >= g.desired && quiet) {
		s.leave(g, left[0], "instance refresh "+r.id)
		return true
	}
	return false
}

// stuck ends a refresh that replaced nothing for too long.
func (s *scaling) stuck(g *scalingGroup, r *refresh) {
	const reason = "Instance refresh made no progress: replacements did not become healthy."
	switch {
	case r.status == "RollbackInProgress":
		s.finish(g, r, "RollbackFailed", reason)
	case r.rollsBack:
		s.turnBack(g, r, reason)
	default:
		s.finish(g, r, "Failed", reason)
	}
}

// refreshReply is how a refresh is described.
type refreshReply struct {
	ID      string       `xml:"InstanceRefreshId"`
	Group   string       `xml:"AutoScalingGroupName"`
	Status  string       `xml:"Status"`
	Reason  string       `xml:"StatusReason,omitempty"`
	Start   string       `xml:"StartTime"`
	End     string       `xml:"EndTime,omitempty"`
	Percent int          `xml:"PercentageComplete"`
	Left    int          `xml:"InstancesToUpdate"`
	Want    *templateRef `xml:"DesiredConfiguration>LaunchTemplate"`
	Back    *rollback    `xml:"RollbackDetails"`
	Min     int          `xml:"Preferences>MinHealthyPercentage"`
	Max     int          `xml:"Preferences>MaxHealthyPercentage"`
	Warmup  int          `xml:"Preferences>InstanceWarmup"`
	Points  []int        `xml:"Preferences>CheckpointPercentages>member"`
	Delay   int          `xml:"Preferences>CheckpointDelay"`
	Skips   bool         `xml:"Preferences>SkipMatching"`
	Rolls   bool         `xml:"Preferences>AutoRollback"`
}

func (s *scaling) startRefresh(c *Call, g *scalingGroup) (any, error) {
	p := c.Params
	number := func(name string, otherwise int) int {
		if !p.Has("Preferences." + name) {
			return otherwise
		}
		return p.Int("Preferences." + name)
	}
	if g.refreshing() != nil {
		return nil, refuse("InstanceRefreshInProgress", "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.")
	}
	warmup := g.grace
	if g.warmupSet {
		warmup = g.warmup
	}
	s.ec2.last++
	r := &refresh{
		id: fmt.Sprintf("00000000-0000-4000-8000-%012d", s.ec2.last), status: "Pending", started: s.ec2.now(), before: g.template,
		minHealthy: number("MinHealthyPercentage", 90), maxHealthy: number("MaxHealthyPercentage", 100),
		warmup: time.Duration(number("InstanceWarmup", int(warmup.Seconds()))) * time.Second, delay: time.Duration(number("CheckpointDelay", 3600)) * time.Second,
		skips: p.Bool("Preferences.SkipMatching"), rollsBack: p.Bool("Preferences.AutoRollback"),
	}
	for _, point := range p.Strings("Preferences.CheckpointPercentages") {
		var percent int
		if _, err := fmt.Sscan(point, &percent); err != nil || percent < 1 || percent > 100 || len(r.points) > 0 && percent <= r.points[len(r.points)-1] {
			return nil, invalid("checkpoint percentages rise, from 1 to 100")
		}
		r.points = append(r.points, percent)
	}
	if most := s.ec2.options.WarmUp; most > 0 {
		r.warmup = min(r.warmup, most)
	}
	if len(p.below("DesiredConfiguration.LaunchTemplate")) > 0 {
		want := refOf(p, "DesiredConfiguration.LaunchTemplate")
		resolved, err := s.resolve(c.Region, want)
		if err != nil {
			return nil, err
		}
		r.want = &templateRef{resolved.ID, resolved.Name, want.Version}
	}
	if r.minHealthy > 100 || r.maxHealthy < 100 || r.maxHealthy > 200 || r.maxHealthy-r.minHealthy > 100 {
		return nil, invalid("the healthy percentages %d and %d are no range of at most 100", r.minHealthy, r.maxHealthy)
	}
	if r.rollsBack && !r.reversible() {
		return nil, invalid("AutoRollback needs a desired configuration, and numbers of versions in it and in the group")
	}
	g.refreshes = append(g.refreshes, r)
	return refreshID{r.id}, nil
}

type refreshID struct {
	ID string `xml:"InstanceRefreshId"`
}

// reversible tells whether it is known what was before.
func (r *refresh) reversible() bool {
	return r.want != nil && r.want.Version != "" && r.want.Version[0] != '$' && r.before.Version != "" && r.before.Version[0] != '$'
}

func (s *scaling) describeRefreshes(c *Call, g *scalingGroup) (any, error) {
	var reply struct {
		Refreshes []refreshReply `xml:"InstanceRefreshes>member"`
		Next      string         `xml:"NextToken,omitempty"`
	}
	ids := c.Params.Strings("InstanceRefreshIds")
	var list []refreshReply
	for _, r := range slices.Backward(g.refreshes) {
		if len(ids) > 0 && !slices.Contains(ids, r.id) {
			continue
		}
		one := refreshReply{
			ID: r.id, Group: g.name, Status: r.status, Reason: r.reason, Start: stamp(r.started), Percent: r.percent(), Left: r.total - r.done, Want: r.want, Back: r.back,
			Min: r.minHealthy, Max: r.maxHealthy, Warmup: int(r.warmup.Seconds()), Points: r.points, Delay: int(r.delay.Seconds()), Skips: r.skips, Rolls: r.rollsBack,
		}
		if r.status == "Pending" {
			one.Percent = 0
		}
		if !r.ended.IsZero() {
			one.End = stamp(r.ended)
		}
		list = append(list, one)
	}
	var err error
	reply.Refreshes, reply.Next, err = pageOf(c.Params, list, 50)
	return reply, err
}

func noRefresh() error {
	return refuse("ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found")
}

func (s *scaling) cancelRefresh(_ *Call, g *scalingGroup) (any, error) {
	r := g.refreshing()
	if r == nil || r.status == "Cancelling" {
		return nil, noRefresh()
	}
	r.status = "Cancelling"
	return refreshID{r.id}, nil
}

func (s *scaling) rollbackRefresh(_ *Call, g *scalingGroup) (any, error) {
	r := g.refreshing()
	switch {
	case r == nil || r.status != "InProgress" && r.status != "Pending":
		return nil, noRefresh()
	case !r.reversible():
		return nil, refuse("IrreversibleInstanceRefresh", "the refresh has no desired configuration, or a version is no number")
	}
	s.turnBack(g, r, "Rollback was initiated by the user.")
	return refreshID{r.id}, nil
}
