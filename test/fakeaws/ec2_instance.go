package fakeaws

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
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
	Profile  *Profile         `xml:"iamInstanceProfile"`
	Cards    []card           `xml:"networkInterfaceSet>item"`
	Token    string           `xml:"clientToken,omitempty"`

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
	Tags     string `xml:"instanceMetadataTags"`
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
	case "client-token":
		return []string{i.Token}, true
	case "architecture":
		return []string{i.Arch}, true
	case "iam-instance-profile.arn":
		if i.Profile == nil {
			return nil, true
		}
		return []string{i.Profile.ARN}, true
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
	e.watchCards(i)
}

// ended takes away what a terminated instance had.
func (e *ec2) ended(i *Instance) {
	if i.State.Name != "terminated" {
		return
	}
	i.Public, i.Private = "", ""
	e.interfaces.rows = slices.DeleteFunc(e.interfaces.rows, func(n *NetworkInterface) bool { return n.attachedTo() == i.ID && n.Attached.Ends })
	for _, n := range e.interfaces.rows {
		if n.attachedTo() == i.ID {
			n.Attached, n.Status = nil, "available"
		}
	}
	e.volumes.rows = slices.DeleteFunc(e.volumes.rows, func(v *Volume) bool { return v.attachedTo() == i.ID && v.Attached[0].Ends })
	for _, v := range e.volumes.rows {
		if v.attachedTo() == i.ID {
			v.Attached, v.State = nil, "available"
		}
	}
}

func (e *ec2) runInstances(c *Call) (any, error) {
	if p := c.Params; p.String("MinCount") != "1" || p.String("MaxCount") != "1" {
		return nil, refuse("InvalidParameterValue", "the fake runs one instance at a time")
	}
	i, err := e.launch(c.Region, c.Params, c.stalled, nil)
	if err != nil {
		return nil, err
	}
	return reservation{"r-" + i.ID[2:], Account, []*Instance{i}}, nil
}

// launch runs an instance, with tags of AWS's own.
func (e *ec2) launch(region string, p Params, stalled bool, own Tags) (*Instance, error) {
	p, template, version, err := e.withTemplate(region, p)
	if err != nil {
		return nil, err
	}
	id, err := e.resolveImage(region, p.String("ImageId"))
	if err != nil {
		return nil, err
	}
	image, ok := e.images.find(region, id)
	switch {
	case !ok:
		return nil, refuse(noImage, "The image id '[%s]' does not exist", id)
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
	userData, err := userDataOf(p.String("UserData"))
	if err != nil {
		return nil, err
	}
	i := &Instance{
		about: about{id: e.newID("i"), region: region, Tags: p.TagsFor("instance")},
		Image: image.ID, Type: p.String("InstanceType"), Arch: arch, Launched: stamp(e.now()), Root: image.RootDevice, RootType: image.RootDeviceType,
		Metadata: metadataOf(image, p), Profile: profileOf(p), Token: p.String("ClientToken"),
		UserData: userData, Shutdown: p.String("InstanceInitiatedShutdownBehavior"),
	}
	i.ID = i.id
	if template != nil {
		i.Tags["aws:ec2launchtemplate:id"], i.Tags["aws:ec2launchtemplate:version"] = template.ID, strconv.Itoa(version.number)
	}
	maps.Copy(i.Tags, own)
	var key string
	if i.Key = p.String("KeyName"); i.Key != "" {
		k := e.keyNamed(region, i.Key)
		if k == nil {
			return nil, refuse("InvalidKeyPair.NotFound", "The key pair '%s' does not exist", i.Key)
		}
		key = k.Public
	}
	card, err := e.place(i, p)
	if err != nil {
		return nil, err
	}
	if err := e.attach(i, image, p); err != nil {
		return nil, err
	}
	if card == nil {
		card = e.addInterface(region, i.Subnet, i.VPC, i.GroupIDs, p.TagsFor("network-interface"))
		card.plug(i.ID, 0, true)
	} else {
		card.plug(i.ID, 0, false)
		i.Private = card.Private
	}
	e.instances.rows = append(e.instances.rows, i)
	machine := *i
	machine.Tags = maps.Clone(i.Tags)
	e.head(i, "pending", "running", stalled, func() error {
		address, err := e.options.Machines.Start(machine, key)
		e.mu.Lock()
		defer e.mu.Unlock()
		i.Public, i.Private = address, address
		return err
	})
	if e.options.Machines == nil {
		i.Public, i.Private = "127.0.0.1", cmp.Or(i.Private, "127.0.0.1")
	}
	e.watchCards(i)
	return i, nil
}

// metadataOf is what a call says of the metadata service; what it leaves out is as the image wants it.
func metadataOf(image *Image, p Params) Metadata {
	m := Metadata{
		"applied", p.String("MetadataOptions.HttpTokens"), p.Int("MetadataOptions.HttpPutResponseHopLimit"), p.String("MetadataOptions.HttpEndpoint"),
		p.String("MetadataOptions.InstanceMetadataTags"),
	}
	tokens, hops := "optional", 1
	if image.IMDS == "v2.0" {
		tokens, hops = "required", 2
	}
	m.Tokens, m.Hops, m.Endpoint, m.Tags = cmp.Or(m.Tokens, tokens), cmp.Or(m.Hops, hops), cmp.Or(m.Endpoint, "enabled"), cmp.Or(m.Tags, "disabled")
	return m
}

// Profile is an instance profile, which gives an instance its role.
type Profile struct {
	ARN string `xml:"arn"`
	ID  string `xml:"id"`
}

// profileOf is what a call says of it, by name or by ARN.
func profileOf(p Params) *Profile {
	name, full := p.String("IamInstanceProfile.Name"), p.String("IamInstanceProfile.Arn")
	if name == "" && full == "" {
		return nil
	}
	return &Profile{cmp.Or(full, profileARN(name)), "AIPAEXAMPLE"}
}

func profileARN(name string) string { return "arn:aws:iam::" + Account + ":instance-profile/" + name }

// place finds the subnet and the groups, and the network interface if the call names one that there is.
func (e *ec2) place(i *Instance, p Params) (*NetworkInterface, error) {
	var ready *NetworkInterface
	subnet, groups := p.String("SubnetId"), p.Strings("SecurityGroupId")
	for _, n := range p.List("NetworkInterface") {
		if len(groups) > 0 {
			return nil, refuse("InvalidParameterCombination", "Network interfaces and an instance-level security groups may not be specified on the same request")
		}
		subnet, groups = cmp.Or(n.String("SubnetId"), subnet), n.Strings("SecurityGroupId")
		if !n.Has("NetworkInterfaceId") {
			continue
		}
		known, err := e.interfaceNamed(i.region, n.String("NetworkInterfaceId"))
		if err != nil {
			return nil, err
		}
		if known.Attached != nil {
			return nil, refuse("InvalidNetworkInterface.InUse", "Interface: [%s] in use.", known.ID)
		}
		ready, subnet, groups = known, known.Subnet, known.groups
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
		return nil, refuse("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", subnet)
	}
	if e.lacking[s.Zone+i.Type] {
		return nil, refuse("Unsupported", "Your requested instance type (%s) is not supported in your requested Availability Zone (%s).", i.Type, s.Zone)
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
			return nil, refuse(noGroup, "The security group '%s' does not exist", id)
		}
		i.GroupIDs, i.Groups = append(i.GroupIDs, id), append(i.Groups, group{id, g.Name})
	}
	return ready, nil
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
