package launch

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/cluster"
)

// Status is a cluster's machines as AWS sees them.
type Status struct {
	Cluster string        `json:"cluster"`
	Groups  []GroupStatus `json:"groups"` // in the order of the cluster's nodes
}

// GroupStatus is a group and its machines.
type GroupStatus struct {
	Name    string         `json:"name"`
	Role    cluster.Role   `json:"role"`
	Missing bool           `json:"missing,omitempty"` // the group is not there: apply makes it
	Min     int            `json:"min"`
	Max     int            `json:"max"`
	Desired int            `json:"desired"`
	Version int64          `json:"version"`
	Image   string         `json:"image"`
	Content string         `json:"content,omitempty"` // the digest of what the image is
	Refresh *RefreshStatus `json:"refresh,omitempty"`
	// Failure is why the newest launch failed, of a group that lacks machines.
	Failure   string           `json:"failure,omitempty"`
	Instances []InstanceStatus `json:"instances"`
}

// RefreshStatus is a refresh that is under way.
type RefreshStatus struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	Percent int    `json:"percent"`
	Reason  string `json:"reason,omitempty"`
}

// InstanceStatus is a machine.
type InstanceStatus struct {
	ID      string `json:"id"`
	State   string `json:"state"`
	Healthy bool   `json:"healthy"`
	Version int64  `json:"version"`
	Image   string `json:"image,omitempty"`
	Content string `json:"content,omitempty"`
	Address string `json:"address,omitempty"`
	// Outdated machines are of another version than their group's, and Drifted ones of other content.
	Outdated bool `json:"outdated,omitempty"`
	Drifted  bool `json:"drifted,omitempty"`
}

// Green tells whether every group has its machines, all of them in service and of the group's version and content.
func (s Status) Green() bool {
	return !slices.ContainsFunc(s.Groups, func(g GroupStatus) bool {
		return g.Missing || g.Refresh != nil || len(g.Instances) < g.Desired || slices.ContainsFunc(g.Instances, func(i InstanceStatus) bool {
			return !i.Healthy || i.State != string(types.LifecycleStateInService) || i.Outdated || i.Drifted
		})
	})
}

// Status asks AWS how the cluster's machines are.
func (f *Fleet) Status(ctx context.Context) (Status, error) {
	state, err := f.Read(ctx)
	if err != nil {
		return Status{}, err
	}
	machines, err := f.instances(ctx)
	if err != nil {
		return Status{}, err
	}
	status := Status{Cluster: f.Cluster.Name}
	for _, node := range f.Cluster.Nodes {
		name := f.Cluster.GroupName(node)
		g, ok := state.Groups[name]
		if !ok {
			status.Groups = append(status.Groups, GroupStatus{Name: name, Role: node.Role, Missing: true, Instances: []InstanceStatus{}})
			continue
		}
		version, _ := state.Templates[name].version(g.Version)
		said := GroupStatus{
			Name: name, Role: node.Role, Min: g.Min, Max: g.Max, Desired: g.Desired, Version: g.Version, Image: version.Fields["image"],
			Content: version.Fields["tags.instance."+cluster.TagContent], Instances: []InstanceStatus{},
		}
		for _, i := range g.Instances {
			m := machines[i.ID]
			content := tagMap(m.Tags)[cluster.TagContent]
			said.Instances = append(said.Instances, InstanceStatus{
				ID: i.ID, State: i.State, Healthy: i.Healthy, Version: i.Version, Image: aws.ToString(m.ImageId), Content: content, Address: aws.ToString(m.PrivateIpAddress),
				Outdated: i.Version != g.Version, Drifted: content != said.Content,
			})
		}
		if g.lacks() {
			said.Failure = f.failure(ctx, name).String()
		}
		refresh, err := f.underway(ctx, name)
		if err != nil {
			return Status{}, err
		}
		if refresh != nil {
			said.Refresh = &RefreshStatus{aws.ToString(refresh.InstanceRefreshId), string(refresh.Status), int(aws.ToInt32(refresh.PercentageComplete)), aws.ToString(refresh.StatusReason)}
		}
		status.Groups = append(status.Groups, said)
	}
	return status, nil
}

// instances are the cluster's machines that are not gone, by id.
func (f *Fleet) instances(ctx context.Context) (map[string]ec2types.Instance, error) {
	found := map[string]ec2types.Instance{}
	pages := ec2.NewDescribeInstancesPaginator(f.EC2, &ec2.DescribeInstancesInput{
		Filters: append(f.ours(), filters("instance-state-name", "pending", "running", "stopping", "stopped", "shutting-down")...),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the instances: %w", err)
		}
		for _, reservation := range page.Reservations {
			for _, i := range reservation.Instances {
				found[aws.ToString(i.InstanceId)] = i
			}
		}
	}
	return found, nil
}

// Locate returns the cluster with its machines' addresses: a slot's is that of its network interface, and the API pool is
// each of its machines now.
func (f *Fleet) Locate(ctx context.Context, s State) (*cluster.Resolved, error) {
	machines, err := f.instances(ctx)
	if err != nil {
		return nil, err
	}
	located := *f.Cluster
	located.Nodes = nil
	for _, node := range f.Cluster.Nodes {
		if node.Slot > 0 {
			node.Address, _ = netip.ParseAddr(s.Interfaces[node.Name].Address)
			located.Nodes = append(located.Nodes, node)
			continue
		}
		for _, i := range s.Groups[f.Cluster.GroupName(node)].Instances {
			address, err := netip.ParseAddr(aws.ToString(machines[i.ID].PrivateIpAddress))
			if err != nil || i.leaving() {
				continue // it has none yet, or none any more
			}
			one := node
			one.Name, one.Address = fmt.Sprintf("%s/%s", node.Name, i.ID), address
			located.Nodes = append(located.Nodes, one)
		}
	}
	return &located, nil
}
