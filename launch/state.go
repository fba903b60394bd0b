package launch

import (
	"maps"
	"slices"
	"strings"

	"github.com/cincbake/cincbake/cluster"
)

// State is what a cluster has at AWS.
type State struct {
	Zones      map[string]string // by subnet
	Interfaces map[string]Interface
	Volumes    map[string]Volume // both by node
	Templates  map[string]LaunchTemplate
	Groups     map[string]Group // both by name
	Twice      map[string]error // by node: a slot that has two of what it keeps, and what to do about it
}

// Interface is the network interface that a slot keeps.
type Interface struct {
	ID             string
	Subnet         string
	SecurityGroups []string // sorted
	Address        string
}

// Volume is the data volume that a slot keeps.
type Volume struct {
	ID   string
	Zone string
	Key  string // that encrypts it, by its ARN
}

// LaunchTemplate is a launch template.
type LaunchTemplate struct { //nolint:revive // the thing itself is called so; Template is what a version of it says
	ID       string
	Default  int64
	Latest   int64
	Versions []Version // newest first
	// Used are the versions that any group of the account uses, or a machine in one. Only plans know them.
	Used map[int64]bool
}

// Version is a version of a launch template.
type Version struct {
	Number int64
	Digest string // of what it says; empty: somebody else made it
	After  int64  // the version that machines ran before; 0: none
	Fields map[string]string
}

// newest returns the newest version that cincbake made; its number is 0 if there is none.
func (t LaunchTemplate) newest() Version {
	for _, v := range t.Versions {
		if v.Digest != "" {
			return v
		}
	}
	return Version{}
}

// find returns the version that says what the digest stands for, if that is the newest or the one that the group uses. Any
// other stays in the past: what it says comes back as a new version, so that a group that uses an older version than the newest
// was brought back to it, and so that every version says what was before it.
func (t LaunchTemplate) find(digest string, used int64) (Version, bool) {
	for _, v := range t.Versions {
		if v.Digest == digest && (v.Number == used || v.Number == t.newest().Number) {
			return v, true
		}
	}
	return Version{}, false
}

// version returns the one with a number.
func (t LaunchTemplate) version(number int64) (Version, bool) {
	for _, v := range t.Versions {
		if v.Number == number {
			return v, true
		}
	}
	return Version{}, false
}

// Group is an autoscaling group.
type Group struct {
	Name         string
	Role         cluster.Role
	Node         string // empty: the API pool
	Template     string // its id
	Version      int64  // 0: not an exact number
	Min, Max     int
	Desired      int
	Subnets      []string // sorted; of a pool
	Zones        []string // sorted
	TargetGroups []string // sorted
	HealthCheck  string
	HookTimeout  int // in seconds; 0: there is no hook
	Instances    []Instance
}

// Instance is a machine, as its group sees it.
type Instance struct {
	ID      string
	State   string // of its life, like InService
	Healthy bool
	Version int64 // of the launch template; 0: of another template
}

// serves tells whether the instance is in service and well.
func (i Instance) serves() bool { return i.State == "InService" && i.Healthy }

// runs returns the version that most of the group's machines run that are in service, leaving out one; 0: none does. Of two
// that equally many run it is the older one, which has proved itself for longer.
func (g Group) runs(without int64) int64 {
	machines := map[int64]int{}
	for _, i := range g.Instances {
		if i.serves() && i.Version != 0 && i.Version != without {
			machines[i.Version]++
		}
	}
	var most int64
	for _, version := range slices.Sorted(maps.Keys(machines)) {
		if machines[version] > machines[most] {
			most = version
		}
	}
	return most
}

// fresh lists the instances of the group's version that are in service.
func (g Group) fresh() []Instance {
	return slices.DeleteFunc(slices.Clone(g.Instances), func(i Instance) bool { return i.Version != g.Version || !i.serves() })
}

// lacks tells whether the group has fewer machines in service than it is to have.
func (g Group) lacks() bool {
	serving := 0
	for _, i := range g.Instances {
		if i.serves() {
			serving++
		}
	}
	return serving < g.Desired
}

// Outdated lists the instances that are not from the version that the group uses now. What is on its way out is none.
func (g Group) Outdated() []Instance {
	return slices.DeleteFunc(slices.Clone(g.Instances), func(i Instance) bool { return i.Version == g.Version || i.leaving() })
}

// coming tells whether the instance was launched and does not serve yet.
func (i Instance) coming() bool { return strings.HasPrefix(i.State, "Pending") }

// leaving tells whether the instance is on its way out.
func (i Instance) leaving() bool { return strings.HasPrefix(i.State, "Terminat") }
