package fakeaws

import (
	"cmp"
	"slices"
)

// Volume is a disk.
type Volume struct {
	about
	ID        string       `xml:"volumeId"`
	Size      int          `xml:"size"`
	Type      string       `xml:"volumeType"`
	State     string       `xml:"status"`
	Zone      string       `xml:"availabilityZone"`
	Encrypted bool         `xml:"encrypted"`
	Key       string       `xml:"kmsKeyId,omitempty"`
	Snapshot  string       `xml:"snapshotId"`
	IOPS      int          `xml:"iops,omitempty"`
	Speed     int          `xml:"throughput,omitempty"` // MiB/s
	Created   string       `xml:"createTime,omitempty"`
	Attached  []Attachment `xml:"attachmentSet>item"`

	turn turn
}

// Attachment is where a volume is.
type Attachment struct {
	Volume   string `xml:"volumeId"`
	Instance string `xml:"instanceId"`
	Device   string `xml:"device"`
	State    string `xml:"status"`
	// Ends tells whether the volume ends with the instance.
	Ends bool `xml:"deleteOnTermination"`
}

func (v *Volume) attachedTo() string {
	if len(v.Attached) == 0 {
		return ""
	}
	return v.Attached[0].Instance
}

func (v *Volume) field(name string) ([]string, bool) {
	switch name {
	case "volume-id":
		return []string{v.ID}, true
	case "status":
		return []string{v.State}, true
	case "attachment.instance-id":
		return []string{v.attachedTo()}, true
	case "snapshot-id":
		return []string{v.Snapshot}, true
	case "availability-zone":
		return []string{v.Zone}, true
	case "volume-type":
		return []string{v.Type}, true
	case "encrypted":
		return yes(v.Encrypted), true
	}
	return nil, false
}

func (e *ec2) describeVolumes(c *Call) (any, error) {
	var reply struct {
		Volumes []*Volume `xml:"volumeSet>item"`
		Token   string    `xml:"nextToken,omitempty"`
	}
	list, err := e.volumes.pick(c, "VolumeId", noVolume, func(v *Volume) { e.watchVolume(v, false) })
	if err == nil {
		reply.Volumes, reply.Token, err = page(c.Params, list)
	}
	return reply, err
}

// watchVolume is what a describe comes to. A volume that is free has left its instance.
func (e *ec2) watchVolume(v *Volume, atOnce bool) {
	v.turn.step(&v.State, atOnce)
	if v.State == "available" {
		e.unplug(v)
	}
}

// unplug takes a volume out of the list of its instance.
func (e *ec2) unplug(v *Volume) {
	if i, ok := e.instances.find(v.region, v.attachedTo()); ok {
		i.Devices = slices.DeleteFunc(i.Devices, func(d instanceDevice) bool { return d.Volume == v.ID })
	}
	v.Attached = nil
}

const noVolume = "InvalidVolume.NotFound"

func (e *ec2) volume(c *Call) (*Volume, error) {
	v, ok := e.volumes.find(c.Region, c.Params.String("VolumeId"))
	if !ok {
		return nil, refuse(noVolume, "The volume '%s' does not exist.", c.Params.String("VolumeId"))
	}
	return v, nil
}

