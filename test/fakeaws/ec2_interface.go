package fakeaws

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// NetworkInterface is a card of an instance, or one that waits for an instance.
type NetworkInterface struct {
	about
	ID       string  `xml:"networkInterfaceId"`
	Subnet   string  `xml:"subnetId"`
	VPC      string  `xml:"vpcId"`
	Zone     string  `xml:"availabilityZone"`
	Status   string  `xml:"status"`
	Private  string  `xml:"privateIpAddress"`
	Text     string  `xml:"description"`
	Groups   []group `xml:"groupSet>item"`
	Attached *Plug   `xml:"attachment"`

	groups []string
}

// Plug is where a card is.
type Plug struct {
	ID       string `xml:"attachmentId"`
	Instance string `xml:"instanceId,omitempty"`
	Index    int    `xml:"deviceIndex"`
	Status   string `xml:"status"`
	// Ends tells whether the card ends with the instance.
	Ends bool `xml:"deleteOnTermination"`
}

// card is a network interface as its instance shows it.
type card struct {
	ID       string  `xml:"networkInterfaceId"`
	Subnet   string  `xml:"subnetId"`
	VPC      string  `xml:"vpcId"`
	Status   string  `xml:"status"`
	Private  string  `xml:"privateIpAddress"`
	Groups   []group `xml:"groupSet>item"`
	Attached Plug    `xml:"attachment"`
}

func (n *NetworkInterface) attachedTo() string {
	if n.Attached == nil {
		return ""
	}
	return n.Attached.Instance
}

func (n *NetworkInterface) plug(instance string, index int, ends bool) {
	n.Status, n.Attached = "in-use", &Plug{"eni-attach-" + strings.TrimPrefix(n.ID, "eni-"), instance, index, "attached", ends}
}

func (n *NetworkInterface) field(name string) ([]string, bool) {
	switch name {
	case "network-interface-id":
		return []string{n.ID}, true
	case "attachment.instance-id":
		return []string{n.attachedTo()}, true
	case "subnet-id":
		return []string{n.Subnet}, true
	case "vpc-id":
		return []string{n.VPC}, true
	case "availability-zone":
		return []string{n.Zone}, true
	case "status":
		return []string{n.Status}, true
	case "private-ip-address", "addresses.private-ip-address":
		return []string{n.Private}, true
	case "description":
		return []string{n.Text}, true
	case "group-id":
		return n.groups, true
	}
	return nil, false
}

const noInterface = "InvalidNetworkInterfaceID.NotFound"

func (e *ec2) interfaceNamed(region, id string) (*NetworkInterface, error) {
	n, ok := e.interfaces.find(region, id)
	if !ok {
		return nil, refuse(noInterface, "The networkInterface ID '%s' does not exist", id)
	}
	return n, nil
}

// addInterface keeps a card with the next address of the subnet.
func (e *ec2) addInterface(region, subnet, vpc string, groups []string, tags Tags) *NetworkInterface {
	n := &NetworkInterface{about: about{id: e.newID("eni"), region: region, Tags: tags}, Subnet: subnet, VPC: vpc, Status: "available", groups: groups}
	n.ID = n.id
	if s, ok := e.subnets.find(region, subnet); ok {
		n.Zone = s.Zone
		s.given++
		var third int
		if _, err := fmt.Sscanf(s.CIDR, "172.31.%d.0/20", &third); err == nil {
			n.Private = fmt.Sprintf("172.31.%d.%d", third+(s.given+3)/256, (s.given+3)%256)
		}
	}
	for _, id := range groups {
		if g, ok := e.groups.find(region, id); ok {
			n.Groups = append(n.Groups, group{id, g.Name})
		}
	}
	e.interfaces.rows = append(e.interfaces.rows, n)
	return n
}

// watchCards brings an instance's list of its cards up to date.
func (e *ec2) watchCards(i *Instance) {
	i.Cards = nil
	for _, n := range e.interfaces.rows {
		if n.attachedTo() == i.ID {
			i.Cards = append(i.Cards, card{n.ID, n.Subnet, n.VPC, n.Status, n.Private, n.Groups, *n.Attached})
		}
	}
}

