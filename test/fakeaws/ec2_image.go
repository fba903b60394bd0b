package fakeaws

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Image is an AMI.
type Image struct {
	about
	ID             string   `xml:"imageId"`
	Name           string   `xml:"name"`
	Description    string   `xml:"description"`
	State          string   `xml:"imageState"`
	Owner          string   `xml:"imageOwnerId"`
	Location       string   `xml:"imageLocation"`
	Public         bool     `xml:"isPublic"`
	Arch           string   `xml:"architecture"` // x86_64 or arm64
	Kind           string   `xml:"imageType"`
	RootDevice     string   `xml:"rootDeviceName"`
	RootDeviceType string   `xml:"rootDeviceType"`
	Virtualization string   `xml:"virtualizationType"`
	Hypervisor     string   `xml:"hypervisor"`
	ENA            bool     `xml:"enaSupport"`
	IMDS           string   `xml:"imdsSupport,omitempty"`
	Created        string   `xml:"creationDate"`
	Deprecated     string   `xml:"deprecationTime,omitempty"`
	Protection     string   `xml:"deregistrationProtection"`
	Source         string   `xml:"sourceInstanceId,omitempty"`
	Devices        []Device `xml:"blockDeviceMapping>item"`

	permissions []Permission
	turn        turn
}

// Device is a disk of an image.
type Device struct {
	Name string `xml:"deviceName"`
	EBS  EBS    `xml:"ebs"`
}

// EBS is what a disk is like.
type EBS struct {
	Snapshot  string `xml:"snapshotId,omitempty"`
	Size      int    `xml:"volumeSize"`
	Type      string `xml:"volumeType"`
	Encrypted bool   `xml:"encrypted"`
	Key       string `xml:"kmsKeyId,omitempty"`
	Ends      bool   `xml:"deleteOnTermination"`
}

// Permission lets somebody launch an image.
type Permission struct {
	User         string `xml:"userId,omitempty"`
	Group        string `xml:"group,omitempty"`
	Organization string `xml:"organizationArn,omitempty"`
	Unit         string `xml:"organizationalUnitArn,omitempty"`
}

func (i *Image) field(name string) ([]string, bool) {
	switch name {
	case "image-id":
		return []string{i.ID}, true
	case "name":
		return []string{i.Name}, true
	case "description":
		return []string{i.Description}, true
	case "state":
		return []string{i.State}, true
	case "owner-id":
		return []string{i.Owner}, true
	case "architecture":
		return []string{i.Arch}, true
	case "creation-date":
		return []string{i.Created}, true
	case "root-device-type":
		return []string{i.RootDeviceType}, true
	case "root-device-name":
		return []string{i.RootDevice}, true
	case "virtualization-type":
		return []string{i.Virtualization}, true
	case "is-public":
		return yes(i.Public), true
	case "ena-support":
		return yes(i.ENA), true
	case "block-device-mapping.snapshot-id":
		return i.snapshots(), true
	}
	return nil, false
}

func (i *Image) snapshots() []string {
	var ids []string
	for _, device := range i.Devices {
		if device.EBS.Snapshot != "" {
			ids = append(ids, device.EBS.Snapshot)
		}
	}
	return ids
}

const noImage = "InvalidAMIID.NotFound"

// addPublic keeps an image of another account.
func (e *ec2) addPublic(region string, i Image) {
	i.ID, i.State, i.Public = e.newID("ami"), "available", true
	i.about = about{id: i.ID, region: region}
	e.addImage(&i)
	i2 := e.images.rows[len(e.images.rows)-1]
	if len(i2.Devices) == 0 {
		// Its snapshot is the other account's, and not seen here.
		i2.Devices = []Device{{i2.RootDevice, EBS{Snapshot: e.newID("snap"), Size: 8, Type: "gp3", Ends: true}}}
	}
}

// addImage keeps an image, with what is left to say of it.
func (e *ec2) addImage(i *Image) {
	set := func(where *string, value string) {
		if *where == "" {
			*where = value
		}
	}
	set(&i.Owner, Account)
	set(&i.Location, i.Owner+"/"+i.Name)
	set(&i.Arch, "x86_64")
	set(&i.Kind, "machine")
	set(&i.RootDevice, "/dev/xvda")
	set(&i.RootDeviceType, "ebs")
	set(&i.Virtualization, "hvm")
	set(&i.Hypervisor, "xen")
	set(&i.Created, stamp(e.now()))
	set(&i.Protection, "disabled")
	e.images.rows = append(e.images.rows, i)
}

