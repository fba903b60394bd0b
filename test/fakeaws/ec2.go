package fakeaws

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ec2 is the state of EC2 in all regions.
type ec2 struct {
	options Options
	actions map[string]func(*Call) (any, error)
	started sync.WaitGroup // what runs in the background
	passed  atomic.Int64   // what tests let pass, in nanoseconds

	mu         sync.Mutex
	last       int                 // the number in the last id
	told       map[string]answered // by the calls' tokens
	images     table[*Image]
	snapshots  table[*Snapshot]
	volumes    table[*Volume]
	instances  table[*Instance]
	interfaces table[*NetworkInterface]
	keys       table[*KeyPair]
	groups     table[*SecurityGroup]
	vpcs       table[*VPC]
	subnets    table[*Subnet]
	templates  table[*Template]
	lacking    map[string]bool // by zone and instance type

	// parameter returns the value of one, by name or name:version.
	parameter func(region, name string) (string, error)
}

var _ service = (*ec2)(nil)

func newEC2(o Options) *ec2 {
	e := &ec2{options: o, told: map[string]answered{}, lacking: map[string]bool{}}
	for _, region := range Regions() {
		e.addNetwork(region)
		for _, image := range o.Images {
			e.addPublic(region, image)
		}
	}
	e.actions = map[string]func(*Call) (any, error){
		// The region.
		"DescribeRegions":           e.describeRegions,
		"DescribeAvailabilityZones": e.describeZones,
		"DescribeAccountAttributes": e.describeAccount,
		// What an instance can be.
		"DescribeInstanceTypes":         e.describeTypes,
		"DescribeInstanceTypeOfferings": e.describeOfferings,
		// The network.
		"DescribeVpcs":                    e.describeVPCs,
		"DescribeSubnets":                 e.describeSubnets,
		"DescribeNetworkInterfaces":       e.describeInterfaces,
		"CreateNetworkInterface":          e.createInterface,
		"DeleteNetworkInterface":          e.deleteInterface,
		"ModifyNetworkInterfaceAttribute": e.modifyInterface,
		"AttachNetworkInterface":          e.attachInterface,
		"DetachNetworkInterface":          e.detachInterface,
		"DescribeSecurityGroups":          e.describeGroups,
		"CreateSecurityGroup":             e.createGroup,
		"AuthorizeSecurityGroupIngress":   e.authorizeIngress,
		"DeleteSecurityGroup":             e.deleteGroup,
		// Keys.
		"CreateKeyPair":    e.createKey,
		"DescribeKeyPairs": e.describeKeys,
		"DeleteKeyPair":    e.deleteKey,
		// Instances.
		"RunInstances":            e.runInstances,
		"DescribeInstances":       e.describeInstances,
		"DescribeInstanceStatus":  e.describeStatus,
		"StopInstances":           e.stopInstances,
		"StartInstances":          e.startInstances,
		"TerminateInstances":      e.terminateInstances,
		"ModifyInstanceAttribute": e.modifyInstance,
		"GetConsoleOutput":        e.consoleOutput,
		// Launch templates.
		"CreateLaunchTemplate":           e.createTemplate,
		"CreateLaunchTemplateVersion":    e.createTemplateVersion,
		"DescribeLaunchTemplates":        e.describeTemplates,
		"DescribeLaunchTemplateVersions": e.describeTemplateVersions,
		"ModifyLaunchTemplate":           e.modifyTemplate,
		"DeleteLaunchTemplateVersions":   e.deleteTemplateVersions,
		"DeleteLaunchTemplate":           e.deleteTemplate,
		// Volumes and snapshots.
		"DescribeVolumes":           e.describeVolumes,
		"CreateVolume":              e.createVolume,
		"AttachVolume":              e.attachVolume,
		"DetachVolume":              e.detachVolume,
		"DeleteVolume":              e.deleteVolume,
		"DescribeSnapshots":         e.describeSnapshots,
		"ModifySnapshotAttribute":   e.modifySnapshot,
		"DescribeSnapshotAttribute": e.describeSnapshotAttribute,
		"DeleteSnapshot":            e.deleteSnapshot,
		// Images.
		"DescribeImages":                       e.describeImages,
		"DescribeImageAttribute":               e.describeImageAttribute,
		"CreateImage":                          e.createImage,
		"CopyImage":                            e.copyImage,
		"RegisterImage":                        e.registerImage,
		"DeregisterImage":                      e.deregisterImage,
		"ModifyImageAttribute":                 e.modifyImage,
		"EnableImageDeprecation":               e.deprecate,
		"DisableImageDeprecation":              e.undeprecate,
		"EnableImageDeregistrationProtection":  e.protect,
		"DisableImageDeregistrationProtection": e.unprotect,
		// Tags, of everything.
		"CreateTags":   e.createTags,
		"DeleteTags":   e.deleteTags,
		"DescribeTags": e.describeTags,
	}
	return e
}

// answered is what a call was and what it came to.
type answered struct {
	asked string
	reply any
}

func (*ec2) protocol() protocol { return ec2Protocol{} }