func (e *ec2) describeInterfaces(c *Call) (any, error) {
	var reply struct {
		Interfaces []*NetworkInterface `xml:"networkInterfaceSet>item"`
		Token      string              `xml:"nextToken,omitempty"`
	}
	list, err := e.interfaces.pick(c, "NetworkInterfaceId", noInterface, nil)
	if err == nil {
		reply.Interfaces, reply.Token, err = page(c.Params, list)
	}
	return reply, err
}

func (e *ec2) createInterface(c *Call) (any, error) {
	p := c.Params
	s, ok := e.subnets.find(c.Region, p.String("SubnetId"))
	if !ok {
		return nil, refuse("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", p.String("SubnetId"))
	}
	groups := p.Strings("SecurityGroupId")
	for _, id := range groups {
		if _, ok := e.groups.find(c.Region, id); !ok {
			return nil, refuse(noGroup, "The security group '%s' does not exist", id)
		}
	}
	address := p.String("PrivateIpAddress")
	if address != "" && slices.ContainsFunc(e.interfaces.rows, func(n *NetworkInterface) bool { return n.Subnet == s.ID && n.Private == address }) {
		return nil, refuse("InvalidIPAddress.InUse", "Address %s is in use.", address)
	}
	n := e.addInterface(c.Region, s.ID, s.VPC, groups, p.TagsFor("network-interface"))
	n.Private, n.Text = cmp.Or(address, n.Private), p.String("Description")
	return struct {
		Interface *NetworkInterface `xml:"networkInterface"`
	}{n}, nil
}

func (e *ec2) deleteInterface(c *Call) (any, error) {
	n, err := e.interfaceNamed(c.Region, c.Params.String("NetworkInterfaceId"))
	if err != nil {
		return nil, err
	}
	if n.Attached != nil {
		return nil, refuse("InvalidNetworkInterface.InUse", "Network interface '%s' is currently in use.", n.ID)
	}
	e.interfaces.remove(n.ID)
	return done{true}, nil
}

func (e *ec2) modifyInterface(c *Call) (any, error) {
	n, err := e.interfaceNamed(c.Region, c.Params.String("NetworkInterfaceId"))
	if err != nil {
		return nil, err
	}
	if text := c.Params.String("Description.Value"); text != "" {
		n.Text = text
	}
	var groups []group
	ids := c.Params.Strings("SecurityGroupId")
	for _, id := range ids {
		g, ok := e.groups.find(c.Region, id)
		if !ok {
			return nil, refuse(noGroup, "The security group '%s' does not exist", id)
		}
		groups = append(groups, group{id, g.Name})
	}
	if len(groups) > 0 {
		n.groups, n.Groups = ids, groups
	}
	return done{true}, nil
}

func (e *ec2) attachInterface(c *Call) (any, error) {
	n, err := e.interfaceNamed(c.Region, c.Params.String("NetworkInterfaceId"))
	if err != nil {
		return nil, err
	}
	i, ok := e.instances.find(c.Region, c.Params.String("InstanceId"))
	switch {
	case !ok:
		return nil, refuse(noInstance, "The instance ID '%s' does not exist", c.Params.String("InstanceId"))
	case n.Attached != nil:
		return nil, refuse("InvalidNetworkInterface.InUse", "Interface: [%s] in use.", n.ID)
	case n.Zone != i.Zone:
		return nil, refuse("InvalidParameterCombination", "You may not attach a network interface to an instance if they are not in the same availability zone")
	}
	n.plug(i.ID, c.Params.Int("DeviceIndex"), false)
	return struct {
		ID string `xml:"attachmentId"`
	}{n.Attached.ID}, nil
}

func (e *ec2) detachInterface(c *Call) (any, error) {
	for _, n := range e.interfaces.rows {
		if n.region == c.Region && n.Attached != nil && n.Attached.ID == c.Params.String("AttachmentId") {
			if n.Attached.Index == 0 {
				return nil, refuse("OperationNotPermitted", "The network interface at device index 0 cannot be detached.")
			}
			n.Attached, n.Status = nil, "available"
			return done{true}, nil
		}
	}
	return nil, refuse("InvalidAttachmentID.NotFound", "An attachment with ID '%s' does not exist", c.Params.String("AttachmentId"))
}
