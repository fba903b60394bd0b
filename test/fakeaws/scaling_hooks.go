package fakeaws

import (
	"slices"
	"strings"
	"time"
)

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