// imageOf returns the image that a snapshot is of.
func (e *ec2) imageOf(snapshot string) *Image {
	for _, i := range e.images.rows {
		if slices.Contains(i.snapshots(), snapshot) {
			return i
		}
	}
	return nil
}

func (e *ec2) describeImages(c *Call) (any, error) {
	var reply struct {
		Images []*Image `xml:"imagesSet>item"`
		Token  string   `xml:"nextToken,omitempty"`
	}
	list, err := e.images.pick(c, "ImageId", noImage, func(i *Image) { i.turn.step(&i.State, false) })
	if err != nil {
		return nil, err
	}
	owners := c.Params.Strings("Owner")
	list = slices.DeleteFunc(list, func(i *Image) bool {
		return len(owners) > 0 && !owns(owners, i.Owner) || e.hidden(i) && !c.Params.Bool("IncludeDeprecated")
	})
	reply.Images, reply.Token, err = page(c.Params, list)
	return reply, err
}

// hidden tells whether an image is deprecated; its owner still sees it.
func (e *ec2) hidden(i *Image) bool {
	when, err := time.Parse(time.RFC3339, i.Deprecated)
	return err == nil && i.Owner != Account && when.Before(e.now())
}

func (e *ec2) describeImageAttribute(c *Call) (any, error) {
	type value struct {
		Value string `xml:"value"`
	}
	i, err := e.image(c)
	if err != nil {
		return nil, err
	}
	var reply struct {
		ID          string       `xml:"imageId"`
		Permissions []Permission `xml:"launchPermission>item"`
		Description *value       `xml:"description"`
		IMDS        *value       `xml:"imdsSupport"`
	}
	reply.ID = i.ID
	switch name := c.Params.String("Attribute"); name {
	case "launchPermission":
		reply.Permissions = i.permissions
	case "description":
		reply.Description = &value{i.Description}
	case "imdsSupport":
		reply.IMDS = &value{i.IMDS}
	default:
		return nil, refuse("InvalidParameterValue", "the fake does not know the attribute %q", name)
	}
	return reply, nil
}

// image returns the image that a call is for; only its owner may.
func (e *ec2) image(c *Call) (*Image, error) {
	id := c.Params.String("ImageId")
	i, ok := e.images.find(c.Region, id)
	switch {
	case !ok:
		return nil, refuse(noImage, "The image id '[%s]' does not exist", id)
	case i.Owner != Account:
		return nil, &Error{Status: 403, Code: "AuthFailure", Message: "Not authorized for image:" + id}
	}
	return i, nil
}

// freeName refuses a name that another image of the account has, or that none may have.
func (e *ec2) freeName(region, name string) error {
	if len(name) < 3 || len(name) > 128 || strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("()[] ./-'@_", r)
	}) {
		return refuse("InvalidAMIName.Malformed", "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', '-', '/' and '_'")
	}
	for _, i := range e.images.rows {
		if i.region == region && i.Owner == Account && i.Name == name {
			return refuse("InvalidAMIName.Duplicate", "AMI name %s is already in use by AMI %s", name, i.ID)
		}
	}
	return nil
}

type newImage struct {
	ID string `xml:"imageId"`
}

func (e *ec2) createImage(c *Call) (any, error) {
	p := c.Params
	instance, ok := e.instances.find(c.Region, p.String("InstanceId"))
	if !ok {
		return nil, refuse(noInstance, "The instance ID '%s' does not exist", p.String("InstanceId"))
	}
	if state := instance.State.Name; state != "stopped" && state != "running" {
		return nil, refuse("IncorrectInstanceState", "Instance %s is not in state 'running' or 'stopped' but '%s'", instance.ID, state)
	}
	if err := e.freeName(c.Region, p.String("Name")); err != nil {
		return nil, err
	}
	i := &Image{
		about: about{id: e.newID("ami"), region: c.Region, Tags: p.TagsFor("image")}, Name: p.String("Name"), Description: p.String("Description"),
		State: "pending", Source: instance.ID, Arch: instance.Arch, ENA: true,
	}
	i.ID = i.id
	if from, ok := e.images.find(c.Region, instance.Image); ok {
		i.IMDS = from.IMDS
	}
	for _, v := range e.volumes.rows {
		if v.attachedTo() != instance.ID {
			continue
		}
		s := &Snapshot{
			about: about{region: c.Region, Tags: p.TagsFor("snapshot")}, Volume: v.ID, Size: v.Size, Encrypted: v.Encrypted, Key: v.Key,
			Description: fmt.Sprintf("Created by CreateImage(%s) for %s", instance.ID, i.ID),
		}
		e.addSnapshot(s, c.stalled)
		i.Devices = append(i.Devices, Device{v.Attached[0].Device, EBS{Snapshot: s.ID, Size: v.Size, Type: v.Type, Encrypted: v.Encrypted, Ends: v.Attached[0].Ends}})
	}
	e.addImage(i)
	i.turn.begin(&i.State, "available", e.options.Polls, c.stalled)
	if m := e.options.Machines; m != nil {
		if err := m.Capture(instance.ID, i.ID); err != nil {
			return nil, err
		}
	}
	return newImage{i.ID}, nil
}

