package cluster

import (
	"cmp"
	"fmt"
)

// The tags of everything on AWS that belongs to a cluster. Whatever cincbake finds, changes or removes there, it finds by
// them; what has none of them is somebody else's.
const (
	TagCluster = "cincbake:cluster" // the cluster's name
	TagRole    = "cincbake:role"
	TagNode    = "cincbake:node"    // the slot's machine, like postgres-1; the API pool has none
	TagRecipe  = "cincbake:recipe"  // of images: the digest of what they were to be
	TagContent = "cincbake:content" // of images and of what runs from them: the digest of what they are
	TagState   = "cincbake:state"   // of images: see images/ec2
)

// ReadyHook is the lifecycle hook of every group that holds a new machine back until it completes it: it is ready then.
const ReadyHook = "cincbake-ready"

// GroupName is the name of a machine's launch template and of its autoscaling group: the pool's, or that of one slot.
func (r *Resolved) GroupName(node Node) string {
	return fmt.Sprintf("cincbake-%s-%s", r.Name, node.Name)
}

// ChannelParameter is the name of the parameter that says which image of a role a channel points to. Only the role that
// promotes may write it.
func ChannelParameter(cluster string, role Role, channel string) string {
	return fmt.Sprintf("/cincbake/%s/%s/%s", cluster, role, channel)
}

// SecretName is the name of the secret that holds what one machine may know, or all of the API pool.
func (r *Resolved) SecretName(node Node) string {
	return fmt.Sprintf("cincbake/%s/%s", r.Name, node.Name)
}

// Account is what a cluster uses in its AWS account and does not make itself.
type Account struct {
	Bucket    string // holds the images' records
	Key       string // encrypts secrets and images: the key's ARN; empty: the account's default
	VolumeKey string // encrypts volumes
	// InstanceProfiles and SecurityGroups are the machines', by role.
	InstanceProfiles map[Role]string
	SecurityGroups   map[Role][]string
	TargetGroups     []string // ARNs: where the load balancer finds the API nodes
}

// account fills in what the section aws says; nil: the spec has none.
func (s *Spec) account() *Account {
	if s.AWS == nil {
		return nil
	}
	a := &Account{
		Bucket: s.AWS.Bucket, Key: s.AWS.Key, VolumeKey: cmp.Or(s.AWS.VolumeKey, s.AWS.Key), TargetGroups: s.AWS.TargetGroups,
		InstanceProfiles: map[Role]string{}, SecurityGroups: map[Role][]string{},
	}
	for _, tier := range s.awsTiers() {
		if tier.profile != "" {
			a.InstanceProfiles[tier.role] = tier.profile
		}
		if len(tier.groups) > 0 {
			a.SecurityGroups[tier.role] = tier.groups
		}
	}
	return a
}

// awsTier is what the section aws says of the machines of one tier.
type awsTier struct {
	key     string // of the tier
	role    Role   // of its machines
	profile string
	groups  []string
}

// awsTiers lists the tiers that have machines of their own on AWS, those that the cluster lacks among them.
func (s *Spec) awsTiers() []awsTier {
	if s.AWS == nil {
		s = &Spec{AWS: &AWSSpec{}, API: s.API, Postgres: s.Postgres, OpenSearch: s.OpenSearch, LB: s.LB}
	}
	api := RoleAPI
	if s.Standalone() {
		api = RoleStandalone
	}
	profiles, groups := s.AWS.InstanceProfiles, s.AWS.SecurityGroups
	return []awsTier{
		{"api", api, profiles.API, groups.API},
		{"postgres", RolePostgres, profiles.Postgres, groups.Postgres},
		{"heartbeat", RoleHeartbeat, profiles.Heartbeat, groups.Heartbeat},
		{"opensearch", RoleOpenSearch, profiles.OpenSearch, groups.OpenSearch},
	}
}
