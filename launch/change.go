package launch

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// Change is one call that brings what there is nearer to what is wanted.
type Change struct {
	Action Action  `json:"action"`
	Kind   string  `json:"kind"` // like launch template
	Name   string  `json:"name"`
	Call   string  `json:"call"` // in IAM's words, like ec2:CreateLaunchTemplate
	Fields []Field `json:"fields,omitempty"`
	// do makes the call, and notes in the state what came of it.
	do func(context.Context, *Fleet, *State) error
}

// Action is what a change does.
type Action string

// The actions.
const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
)

// Field is something that a change is about, and how it is before and after. Empty: it is not there.
type Field struct {
	Path string `json:"path"`
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

// later stands for an id that a change before this one will bring.
const later = "(known when it is made)"

// The kinds of what changes.
const (
	kindInterface = "network interface"
	kindVolume    = "data volume"
	kindTemplate  = "launch template"
	kindGroup     = "autoscaling group"
)

// Diff returns what is to be done until there is what is wanted, in order: first what slots keep, then launch templates, then
// the groups that use them, and at last the versions that nobody will use any more, but for the newest keep of them. Nothing
// of a slot is ever deleted. What cannot be changed into what is wanted is exit.Unsafe.
func Diff(w Wanted, s State, keep int) ([]Change, error) {
	var kept, templates, groups, old []Change
	var refused []string
	for _, g := range w.Groups {
		changes, err := keepsakes(w.Cluster, g, s)
		if err != nil {
			refused = append(refused, err.Error())
			continue
		}
		kept = append(kept, changes...)
		wanted := g.wantedTemplate(s)
		template, there := s.Templates[g.Name]
		used, before := s.Groups[g.Name].usedVersion(template), s.Groups[g.Name].versionBefore(template)
		version, made := template.find(wanted.Digest(), used)
		if wanted.Interface == later {
			made = false
		}
		number := version.Number
		if !made {
			templates = append(templates, templateChange(g, wanted, template, there, used, before))
			number = template.Latest + 1
		}
		groups = append(groups, groupChanges(w.Cluster, g, s, number)...)
		if change, needed := pruneChange(g.Name, template, s.Groups[g.Name], made, number, keep); needed {
			old = append(old, change)
		}
	}
	if len(refused) > 0 {
		return nil, exit.Errorf(exit.Unsafe, "%s", strings.Join(refused, "\n"))
	}
	return slices.Concat(kept, templates, groups, old), nil
}

// Leftovers lists the groups of the cluster that nobody wants any more, like those of slots that were taken out of the spec.
func Leftovers(w Wanted, s State) []string {
	wanted := map[string]bool{}
	for _, g := range w.Groups {
		wanted[g.Name] = true
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.Groups)), func(name string) bool { return wanted[name] })
}

// wantedTemplate is the group's template with what the slot has.
func (g WantedGroup) wantedTemplate(s State) Template {
	t := g.Template
	if g.Slot() {
		t.Interface = cmp.Or(s.Interfaces[g.Node.Name].ID, later)
	}
	return t
}

// usedVersion is the version of the template that the group uses; 0: none.
func (g Group) usedVersion(t LaunchTemplate) int64 {
	if g.Template != t.ID {
		return 0
	}
	return g.Version
}

// versionBefore is the version that a rollback from a new one leads to: what machines run, and not what the group was moved to
// without any of them having been replaced. Where none is in service it is the group's; 0: none.
func (g Group) versionBefore(t LaunchTemplate) int64 {
	if g.Template != t.ID {
		return 0
	}
	return cmp.Or(g.runs(0), g.Version)
}