func (e *ec2) copyImage(c *Call) (any, error) {
	p := c.Params
	from, ok := e.images.find(p.String("SourceRegion"), p.String("SourceImageId"))
	switch {
	case !ok:
		return nil, refuse(noImage, "The image id '[%s]' does not exist in %s", p.String("SourceImageId"), p.String("SourceRegion"))
	case from.State != "available":
		return nil, refuse("InvalidAMIID.Unavailable", "The image ID '%s' is not available", from.ID)
	}
	if err := e.freeName(c.Region, p.String("Name")); err != nil {
		return nil, err
	}
	i := *from // what it is; not whose, nor who may
	i.about = about{id: e.newID("ami"), region: c.Region, Tags: p.TagsFor("image")}
	i.ID, i.Name, i.Description, i.State = i.id, p.String("Name"), p.String("Description"), "pending"
	i.Owner, i.Location, i.Public, i.Created, i.Deprecated, i.Protection, i.Source = "", "", false, "", "", "", ""
	i.permissions, i.Devices = nil, nil
	if p.Bool("CopyImageTags") {
		tags := Tags{}
		for key, value := range from.Tags {
			tags[key] = value
		}
		for key, value := range i.Tags {
			tags[key] = value
		}
		i.Tags = tags
	}
	for _, device := range from.Devices {
		// The snapshot gets none of the image's tags.
		s := &Snapshot{
			about: about{region: c.Region, Tags: p.TagsFor("snapshot")}, Volume: "vol-ffffffff", Size: device.EBS.Size,
			Encrypted:   device.EBS.Encrypted || p.Bool("Encrypted"),
			Description: fmt.Sprintf("Copied for DestinationAmi %s from SourceAmi %s for SourceSnapshot %s", i.ID, from.ID, device.EBS.Snapshot),
		}
		if s.Encrypted {
			if s.Key = p.String("KmsKeyId"); s.Key == "" {
				s.Key = defaultKey(c.Region)
			}
		}
		e.addSnapshot(s, c.stalled)
		device.EBS.Snapshot, device.EBS.Encrypted = s.ID, s.Encrypted
		i.Devices = append(i.Devices, device)
	}
	e.addImage(&i)
	i.turn.begin(&i.State, "available", e.options.Polls, c.stalled)
	return newImage{i.ID}, nil
}

func (e *ec2) registerImage(c *Call) (any, error) {
	p := c.Params
	if err := e.freeName(c.Region, p.String("Name")); err != nil {
		return nil, err
	}
	i := &Image{
		about: about{id: e.newID("ami"), region: c.Region, Tags: p.TagsFor("image")}, Name: p.String("Name"), Description: p.String("Description"),
		State: "pending", Arch: p.String("Architecture"), RootDevice: p.String("RootDeviceName"), ENA: p.Bool("EnaSupport"), IMDS: p.String("ImdsSupport"),
		Virtualization: p.String("VirtualizationType"),
	}
	i.ID = i.id
	for _, d := range p.List("BlockDeviceMapping") {
		s, ok := e.snapshots.find(c.Region, d.String("Ebs.SnapshotId"))
		if !ok {
			return nil, refuse(noSnapshot, "The snapshot '%s' does not exist.", d.String("Ebs.SnapshotId"))
		}
		i.Devices = append(i.Devices, Device{d.String("DeviceName"), EBS{Snapshot: s.ID, Size: s.Size, Type: d.String("Ebs.VolumeType"), Encrypted: s.Encrypted, Ends: d.Bool("Ebs.DeleteOnTermination")}})
	}
	e.addImage(i)
	i.turn.begin(&i.State, "available", e.options.Polls, c.stalled)
	return newImage{i.ID}, nil
}

