package launch

import (
	"fmt"
	"slices"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// Wanted is what a cluster shall have at AWS.
type Wanted struct {
	Cluster string
	Groups  []WantedGroup // in the order of the cluster's nodes
}

// WantedGroup is the API pool's autoscaling group or that of one slot, with its launch template, which has the same name.
type WantedGroup struct {
	Name         string
	Node         cluster.Node
	Template     Template
	Interface    *WantedInterface // a slot's
	Volume       *WantedVolume    // of a slot with a data volume
	Min, Max     int
	Subnets      []string
	TargetGroups []string // sorted
	HookTimeout  int      // in seconds
}

// Slot tells whether the group is that of one slot.
func (g WantedGroup) Slot() bool { return g.Interface != nil }

// WantedInterface is the network interface that a slot keeps.
type WantedInterface struct {
	Subnet         string
	SecurityGroups []string // sorted
}

// WantedVolume is the data volume that a slot keeps.
type WantedVolume struct {
	GiB  int
	Type string
	Key  string
}

// How long a machine may take until it is ready, in seconds. A database that copies the primary's data says meanwhile that it
// is alive.
const (
	poolTimeout = 900
	slotTimeout = 3600
)

// Want returns what a cluster shall have at AWS, when its machines boot from the given images, one for each role. It fails
// when the user data of a machine is more than a launch template takes, or an image is not one of the cluster's.
func Want(r *cluster.Resolved, images map[cluster.Role]Image) (Wanted, error) {
	if r.Platform != cluster.AWS || r.AWS == nil {
		return Wanted{}, exit.Errorf(exit.Invalid, "cluster %s says nothing of the account that it runs in: add the section aws to its spec", r.Name)
	}
	w := Wanted{Cluster: r.Name}
	for _, node := range r.Nodes {
		image, ok := images[node.Role]
		if !ok {
			return Wanted{}, exit.Errorf(exit.Missing, "there is no image for %s", node.Role)
		}
		data, err := cloudinit.RenderUserData(r, node)
		if err != nil {
			return Wanted{}, err
		}
		w.Groups = append(w.Groups, wantGroup(r, node, image, data.Data))
	}
	return w, nil
}

func wantGroup(r *cluster.Resolved, node cluster.Node, image Image, userData []byte) WantedGroup {
	groups := slices.Sorted(slices.Values(r.AWS.SecurityGroups[node.Role]))
	g := WantedGroup{
		Name: r.GroupName(node), Node: node, Min: 1, Max: 1, HookTimeout: slotTimeout,
		Template: Template{
			Image: image.ID, RootDevice: image.RootDevice, InstanceType: node.Placement.InstanceType, VolumeKey: r.AWS.VolumeKey,
			InstanceProfile: r.AWS.InstanceProfiles[node.Role], UserData: userData,
			Tags: tagsOf(r, node),
		},
	}
	if image.Content != "" {
		g.Template.Tags[cluster.TagContent] = image.Content
	}
	if node.Role == cluster.RoleAPI || node.Role == cluster.RoleStandalone {
		g.TargetGroups = slices.Sorted(slices.Values(r.AWS.TargetGroups))
	}
	if node.Slot == 0 {
		g.Min, g.Max, g.Subnets, g.HookTimeout = r.API.Min, r.API.Max, slices.Sorted(slices.Values(r.Network.Subnets)), poolTimeout
		g.Template.SecurityGroups = groups
		return g
	}
	g.Subnets = []string{node.Placement.Subnet}
	g.Interface = &WantedInterface{node.Placement.Subnet, groups}
	if node.Placement.VolumeGiB > 0 {
		g.Volume = &WantedVolume{node.Placement.VolumeGiB, node.Placement.VolumeType, r.AWS.VolumeKey}
	}
	return g
}

// tagsOf are the tags of a machine, and of what its slot keeps.
func tagsOf(r *cluster.Resolved, node cluster.Node) map[string]string {
	tags := map[string]string{
		"Name":             fmt.Sprintf("%s %s", r.Name, node.Name),
		cluster.TagCluster: r.Name,
		cluster.TagRole:    string(node.Role),
	}
	if node.Slot > 0 {
		tags[cluster.TagNode] = node.Name
	}
	return tags
}

// rootTags are those of a machine's root volume, and of the API pool's network interfaces: without the node's name, which
// tells what a slot keeps from what goes with the machine.
func rootTags(tags map[string]string) map[string]string {
	kept := map[string]string{}
	for key, value := range tags {
		if key != cluster.TagNode && key != cluster.TagContent {
			kept[key] = value
		}
	}
	return kept
}
