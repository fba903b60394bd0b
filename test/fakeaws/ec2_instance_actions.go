package fakeaws

import (
	"slices"
)

func (e *ec2) describeInstances(c *Call) (any, error) {
	var reply struct {
		Reservations []reservation `xml:"reservationSet>item"`
		Token        string        `xml:"nextToken,omitempty"`
	}
	list, err := e.instances.pick(c, "InstanceId", noInstance, func(i *Instance) { e.watchInstance(i, false) })
	if err != nil {
		return nil, err
	}
	list, reply.Token, err = page(c.Params, list)
	for _, i := range list {
		reply.Reservations = append(reply.Reservations, reservation{"r-" + i.ID[2:], Account, []*Instance{i}})
	}
	return reply, err
}

func (e *ec2) describeStatus(c *Call) (any, error) {
	type status struct {
		ID       string        `xml:"instanceId"`
		Zone     string        `xml:"availabilityZone"`
		State    InstanceState `xml:"instanceState"`
		System   string        `xml:"systemStatus>status"`
		Instance string        `xml:"instanceStatus>status"`
	}
	var reply struct {
		Status []status `xml:"instanceStatusSet>item"`
		Token  string   `xml:"nextToken,omitempty"`
	}
	var found []status
	list, err := e.instances.pick(c, "InstanceId", noInstance, func(i *Instance) { e.watchInstance(i, false) })
	for _, i := range list {
		if running := i.State.Name == "running"; running || c.Params.Bool("IncludeAllInstances") {
			health := "ok"
			if !running {
				health = "not-applicable"
			}
			found = append(found, status{i.ID, i.Zone, i.State, health, health})
		}
	}
	if err == nil {
		reply.Status, reply.Token, err = page(c.Params, found)
	}
	return reply, err
}

// change is how EC2 answers calls that change instances' states.
type change struct {
	ID   string        `xml:"instanceId"`
	Now  InstanceState `xml:"currentState"`
	Then InstanceState `xml:"previousState"`
}

// each does something to all the instances that a call names, or to none of them.
func (e *ec2) each(c *Call, may func(*Instance) error, do func(*Instance)) (any, error) {
	var list []*Instance
	for _, id := range c.Params.Strings("InstanceId") {
		i, ok := e.instances.find(c.Region, id)
		if !ok {
			return nil, refuse(noInstance, "The instance ID '%s' does not exist", id)
		}
		if err := may(i); err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	var reply struct {
		Changes []change `xml:"instancesSet>item"`
	}
	for _, i := range list {
		then := i.State
		do(i)
		reply.Changes = append(reply.Changes, change{i.ID, i.State, then})
	}
	return reply, nil
}

// only allows some states.
func only(states ...string) func(*Instance) error {
	return func(i *Instance) error {
		if !slices.Contains(states, i.State.Name) {
			return refuse("IncorrectInstanceState", "This instance '%s' is not in a state from which it can do that: %s", i.ID, i.State.Name)
		}
		return nil
	}
}

func (e *ec2) stopInstances(c *Call) (any, error) {
	return e.each(c, only("pending", "running", "stopping", "stopped"), func(i *Instance) {
		if i.State.Name == "pending" || i.State.Name == "running" {
			e.head(i, "stopping", "stopped", c.stalled, func() error { return e.options.Machines.Stop(i.ID) })
		}
	})
}

func (e *ec2) startInstances(c *Call) (any, error) {
	return e.each(c, only("stopped", "pending", "running"), func(i *Instance) {
		if i.State.Name == "stopped" {
			e.head(i, "pending", "running", c.stalled, func() error { return e.options.Machines.Restart(i.ID) })
		}
	})
}

func (e *ec2) terminateInstances(c *Call) (any, error) {
	return e.each(c, func(*Instance) error { return nil }, func(i *Instance) {
		if i.State.Name != "shutting-down" && i.State.Name != "terminated" {
			e.head(i, "shutting-down", "terminated", c.stalled, func() error { return e.options.Machines.Terminate(i.ID) })
		}
	})
}

func (e *ec2) modifyInstance(c *Call) (any, error) {
	i, ok := e.instances.find(c.Region, c.Params.String("InstanceId"))
	if !ok {
		return nil, refuse(noInstance, "The instance ID '%s' does not exist", c.Params.String("InstanceId"))
	}
	if c.Params.Has("InstanceInitiatedShutdownBehavior.Value") {
		i.Shutdown = c.Params.String("InstanceInitiatedShutdownBehavior.Value")
	}
	return done{true}, nil
}

func (e *ec2) consoleOutput(c *Call) (any, error) {
	i, ok := e.instances.find(c.Region, c.Params.String("InstanceId"))
	if !ok {
		return nil, refuse(noInstance, "The instance ID '%s' does not exist", c.Params.String("InstanceId"))
	}
	return struct {
		ID     string `xml:"instanceId"`
		Time   string `xml:"timestamp"`
		Output string `xml:"output"`
	}{i.ID, stamp(e.now()), encode("the fake's instances have no console\n")}, nil
}