func (e *ec2) deregisterImage(c *Call) (any, error) {
	i, err := e.image(c)
	if err != nil {
		return nil, err
	}
	if i.Protection != "disabled" {
		return nil, refuse("OperationNotPermitted", "Deregistration protection is enabled for AMI %s", i.ID)
	}
	e.images.remove(i.ID)
	type deleted struct {
		ID   string `xml:"snapshotId"`
		Code string `xml:"returnCode"`
	}
	var reply struct {
		Return  bool      `xml:"return"`
		Deleted []deleted `xml:"deleteSnapshotResultSet>item"`
	}
	reply.Return = true
	if c.Params.Bool("DeleteAssociatedSnapshots") {
		for _, id := range i.snapshots() {
			result := deleted{id, "skipped"}
			if e.imageOf(id) == nil {
				e.snapshots.remove(id)
				result.Code = "success"
			}
			reply.Deleted = append(reply.Deleted, result)
		}
	}
	return reply, nil
}

func (e *ec2) modifyImage(c *Call) (any, error) {
	i, err := e.image(c)
	if err != nil {
		return nil, err
	}
	p := c.Params
	if p.Has("Description.Value") {
		i.Description = p.String("Description.Value")
	}
	if p.Has("ImdsSupport.Value") {
		if p.String("ImdsSupport.Value") != "v2.0" {
			return nil, refuse("InvalidParameterValue", "ImdsSupport can be v2.0 alone")
		}
		i.IMDS = "v2.0"
	}
	for _, add := range p.List("LaunchPermission.Add") {
		for _, id := range i.snapshots() {
			if s, ok := e.snapshots.find(i.region, id); ok && s.Key == defaultKey(i.region) {
				return nil, refuse("InvalidParameter", "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot.")
			}
		}
		one := Permission{add.String("UserId"), add.String("Group"), add.String("OrganizationArn"), add.String("OrganizationalUnitArn")}
		i.permissions = append(i.permissions, one)
		i.Public = i.Public || one.Group == "all"
	}
	for _, remove := range p.List("LaunchPermission.Remove") {
		one := Permission{remove.String("UserId"), remove.String("Group"), remove.String("OrganizationArn"), remove.String("OrganizationalUnitArn")}
		i.permissions = slices.DeleteFunc(i.permissions, func(p Permission) bool { return p == one })
	}
	return done{true}, nil
}

func (e *ec2) deprecate(c *Call) (any, error) {
	i, err := e.image(c)
	if err != nil {
		return nil, err
	}
	when, err := time.Parse(time.RFC3339, c.Params.String("DeprecateAt"))
	if err != nil || when.Before(e.now()) {
		return nil, refuse("InvalidParameterValue", "%s is no moment to come", c.Params.String("DeprecateAt"))
	}
	i.Deprecated = stamp(when)
	return done{true}, nil
}

func (e *ec2) undeprecate(c *Call) (any, error) {
	i, err := e.image(c)
	if err != nil {
		return nil, err
	}
	i.Deprecated = ""
	return done{true}, nil
}

func (e *ec2) protect(c *Call) (any, error) {
	return e.setProtection(c, "enabled")
}

func (e *ec2) unprotect(c *Call) (any, error) {
	return e.setProtection(c, "disabled")
}

func (e *ec2) setProtection(c *Call, state string) (any, error) {
	i, err := e.image(c)
	if err != nil {
		return nil, err
	}
	i.Protection = state
	return struct {
		Return string `xml:"return"`
	}{state}, nil
}

// Image returns an image as it is now; without one, an empty one.
func (s *Server) Image(region, id string) Image {
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	if i, ok := s.ec2.images.find(region, id); ok {
		now := *i
		now.Tags = maps.Clone(i.Tags)
		return now
	}
	return Image{}
}

// SeedImages keeps images of the account in a region at once, each with a snapshot that has the same tags, and returns their
// ids. What is left out is filled in.
func (s *Server) SeedImages(region string, images ...Image) []string {
	e := s.ec2
	e.mu.Lock()
	defer e.mu.Unlock()
	var ids []string
	for _, i := range images {
		tags := i.Tags
		i.about = about{id: e.newID("ami"), region: region, Tags: maps.Clone(tags)}
		i.ID, i.State = i.id, cmp.Or(i.State, "available")
		e.addImage(&i)
		if len(i.Devices) == 0 {
			snapshot := &Snapshot{about: about{region: region, Tags: maps.Clone(tags)}, Volume: "vol-ffffffff", Size: 8, Encrypted: true, Key: defaultKey(region)}
			e.addSnapshot(snapshot, false)
			snapshot.State, snapshot.turn = "completed", turn{}
			i.Devices = []Device{{i.RootDevice, EBS{Snapshot: snapshot.ID, Size: 8, Type: "gp3", Encrypted: true, Ends: true}}}
		}
		ids = append(ids, i.ID)
	}
	return ids
}
