package fakeaws

import (
	"encoding/base64"
	"slices"
)

// Machines runs what the fake calls instances. Its calls for one instance come one after the other, each in the background
// of the fake, but for Capture.
type Machines interface {
	// Start switches a new instance on, and returns the address that it answers at. The key is a line for authorized_keys.
	Start(instance Instance, key string) (address string, err error)
	// Stop switches one off, as its power button does, and waits for that.
	Stop(id string) error
	// Restart switches a stopped one on again.
	Restart(id string) error
	// Terminate takes one away, in whatever state.
	Terminate(id string) error
	// Capture says that an image is made of one. Until it returns, no other call is answered.
	Capture(id, image string) error
}

// Instance is a machine.
type Instance struct {
	about
	ID       string           `xml:"instanceId"`
	Image    string           `xml:"imageId"`
	State    InstanceState    `xml:"instanceState"`
	Reason   string           `xml:"reason"`
	Code     string           `xml:"stateReason>code,omitempty"`
	Message  string           `xml:"stateReason>message,omitempty"`
	Type     string           `xml:"instanceType"`
	Key      string           `xml:"keyName,omitempty"`
	Launched string           `xml:"launchTime"`
	Arch     string           `xml:"architecture"`
	Zone     string           `xml:"placement>availabilityZone"`
	Subnet   string           `xml:"subnetId"`
	VPC      string           `xml:"vpcId"`
	Private  string           `xml:"privateIpAddress,omitempty"`
	Public   string           `xml:"ipAddress,omitempty"`
	Root     string           `xml:"rootDeviceName"`
	RootType string           `xml:"rootDeviceType"`
	Groups   []group          `xml:"groupSet>item"`
	Devices  []instanceDevice `xml:"blockDeviceMapping>item"`
	Metadata Metadata         `xml:"metadataOptions"`

	// GroupIDs are its security groups'.
	GroupIDs []string `xml:"-"`
	// UserData is what it is told, decoded.
	UserData []byte `xml:"-"`
	// Shutdown says what its own power button does: stop or terminate.
	Shutdown string `xml:"-"`

	turn turn
	last chan struct{} // closed when the machine has done what it was last told
}

// InstanceState is a state as EC2 writes it.
type InstanceState struct {
	Code int    `xml:"code"`
	Name string `xml:"name"`
}

// Metadata says who may ask the metadata service.
type Metadata struct {
	State    string `xml:"state"`
	Tokens   string `xml:"httpTokens"`
	Hops     int    `xml:"httpPutResponseHopLimit"`
	Endpoint string `xml:"httpEndpoint"`
}

type group struct {
	ID   string `xml:"groupId"`
	Name string `xml:"groupName"`
}

type instanceDevice struct {
	Name   string `xml:"deviceName"`
	Volume string `xml:"ebs>volumeId"`
	State  string `xml:"ebs>status"`
	Ends   bool   `xml:"ebs>deleteOnTermination"`
}

func (i *Instance) field(name string) ([]string, bool) {
	switch name {
	case "instance-id":
		return []string{i.ID}, true
	case "instance-state-name":
		return []string{i.State.Name}, true
	case "image-id":
		return []string{i.Image}, true
	case "instance-type":
		return []string{i.Type}, true
	case "vpc-id":
		return []string{i.VPC}, true
	case "subnet-id":
		return []string{i.Subnet}, true
	case "availability-zone":
		return []string{i.Zone}, true
	case "private-ip-address":
		return []string{i.Private}, true
	case "key-name":
		return []string{i.Key}, true
	}
	return nil, false
}

