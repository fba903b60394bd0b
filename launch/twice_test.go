package launch

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	autoscalingtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/test/fakeaws"
)

// Two who apply at the same moment, neither seeing the other's work, come to one volume and one network interface.
func TestTwoOperators(t *testing.T) {
	w := newWiredWith(t, cluster.SelfHosted, fakeaws.Options{})
	for _, role := range rolesOf(w.Cluster) {
		w.promoteFor(role, 1)
	}
	wanted, err := Want(w.Cluster, imagesOf(t, w.Fleet))
	if err != nil {
		t.Fatal(err)
	}
	g := wanted.Groups[slices.IndexFunc(wanted.Groups, func(g WantedGroup) bool { return g.Node.Name == "postgres-1" })]
	var seen []State
	for range 2 {
		state, err := w.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, state)
	}
	for i := range seen {
		for _, do := range []doing{createInterface(wanted.Cluster, g), createVolume(wanted.Cluster, g, seen[i].Zones[g.Interface.Subnet])} {
			if err := do(t.Context(), w.Fleet, &seen[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	one, other := seen[0], seen[1]
	if one.Volumes["postgres-1"] != other.Volumes["postgres-1"] || one.Interfaces["postgres-1"].ID != other.Interfaces["postgres-1"].ID {
		t.Errorf("%+v and %+v, %+v and %+v", one.Volumes, other.Volumes, one.Interfaces, other.Interfaces)
	}
}

// A slot that has two volumes is left alone, and so is nobody else.
func TestTwiceConcernsItsSlot(t *testing.T) {
	f, a := fleet(t, cluster.SelfHosted)
	apply(t, f)
	volume := a.volumes[slices.IndexFunc(a.volumes, func(v types.Volume) bool { return tagMap(v.Tags)[cluster.TagNode] == "postgres-1" })]
	volume.VolumeId = aws.String(a.id("vol"))
	a.volumes = append(a.volumes, volume)
	if _, err := f.Plan(t.Context(), imagesOf(t, f)); exit.CodeOf(err) != exit.Unsafe || !strings.Contains(err.Error(), "postgres-1 has two data volumes") {
		t.Errorf("got %v", err)
	}
	f.Roles = []cluster.Role{cluster.RoleAPI}
	a.promote(f.Cluster, 2)
	apply(t, f)
	if _, err := f.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

// A version that somebody else's group uses stays, and no plan asks for more.
func TestApplyRests(t *testing.T) {
	f, a := fleet(t, cluster.SelfHosted)
	f.Keep = 1
	apply(t, f)
	api := f.Cluster.GroupName(f.Cluster.NodesOf(cluster.RoleAPI)[0])
	template := a.group(api).LaunchTemplate.LaunchTemplateId
	a.promote(f.Cluster, 2)
	apply(t, f) // the second version
	a.groups = append(a.groups, &autoscalingtypes.AutoScalingGroup{
		AutoScalingGroupName: aws.String("theirs"), LaunchTemplate: use(*template, 2),
	})
	for generation := 3; generation <= 5; generation++ {
		if err := rolloutOf(f, a).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.promote(f.Cluster, generation)
		apply(t, f)
		if again := apply(t, f); len(again) > 0 {
			t.Errorf("generation %d, applied again: %s %v", generation, again[0].Call, again[0].Fields)
		}
	}
	if !slices.ContainsFunc(a.template(*template).versions, func(v types.LaunchTemplateVersion) bool { return *v.VersionNumber == 2 }) {
		t.Error("their version is gone")
	}
}