func (e *ec2) createVolume(c *Call) (any, error) {
	p := c.Params
	v := &Volume{
		about: about{id: e.newID("vol"), region: c.Region, Tags: p.TagsFor("volume")}, Size: p.Int("Size"), Type: cmp.Or(p.String("VolumeType"), "gp2"),
		State: "creating", Zone: p.String("AvailabilityZone"), Encrypted: p.Bool("Encrypted"), Key: p.String("KmsKeyId"), Snapshot: p.String("SnapshotId"),
		IOPS: p.Int("Iops"), Speed: p.Int("Throughput"), Created: stamp(e.now()),
	}
	v.ID = v.id
	if v.Snapshot != "" {
		s, ok := e.snapshots.find(c.Region, v.Snapshot)
		if !ok {
			return nil, refuse(noSnapshot, "The snapshot '%s' does not exist.", v.Snapshot)
		}
		v.Size, v.Encrypted = max(v.Size, s.Size), v.Encrypted || s.Encrypted
	}
	switch {
	case !slices.Contains(zones(c.Region), v.Zone):
		return nil, refuse("InvalidZone.NotFound", "The zone '%s' does not exist.", v.Zone)
	case v.Size == 0:
		return nil, refuse("MissingParameter", "The request must contain the parameter size or snapshotId")
	case v.IOPS == 0 && (v.Type == "io1" || v.Type == "io2"):
		return nil, refuse("MissingParameter", "The request must contain the parameter iops")
	}
	if v.Encrypted && v.Key == "" {
		v.Key = defaultKey(c.Region)
	}
	v.turn.begin(&v.State, "available", e.options.Polls, c.stalled)
	e.volumes.rows = append(e.volumes.rows, v)
	return v, nil
}

func (e *ec2) attachVolume(c *Call) (any, error) {
	v, err := e.volume(c)
	if err != nil {
		return nil, err
	}
	i, ok := e.instances.find(c.Region, c.Params.String("InstanceId"))
	device := c.Params.String("Device")
	switch {
	case !ok:
		return nil, refuse(noInstance, "The instance ID '%s' does not exist", c.Params.String("InstanceId"))
	case v.attachedTo() != "":
		return nil, refuse("VolumeInUse", "%s is already attached to an instance", v.ID)
	case v.State != "available":
		return nil, refuse("IncorrectState", "%s is not 'available'.", v.ID)
	case v.Zone != i.Zone:
		return nil, refuse("InvalidVolume.ZoneMismatch", "The volume '%s' is not in the same availability zone as instance '%s'", v.ID, i.ID)
	case i.State.Name != "running" && i.State.Name != "stopped":
		return nil, refuse("IncorrectState", "Instance '%s' is not 'running'.", i.ID)
	case device == "" || slices.ContainsFunc(i.Devices, func(d instanceDevice) bool { return d.Name == device }):
		return nil, refuse("InvalidParameterValue", "Invalid value '%s' for unixDevice. Attachment point is already in use", device)
	}
	v.State, v.Attached = "in-use", []Attachment{{v.ID, i.ID, device, "attached", false}}
	i.Devices = append(i.Devices, instanceDevice{device, v.ID, "attached", false})
	return v.Attached[0], nil
}

func (e *ec2) detachVolume(c *Call) (any, error) {
	v, err := e.volume(c)
	if err != nil {
		return nil, err
	}
	if id := c.Params.String("InstanceId"); v.attachedTo() == "" || id != "" && id != v.attachedTo() {
		return nil, refuse("IncorrectState", "Volume '%s' is in the 'available' state, or at another instance.", v.ID)
	}
	v.Attached[0].State = "detaching"
	reply := v.Attached[0]
	v.turn.begin(&v.State, "available", e.options.Polls, c.stalled)
	if v.State == "available" {
		e.unplug(v)
	}
	return reply, nil
}

func (e *ec2) deleteVolume(c *Call) (any, error) {
	v, err := e.volume(c)
	if err != nil {
		return nil, err
	}
	if v.State != "available" {
		return nil, refuse("VolumeInUse", "Volume %s is currently attached to %s", v.ID, v.attachedTo())
	}
	e.volumes.remove(v.ID)
	return done{true}, nil
}

// Snapshot is the content of a volume at a moment.
type Snapshot struct {
	about
	ID          string `xml:"snapshotId"`
	Volume      string `xml:"volumeId"`
	State       string `xml:"status"`
	Progress    string `xml:"progress"`
	Started     string `xml:"startTime"`
	Owner       string `xml:"ownerId"`
	Size        int    `xml:"volumeSize"`
	Encrypted   bool   `xml:"encrypted"`
	Key         string `xml:"kmsKeyId,omitempty"`
	Description string `xml:"description"`

	shared []string // accounts, or "all"
	turn   turn
}