// stateCodes are the numbers of the states.
var stateCodes = map[string]int{"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}

func (i *Instance) set(state string) { i.State = InstanceState{stateCodes[state], state} }

const (
	noInstance = "InvalidInstanceID.NotFound"
	// maxUserData is before it is encoded.
	maxUserData = 16384
)

// head begins a change of state: now is the state on the way, next the one it leads to, and work what the machine does
// meanwhile.
func (e *ec2) head(i *Instance, now, next string, stalled bool, work func() error) {
	i.set(now)
	name := now
	i.turn.begin(&name, next, e.options.Polls, stalled)
	if e.options.Machines == nil {
		i.set(name)
		e.ended(i)
		return
	}
	i.turn = turn{next: next, polls: e.options.Polls, stalled: stalled, busy: true}
	before, last := i.last, make(chan struct{})
	i.last = last
	e.started.Go(func() {
		defer close(last)
		if before != nil {
			<-before
		}
		err := work()
		e.mu.Lock()
		defer e.mu.Unlock()
		if i.last != last {
			return // it is on its way elsewhere by now
		}
		i.turn.busy = false
		if err != nil {
			i.Code, i.Message = "Server.InternalError", err.Error()
			i.turn = turn{next: "terminated"}
		}
	})
}

// watchInstance is what a describe comes to.
func (e *ec2) watchInstance(i *Instance, atOnce bool) {
	name := i.State.Name
	i.turn.step(&name, atOnce)
	i.set(name)
	e.ended(i)
}

// ended takes away what a terminated instance had.
func (e *ec2) ended(i *Instance) {
	if i.State.Name != "terminated" {
		return
	}
	i.Public, i.Private = "", ""
	e.interfaces.rows = slices.DeleteFunc(e.interfaces.rows, func(n *NetworkInterface) bool { return n.instance == i.ID })
	e.volumes.rows = slices.DeleteFunc(e.volumes.rows, func(v *Volume) bool { return v.attachedTo() == i.ID && v.Attached[0].Ends })
	for _, v := range e.volumes.rows {
		if v.attachedTo() == i.ID {
			v.Attached, v.State = nil, "available"
		}
	}
}

func (e *ec2) runInstances(c *Call) (any, error) {
	p := c.Params
	if p.String("MinCount") != "1" || p.String("MaxCount") != "1" {
		return nil, refuse("InvalidParameterValue", "the fake runs one instance at a time")
	}
	image, ok := e.images.find(c.Region, p.String("ImageId"))
	switch {
	case !ok:
		return nil, refuse(noImage, "The image id '[%s]' does not exist", p.String("ImageId"))
	case image.State != "available":
		return nil, refuse("InvalidAMIID.Unavailable", "The image ID '%s' is not available", image.ID)
	}
	arch, ok := archOf(p.String("InstanceType"))
	switch {
	case !ok:
		return nil, refuse("InvalidParameterValue", "Invalid value '%s' for InstanceType.", p.String("InstanceType"))
	case arch != image.Arch:
		return nil, refuse("InvalidParameterValue", "The architecture '%s' of the specified instance type does not match the architecture '%s' of the specified AMI", arch, image.Arch)
	}
	userData, err := base64.StdEncoding.DecodeString(p.String("UserData"))
	if err != nil {
		return nil, refuse("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")
	}
	if len(userData) > maxUserData {
		return nil, refuse("InvalidParameterValue", "User data is limited to %d bytes", maxUserData)
	}
	i := &Instance{
		about: about{id: e.newID("i"), region: c.Region, Tags: p.TagsFor("instance")},
		Image: image.ID, Type: p.String("InstanceType"), Arch: arch, Launched: stamp(e.now()), Root: image.RootDevice, RootType: image.RootDeviceType,
		Metadata: Metadata{"applied", p.String("MetadataOptions.HttpTokens"), p.Int("MetadataOptions.HttpPutResponseHopLimit"), p.String("MetadataOptions.HttpEndpoint")},
		UserData: userData, Shutdown: p.String("InstanceInitiatedShutdownBehavior"),
	}
	i.ID = i.id
	var key string
	if i.Key = p.String("KeyName"); i.Key != "" {
		k := e.keyNamed(c.Region, i.Key)
		if k == nil {
			return nil, refuse("InvalidKeyPair.NotFound", "The key pair '%s' does not exist", i.Key)
		}
		key = k.Public
	}
	if err := e.place(i, p); err != nil {
		return nil, err
	}
	if err := e.attach(i, image, p); err != nil {
		return nil, err
	}
	n := &NetworkInterface{about: about{id: e.newID("eni"), region: c.Region, Tags: p.TagsFor("network-interface")}, Subnet: i.Subnet, VPC: i.VPC, Status: "in-use", instance: i.ID}
	n.ID = n.id
	e.interfaces.rows = append(e.interfaces.rows, n)
	e.instances.rows = append(e.instances.rows, i)
	machine := *i
	e.head(i, "pending", "running", c.stalled, func() error {
		address, err := e.options.Machines.Start(machine, key)
		e.mu.Lock()
		defer e.mu.Unlock()
		i.Public, i.Private = address, address
		return err
	})
	if e.options.Machines == nil {
		i.Public, i.Private = "127.0.0.1", "127.0.0.1"
	}
	return reservation{"r-" + i.ID[2:], Account, []*Instance{i}}, nil
}

// place finds the subnet and the groups.
func (e *ec2) place(i *Instance, p Params) error {
	subnet, groups := p.String("SubnetId"), p.Strings("SecurityGroupId")
	for _, n := range p.List("NetworkInterface") {
		subnet, groups = n.String("SubnetId"), n.Strings("SecurityGroupId")
	}
	if subnet == "" {
		for _, s := range e.subnets.rows {
			if zone := p.String("Placement.AvailabilityZone"); subnet == "" && s.region == i.region && s.Default && (zone == "" || s.Zone == zone) {
				subnet = s.ID
			}
		}
	}
	s, ok := e.subnets.find(i.region, subnet)
	if !ok {
		return refuse("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", subnet)
	}
	i.Subnet, i.VPC, i.Zone = s.ID, s.VPC, s.Zone
	if len(groups) == 0 {
		for _, g := range e.groups.rows {
			if g.VPC == s.VPC && g.Name == "default" {
				groups = []string{g.ID}
			}
		}
	}
	for _, id := range groups {
		g, ok := e.groups.find(i.region, id)
		if !ok {
			return refuse(noGroup, "The security group '%s' does not exist", id)
		}
		i.GroupIDs, i.Groups = append(i.GroupIDs, id), append(i.Groups, group{id, g.Name})
	}
	return nil
}

// attach makes the volumes: the image's, changed by what the call says of the same device, and the call's own.
func (e *ec2) attach(i *Instance, image *Image, p Params) error {
	devices := slices.Clone(image.Devices)
	for _, d := range p.List("BlockDeviceMapping") {
		at := slices.IndexFunc(devices, func(known Device) bool { return known.Name == d.String("DeviceName") })
		if at < 0 {
			at = len(devices)
			devices = append(devices, Device{Name: d.String("DeviceName"), EBS: EBS{Size: 8, Type: "gp2"}})
		}
		ebs := &devices[at].EBS
		if size := d.Int("Ebs.VolumeSize"); size > 0 {
			if size < ebs.Size {
				return refuse("InvalidBlockDeviceMapping", "Volume of size %dGB is smaller than snapshot '%s', expect size >= %dGB", size, ebs.Snapshot, ebs.Size)
			}
			ebs.Size = size
		}
		if d.Has("Ebs.VolumeType") {
			ebs.Type = d.String("Ebs.VolumeType")
		}
		if d.Has("Ebs.DeleteOnTermination") {
			ebs.Ends = d.Bool("Ebs.DeleteOnTermination")
		}
		ebs.Encrypted = ebs.Encrypted || d.Bool("Ebs.Encrypted")
		ebs.Key = d.String("Ebs.KmsKeyId")
	}
	for _, d := range devices {
		v := &Volume{
			about: about{id: e.newID("vol"), region: i.region, Tags: p.TagsFor("volume")}, Size: d.EBS.Size, Type: d.EBS.Type, State: "in-use", Zone: i.Zone,
			Encrypted: d.EBS.Encrypted, Key: d.EBS.Key, Snapshot: d.EBS.Snapshot,
		}
		v.ID = v.id
		if v.Encrypted && v.Key == "" {
			v.Key = defaultKey(i.region)
		}
		v.Attached = []Attachment{{v.ID, i.ID, d.Name, "attached", d.EBS.Ends}}
		e.volumes.rows = append(e.volumes.rows, v)
		i.Devices = append(i.Devices, instanceDevice{d.Name, v.ID, "attached", d.EBS.Ends})
	}
	return nil
}

type reservation struct {
	ID        string      `xml:"reservationId"`
	Owner     string      `xml:"ownerId"`
	Instances []*Instance `xml:"instancesSet>item"`
}

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
	}
	list, err := e.instances.pick(c, "InstanceId", noInstance, func(i *Instance) { e.watchInstance(i, false) })
	for _, i := range list {
		if running := i.State.Name == "running"; running || c.Params.Bool("IncludeAllInstances") {
			health := "ok"
			if !running {
				health = "not-applicable"
			}
			reply.Status = append(reply.Status, status{i.ID, i.Zone, i.State, health, health})
		}
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