// keepsakes are the changes of what a slot keeps.
func keepsakes(name string, g WantedGroup, s State) ([]Change, error) {
	if !g.Slot() {
		return nil, nil
	}
	var changes []Change
	node, zone := g.Node.Name, s.Zones[g.Interface.Subnet]
	if err := s.Twice[node]; err != nil {
		return nil, err
	}
	have, there := s.Interfaces[node]
	groups := strings.Join(g.Interface.SecurityGroups, " ")
	switch {
	case !there:
		changes = append(changes, Change{
			Action: Create, Kind: kindInterface, Name: node, Call: "ec2:CreateNetworkInterface",
			Fields: []Field{{Path: "subnet", New: g.Interface.Subnet}, {Path: "securityGroups", New: groups}},
			do:     createInterface(name, g),
		})
	case have.Subnet != g.Interface.Subnet:
		return nil, fmt.Errorf("%s has its address in %s, by the network interface %s, and the spec says %s: a slot stays in its subnet; add a slot in the other one, and remove this one",
			node, have.Subnet, have.ID, g.Interface.Subnet)
	case !slices.Equal(have.SecurityGroups, g.Interface.SecurityGroups):
		changes = append(changes, Change{
			Action: Update, Kind: kindInterface, Name: node, Call: "ec2:ModifyNetworkInterfaceAttribute",
			Fields: []Field{{"securityGroups", strings.Join(have.SecurityGroups, " "), groups}},
			do:     modifyInterface(node, have, g.Interface.SecurityGroups),
		})
	}
	volume, there := s.Volumes[node]
	switch {
	case g.Volume == nil:
	case !there:
		changes = append(changes, Change{
			Action: Create, Kind: kindVolume, Name: node, Call: "ec2:CreateVolume",
			Fields: []Field{{Path: "size", New: fmt.Sprintf("%d GiB, %s", g.Volume.GiB, g.Volume.Type)}, {Path: "zone", New: zone}, {Path: "encrypted", New: "by " + g.Volume.Key}},
			do:     createVolume(name, g, zone),
		})
	case volume.Zone != zone:
		return nil, fmt.Errorf("%s has its data in %s, on the volume %s, and its subnet %s is in %s: a slot stays in its zone", node, volume.Zone, volume.ID, g.Interface.Subnet, zone)
	case volume.Key != "" && volume.Key != g.Volume.Key: // its machines may use no other key than the spec's
		return nil, fmt.Errorf("%s has its data on the volume %s, which %s encrypts, and the spec says %s, so its machine could not open it: "+
			"leave aws.volumeKey at that key, or put a volume that a snapshot of this one made with the new key in its place, with its tags", node, volume.ID, volume.Key, g.Volume.Key)
	}
	return changes, nil
}

// templateChange is a new version, whole, or the first one.
func templateChange(g WantedGroup, wanted Template, have LaunchTemplate, there bool, used, runs int64) Change {
	after := templateFields(said(wanted.Data()))
	if !there {
		return Change{
			Action: Create, Kind: kindTemplate, Name: g.Name, Call: "ec2:CreateLaunchTemplate",
			Fields: fieldChanges(nil, after), do: createTemplate(g, wanted),
		}
	}
	before, ok := have.version(used)
	if !ok && len(have.Versions) > 0 {
		before = have.Versions[0]
	}
	fields := append([]Field{{"version", number(before.Number), number(have.Latest + 1)}}, fieldChanges(before.Fields, after)...)
	return Change{
		Action: Update, Kind: kindTemplate, Name: g.Name, Call: "ec2:CreateLaunchTemplateVersion",
		Fields: fields, do: createVersion(g, wanted, have, runs),
	}
}

// fieldChanges lists what differs, sorted by path.
func fieldChanges(before, after map[string]string) []Field {
	paths := maps.Clone(after)
	if paths == nil {
		paths = map[string]string{}
	}
	maps.Copy(paths, before)
	var changes []Field
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if before[path] != after[path] {
			changes = append(changes, Field{path, before[path], after[path]})
		}
	}
	return changes
}

// number is a number as fields have it; 0 is none.
func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// groupChanges are the changes of a group, which is to use the version.
func groupChanges(name string, g WantedGroup, s State, version int64) []Change {
	have, there := s.Groups[g.Name]
	wanted := g.wantedState(s, version)
	if !there {
		return []Change{{
			Action: Create, Kind: kindGroup, Name: g.Name, Call: "autoscaling:CreateAutoScalingGroup",
			Fields: fieldChanges(nil, wanted.fields()), do: createGroup(name, g, wanted),
		}}
	}
	var changes []Change
	change := func(call string, fields []Field, do func(context.Context, *Fleet, *State) error) {
		if len(fields) > 0 {
			changes = append(changes, Change{Action: Update, Kind: kindGroup, Name: g.Name, Call: "autoscaling:" + call, Fields: fields, do: do})
		}
	}
	before, after := have.settings(), wanted.settings()
	if have.Template != "" && wanted.Template != "" && have.Template != wanted.Template {
		before["template"], after["template"] = have.Template, wanted.Template
	}
	change("UpdateAutoScalingGroup", fieldChanges(before, after), updateGroup(g, have, wanted))
	change("PutLifecycleHook", fieldChanges(have.hook(), wanted.hook()), putHook(g))
	gone, added := without(have.TargetGroups, wanted.TargetGroups), without(wanted.TargetGroups, have.TargetGroups)
	for _, arn := range added {
		change("AttachLoadBalancerTargetGroups", []Field{{Path: "targetGroup", New: arn}}, attachTargets(g.Name, arn))
	}
	for _, arn := range gone {
		change("DetachLoadBalancerTargetGroups", []Field{{Path: "targetGroup", Old: arn}}, detachTargets(g.Name, arn))
	}
	return changes
}