func (e *ec2) answer(c *Call, id string) ([]byte, error) {
	action, ok := e.actions[c.Action]
	if !ok {
		return nil, refuse("InvalidAction", "The action %s is not valid for this web service.", c.Action)
	}
	if !slices.Contains(Regions(), c.Region) {
		return nil, refuse("UnknownEndpoint", "the fake has no region %q", c.Region)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.Params.Bool("DryRun") {
		return nil, &Error{Status: 412, Code: "DryRunOperation", Message: "Request would have succeeded, but DryRun flag is set."}
	}
	// A call that comes again, since its answer was lost, does nothing again: what it made is told once more.
	token := c.Region + " " + c.Action + " " + c.Params.String("ClientToken")
	before, again := e.told[token]
	if again && before.asked != c.Params.values.Encode() {
		return nil, refuse("IdempotentParameterMismatch", "The request with client token %s had other parameters before", c.Params.String("ClientToken"))
	}
	reply, err := before.reply, error(nil)
	if !again {
		reply, err = action(c)
	}
	if err != nil {
		return nil, err
	}
	if c.Params.String("ClientToken") != "" {
		e.told[token] = answered{c.Params.values.Encode(), reply}
	}
	return e.protocol().reply(id, c.Action, reply) // while nobody changes it
}

// wait waits for the machines that are on their way up or down.
func (e *ec2) wait() { e.started.Wait() }

// newID makes an id of EC2's form. They count up, so that a test reads the same each time.
func (e *ec2) newID(prefix string) string {
	e.last++
	return fmt.Sprintf("%s-0%016x", prefix, e.last)
}

// stamp is a moment as EC2 writes it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (e *ec2) now() time.Time {
	return e.options.Now().Add(time.Duration(e.passed.Load()))
}

// done is what an action answers that has nothing to say.
type done struct {
	Return bool `xml:"return"`
}

// arn names a resource.
func arn(service, region, rest string) string {
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, region, Account, rest)
}

// defaultKey is the account's key for EBS where none is named.
func defaultKey(region string) string {
	return arn("kms", region, "key/00000000-0000-4000-8000-00000000eb50")
}

func encode(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// Resource is something that an account has, and pays for or is cluttered by.
type Resource struct {
	Kind   string // as tags call it, like "volume"
	Region string
	ID     string
	State  string
	Tags   map[string]string
	// Of is the id of what it belongs to, like a snapshot's image; empty: it stands alone.
	Of string
}

// String names it, like "volume vol-0… (in-use) in eu-west-1".
func (r Resource) String() string {
	return fmt.Sprintf("%s %s (%s) in %s", r.Kind, r.ID, cmp.Or(r.State, "no state"), r.Region)
}

// Resources lists what calls have made and not removed, once everything that is under way has ended. What a Stall holds up is
// listed in the state that it is in. Terminated instances are gone.
func (s *Server) Resources() []Resource {
	e := s.ec2
	e.wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []Resource
	e.settle()
	for _, i := range e.instances.rows {
		if i.State.Name != "terminated" {
			list = append(list, i.resource("instance", i.State.Name, ""))
		}
	}
	for _, v := range e.volumes.rows {
		list = append(list, v.resource("volume", v.State, v.attachedTo()))
	}
	for _, n := range e.interfaces.rows {
		list = append(list, n.resource("network-interface", "", n.attachedTo()))
	}
	for _, t := range e.templates.rows {
		list = append(list, t.resource("launch-template", "", ""))
	}
	of := make(map[string]string) // images, by their snapshots
	for _, i := range e.images.rows {
		for _, id := range i.snapshots() {
			of[id] = i.ID
		}
		if i.Owner == Account {
			list = append(list, i.resource("image", i.State, ""))
		}
	}
	for _, s := range e.snapshots.rows {
		list = append(list, s.resource("snapshot", s.State, of[s.ID]))
	}
	list = append(list, s.kept()...)
	for _, k := range e.keys.rows {
		list = append(list, k.resource("key-pair", "", ""))
	}
	for _, g := range e.groups.rows {
		if g.Name != "default" {
			list = append(list, g.resource("security-group", "", ""))
		}
	}
	return list
}

// kept are what other services than EC2 keep, by name.
func (s *Server) kept() []Resource {
	var list []Resource
	for _, g := range s.scaling.groups {
		tags := make(map[string]string)
		for _, t := range g.tags {
			tags[t.Key] = t.Value
		}
		list = append(list, Resource{Kind: "auto-scaling-group", Region: g.region, ID: g.name, Tags: tags})
	}
	for _, key := range slices.Sorted(maps.Keys(s.ssm.parameters)) {
		p := s.ssm.parameters[key]
		list = append(list, Resource{Kind: "parameter", Region: p.region, ID: p.name, Tags: maps.Clone(p.tags)})
	}
	for _, one := range s.vault.secrets {
		list = append(list, Resource{Kind: "secret", Region: one.region, ID: one.name, Tags: maps.Clone(one.tags)})
	}
	return list
}

// settle lets time pass.
func (e *ec2) settle() {
	for _, i := range e.instances.rows {
		e.watchInstance(i, true)
	}
	for _, i := range e.images.rows {
		i.turn.step(&i.State, true)
	}
	for _, v := range e.volumes.rows {
		e.watchVolume(v, true)
	}
	for _, s := range e.snapshots.rows {
		s.turn.step(&s.State, true)
	}
}
