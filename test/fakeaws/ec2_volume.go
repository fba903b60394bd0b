package fakeaws

import "slices"

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
	Attached  []Attachment `xml:"attachmentSet>item"`
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
	list, err := e.volumes.pick(c, "VolumeId", "InvalidVolume.NotFound", nil)
	if err == nil {
		reply.Volumes, reply.Token, err = page(c.Params, list)
	}
	return reply, err
}

func (e *ec2) deleteVolume(c *Call) (any, error) {
	v, ok := e.volumes.find(c.Region, c.Params.String("VolumeId"))
	if !ok {
		return nil, refuse("InvalidVolume.NotFound", "The volume '%s' does not exist.", c.Params.String("VolumeId"))
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

// owns tells whether an account is among those of a call.
func owns(owners []string, account string) bool {
	return slices.Contains(owners, account) || account == Account && slices.Contains(owners, "self")
}