// without returns what is in the list and not in the other.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(one string) bool { return slices.Contains(other, one) })
}

// wantedState is the group as it shall be, with the zones of its subnets.
func (g WantedGroup) wantedState(s State, version int64) Group {
	wanted := Group{
		Name: g.Name, Role: g.Node.Role, Template: s.Templates[g.Name].ID, Version: version, Min: g.Min, Max: g.Max, Desired: g.Min,
		TargetGroups: g.TargetGroups, HealthCheck: "EC2", HookTimeout: g.HookTimeout,
	}
	if g.Slot() {
		wanted.Node = g.Node.Name
		wanted.Zones = []string{s.Zones[g.Interface.Subnet]}
	} else {
		wanted.Subnets = g.Subnets
	}
	return wanted
}

// settings are what UpdateAutoScalingGroup changes of a group, in words. A pool is where its subnets are; a slot's group names
// a zone alone, as its interface is in a subnet already. How many machines there are now is the group's own to decide.
func (g Group) settings() map[string]string {
	settings := map[string]string{
		"version": number(g.Version), "min": strconv.Itoa(g.Min), "max": strconv.Itoa(g.Max), "healthCheck": g.HealthCheck,
	}
	if len(g.Subnets) > 0 {
		settings["subnets"] = strings.Join(g.Subnets, " ")
	} else {
		settings["zone"] = strings.Join(g.Zones, " ")
	}
	return settings
}

// hook is the group's hook, in words.
func (g Group) hook() map[string]string {
	if g.HookTimeout == 0 {
		return nil
	}
	return map[string]string{"ready": fmt.Sprintf("within %d s", g.HookTimeout)}
}

// fields are all of it, in words.
func (g Group) fields() map[string]string {
	fields := g.settings()
	maps.Copy(fields, g.hook())
	if len(g.TargetGroups) > 0 {
		fields["targetGroups"] = strings.Join(g.TargetGroups, " ")
	}
	return fields
}

// pruneChange deletes the versions of a template that are not among the newest and that nobody uses: neither the group, now
// or after a rollback, nor a machine. The template's default version cannot be deleted. The version that the group is to use
// is there already (made), or is one more.
func pruneChange(name string, t LaunchTemplate, g Group, made bool, version int64, keep int) (Change, bool) {
	stays := map[int64]bool{t.Default: true, g.Version: true, version: true}
	room := keep
	if !made {
		room-- // for the new one
	}
	for i, v := range t.Versions {
		if i < room || v.Number > version {
			stays[v.Number] = true
		}
		if v.Number == version {
			stays[v.After] = true
		}
	}
	for _, i := range g.Instances {
		stays[i.Version] = true
	}
	maps.Copy(stays, t.Used) // by somebody else's group, too
	var gone []int64
	for _, v := range slices.Backward(t.Versions) {
		if !stays[v.Number] {
			gone = append(gone, v.Number)
		}
	}
	if len(gone) == 0 {
		return Change{}, false
	}
	var fields []Field
	for _, n := range gone {
		fields = append(fields, Field{Path: "version", Old: number(n)})
	}
	return Change{Action: Delete, Kind: kindTemplate, Name: name, Call: "ec2:DeleteLaunchTemplateVersions", Fields: fields, do: deleteVersions(name, t, gone)}, true
}

// groupTags are the tags of a group itself; its machines have those of the launch template.
func groupTags(name string, g WantedGroup) map[string]string {
	tags := map[string]string{cluster.TagCluster: name, cluster.TagRole: string(g.Node.Role)}
	if g.Slot() {
		tags[cluster.TagNode] = g.Node.Name
	}
	return tags
}