func (s *Snapshot) field(name string) ([]string, bool) {
	switch name {
	case "snapshot-id":
		return []string{s.ID}, true
	case "status":
		return []string{s.State}, true
	case "volume-id":
		return []string{s.Volume}, true
	case "owner-id":
		return []string{s.Owner}, true
	case "description":
		return []string{s.Description}, true
	}
	return nil, false
}

const noSnapshot = "InvalidSnapshot.NotFound"

// addSnapshot keeps a snapshot that is being made.
func (e *ec2) addSnapshot(s *Snapshot, stalled bool) {
	s.ID, s.State, s.Progress, s.Started, s.Owner = e.newID("snap"), "pending", "100%", stamp(e.now()), Account
	s.id = s.ID
	s.turn.begin(&s.State, "completed", e.options.Polls, stalled)
	e.snapshots.rows = append(e.snapshots.rows, s)
}

func (e *ec2) describeSnapshots(c *Call) (any, error) {
	var reply struct {
		Snapshots []*Snapshot `xml:"snapshotSet>item"`
		Token     string      `xml:"nextToken,omitempty"`
	}
	list, err := e.snapshots.pick(c, "SnapshotId", noSnapshot, func(s *Snapshot) { s.turn.step(&s.State, false) })
	if err == nil {
		if owners := c.Params.Strings("Owner"); len(owners) > 0 {
			list = slices.DeleteFunc(list, func(s *Snapshot) bool { return !owns(owners, s.Owner) })
		}
		reply.Snapshots, reply.Token, err = page(c.Params, list)
	}
	return reply, err
}

func (e *ec2) deleteSnapshot(c *Call) (any, error) {
	s, ok := e.snapshots.find(c.Region, c.Params.String("SnapshotId"))
	if !ok {
		return nil, refuse(noSnapshot, "The snapshot '%s' does not exist.", c.Params.String("SnapshotId"))
	}
	if i := e.imageOf(s.ID); i != nil {
		return nil, refuse("InvalidSnapshot.InUse", "The snapshot %s is currently in use by %s", s.ID, i.ID)
	}
	e.snapshots.remove(s.ID)
	return done{true}, nil
}

func (e *ec2) modifySnapshot(c *Call) (any, error) {
	s, ok := e.snapshots.find(c.Region, c.Params.String("SnapshotId"))
	if !ok {
		return nil, refuse(noSnapshot, "The snapshot '%s' does not exist.", c.Params.String("SnapshotId"))
	}
	for _, add := range c.Params.List("CreateVolumePermission.Add") {
		if s.Key == defaultKey(s.region) {
			return nil, refuse("InvalidParameter", "Encrypted snapshots with EBS default key cannot be shared")
		}
		s.shared = append(s.shared, add.String("UserId")+add.String("Group"))
	}
	return done{true}, nil
}

func (e *ec2) describeSnapshotAttribute(c *Call) (any, error) {
	s, ok := e.snapshots.find(c.Region, c.Params.String("SnapshotId"))
	switch {
	case !ok:
		return nil, refuse(noSnapshot, "The snapshot '%s' does not exist.", c.Params.String("SnapshotId"))
	case c.Params.String("Attribute") != "createVolumePermission":
		return nil, refuse("InvalidParameterValue", "the fake does not know the attribute %q", c.Params.String("Attribute"))
	}
	var reply struct {
		ID          string       `xml:"snapshotId"`
		Permissions []Permission `xml:"createVolumePermission>item"`
	}
	reply.ID = s.ID
	for _, who := range s.shared {
		if who == "all" {
			reply.Permissions = append(reply.Permissions, Permission{Group: who})
		} else {
			reply.Permissions = append(reply.Permissions, Permission{User: who})
		}
	}
	return reply, nil
}

// owns tells whether an account is among those of a call.
func owns(owners []string, account string) bool {
	return slices.Contains(owners, account) || account == Account && slices.Contains(owners, "self")
}
