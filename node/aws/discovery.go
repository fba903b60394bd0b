package aws

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/node"
	"github.com/cincbake/cincbake/roles/role"
)

// discovery finds the cluster's machines by their tags.
type discovery struct {
	platform *Platform
	cluster  *cluster.Resolved
	self     cluster.Node

	mu    sync.Mutex
	last  []cluster.Node // what Nodes found last
	until time.Time      // it counts until then
}

var _ node.Discovery = (*discovery)(nil)

// Self returns this machine with the address of its first interface. All machines of the API pool are the node api, with
// its certificate; what tells them apart is their instance. A machine whose tags say that it is another one is refused.
func (d *discovery) Self(ctx context.Context) (cluster.Node, error) {
	known, _, err := d.platform.connect(ctx)
	if err != nil {
		return cluster.Node{}, err
	}
	wanted := map[string]string{cluster.TagCluster: d.cluster.Name, cluster.TagRole: string(d.self.Role)}
	if d.self.Slot > 0 {
		wanted[cluster.TagNode] = d.self.Name
	}
	for _, tag := range []string{cluster.TagCluster, cluster.TagRole, cluster.TagNode} {
		if value, ok := known.tags[tag]; ok && value != wanted[tag] {
			return cluster.Node{}, &role.Refusal{
				Reason: fmt.Sprintf("this machine is %s of cluster %s, and the tag %s of instance %s says %q", d.self.Name, d.cluster.Name, tag, known.instance, value),
				Hint:   "user data and tags come from one launch template: cincbake launch plan shows how it should be",
			}
		}
	}
	self := d.self
	self.Address, self.Found = known.address, true
	return self, nil
}

// Nodes returns the machines that run or are about to: slots by their names, and those of the API pool as api/INSTANCE, in
// the order of their names. What was found counts for a moment: a machine that waits looks about twice a second, and with all
// of a cluster waiting EC2 would throttle the whole account.
func (d *discovery) Nodes(ctx context.Context) ([]cluster.Node, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Now().Before(d.until) {
		return slices.Clone(d.last), nil
	}
	nodes, err := d.describe(ctx)
	if err != nil {
		return nil, err
	}
	d.last, d.until = nodes, time.Now().Add(role.About(d.platform.counts))
	return slices.Clone(nodes), nil
}

// pageSize is how many instances an answer has.
const pageSize = 100

// describe asks EC2.
func (d *discovery) describe(ctx context.Context) ([]cluster.Node, error) {
	_, s, err := d.platform.connect(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	found := map[string]types.Instance{}
	pages := ec2.NewDescribeInstancesPaginator(s.ec2, &ec2.DescribeInstancesInput{
		MaxResults: aws.Int32(pageSize),
		Filters: []types.Filter{
			{Name: aws.String("tag:" + cluster.TagCluster), Values: []string{d.cluster.Name}},
			{Name: aws.String("instance-state-name"), Values: []string{string(types.InstanceStateNamePending), string(types.InstanceStateNameRunning)}},
		},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("find the cluster's machines: %w", err)
		}
		for _, reservation := range page.Reservations {
			for _, i := range reservation.Instances {
				name := nameOf(i)
				if have, ok := found[name]; name != "" && (!ok || later(i, have)) {
					found[name] = i
				}
			}
		}
	}
	var nodes []cluster.Node
	for name, i := range found {
		address, err := netip.ParseAddr(aws.ToString(i.PrivateIpAddress))
		if err != nil {
			continue // it has none yet
		}
		known, err := d.cluster.Node(name)
		if err != nil { // of the pool, or of a slot that this machine's document does not have
			known = cluster.Node{Name: name, Role: cluster.Role(tagOf(i, cluster.TagRole))}
		}
		known.Address, known.Found = address, true
		nodes = append(nodes, known)
	}
	slices.SortFunc(nodes, func(a, b cluster.Node) int { return cmp.Compare(a.Name, b.Name) })
	return nodes, nil
}

// nameOf is what an instance is called; "": it is of no tier.
func nameOf(i types.Instance) string {
	switch name := tagOf(i, cluster.TagNode); {
	case name != "":
		return name
	case tagOf(i, cluster.TagRole) == string(cluster.RoleAPI):
		return fmt.Sprintf("%s/%s", cluster.RoleAPI, aws.ToString(i.InstanceId))
	}
	return ""
}

// later tells which of two instances of one slot counts: while one replaces the other, the new one.
func later(i, than types.Instance) bool {
	at := func(i types.Instance) time.Time { return aws.ToTime(i.LaunchTime) }
	return at(i).After(at(than))
}

func tagOf(i types.Instance, key string) string {
	for _, tag := range i.Tags {
		if aws.ToString(tag.Key) == key {
			return aws.ToString(tag.Value)
		}
	}
	return ""
}
