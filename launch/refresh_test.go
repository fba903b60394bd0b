package launch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/test/fakeaws"
)

func TestRefreshPreferences(t *testing.T) {
	for _, c := range []struct {
		desired, most int
		want          string // least, most healthy, checkpoints
	}{
		{1, 1, "0 100 []"},
		{1, 6, "100 200 []"},
		{2, 6, "100 150 [50 100]"},
		{2, 2, "50 100 [50 100]"},
		{3, 6, "100 134 [33 100]"},
		{3, 3, "66 100 [33 100]"},
		{40, 50, "100 103 [2 100]"},
		{150, 200, "100 101 [1 100]"},
	} {
		p := refreshPreferences(Group{Desired: c.desired, Max: c.most}, time.Minute)
		if got := fmt.Sprint(*p.MinHealthyPercentage, *p.MaxHealthyPercentage, p.CheckpointPercentages); got != c.want {
			t.Errorf("%d of %d: %s instead of %s", c.desired, c.most, got, c.want)
		}
		if !aws.ToBool(p.SkipMatching) {
			t.Errorf("%d of %d: machines of the version are replaced too", c.desired, c.most)
		}
		if *p.InstanceWarmup != 0 {
			t.Errorf("%d of %d: machines warm up for %d s for no balancer", c.desired, c.most, *p.InstanceWarmup)
		}
	}
}

// poolAtNoon is a managed cluster's pool of so many machines of version 1, of at most so many, on a clock that only Advance moves;
// its group uses version 2. New targets are healthy after three minutes.
func poolAtNoon(t *testing.T, desired, most int) wired {
	t.Helper()
	noon := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	w := newWiredWith(t, cluster.Managed, fakeaws.Options{Boot: 30 * time.Second, Register: 3 * time.Minute, Now: func() time.Time { return noon }})
	w.promote(1)
	apply(t, w.Fleet)
	if _, err := w.anyone.AutoScaling.UpdateAutoScalingGroup(t.Context(), &autoscaling.UpdateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String("cincbake-prod-api"), MinSize: aws.Int32(1), MaxSize: count32(most),
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.anyone.AutoScaling.(*autoscaling.Client).SetDesiredCapacity(t.Context(), &autoscaling.SetDesiredCapacityInput{
		AutoScalingGroupName: aws.String("cincbake-prod-api"), DesiredCapacity: count32(desired),
	}); err != nil {
		t.Fatal(err)
	}
	w.server.Advance(10 * time.Minute)
	images := imagesOf(t, w.Fleet)
	image := images[cluster.RoleAPI]
	image.ID = w.promote(2)
	state, err := w.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g := state.Groups["cincbake-prod-api"]
	wanted, err := Want(w.Cluster, map[cluster.Role]Image{cluster.RoleAPI: image})
	if err != nil {
		t.Fatal(err)
	}
	pool := wanted.Groups[0]
	if err := createVersion(pool, pool.wantedTemplate(state), state.Templates[g.Name], 1)(t.Context(), w.Fleet, &state); err != nil {
		t.Fatal(err)
	}
	if _, err := w.anyone.AutoScaling.UpdateAutoScalingGroup(t.Context(), &autoscaling.UpdateAutoScalingGroupInput{
		AutoScalingGroupName: &g.Name, LaunchTemplate: use(g.Template, 2),
	}); err != nil {
		t.Fatal(err)
	}
	return w
}

// refreshed begins a refresh and lets time pass until it has ended, five seconds at a time.
func (w wired) refreshed(t *testing.T, watch func(Group, types.InstanceRefresh)) {
	t.Helper()
	g, err := w.group(t.Context(), "cincbake-prod-api")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.operated.AutoScaling.StartInstanceRefresh(t.Context(), &autoscaling.StartInstanceRefreshInput{
		AutoScalingGroupName: &g.Name, Preferences: refreshPreferences(g, time.Minute),
	}); err != nil {
		t.Fatal(err)
	}
	for range 12 * 60 * 3 { // three hours
		refresh, err := w.operated.refresh(t.Context(), g.Name)
		if err != nil {
			t.Fatal(err)
		}
		if g, err = w.group(t.Context(), g.Name); err != nil {
			t.Fatal(err)
		}
		if watch(g, *refresh); refresh.Status == types.InstanceRefreshStatusSuccessful {
			return
		}
		w.server.Advance(5 * time.Second)
	}
	t.Error("the refresh never ends")
}

// A refresh rests when one machine was replaced, however many there are.
func TestRefreshRestsAfterTheFirst(t *testing.T) {
	for desired := 1; desired <= 10; desired++ {
		for _, most := range []int{desired, desired + 1} {
			t.Run(fmt.Sprintf("%d of %d", desired, most), func(t *testing.T) {
				t.Parallel()
				rested := map[int]bool{}
				poolAtNoon(t, desired, most).refreshed(t, func(g Group, r types.InstanceRefresh) {
					if strings.Contains(aws.ToString(r.StatusReason), "paused") {
						rested[len(g.fresh())] = true
						if *r.PercentageComplete < *count32(oneOf(desired)) {
							t.Errorf("%d%% are not known for the first", *r.PercentageComplete)
						}
					}
				})
				want := map[int]bool{1: true}
				if desired == 1 {
					want = map[int]bool{}
				}
				if diff := cmp.Diff(want, rested); diff != "" {
					t.Errorf("new machines when it rests (-want +got)\n%s", diff)
				}
			})
		}
	}
}

// The balancer has as many healthy machines at every moment of a refresh as the pool has to have, though it takes minutes for each.
func TestRefreshWaitsForTheBalancer(t *testing.T) {
	for desired := 1; desired <= 3; desired++ {
		for _, most := range []int{desired, desired + 1} {
			t.Run(fmt.Sprintf("%d of %d", desired, most), func(t *testing.T) {
				t.Parallel()
				w := poolAtNoon(t, desired, most)
				least := desired
				w.refreshed(t, func(Group, types.InstanceRefresh) { least = min(least, w.healthy(t)) })
				want := desired
				if most == desired {
					want--
				}
				if least != want {
					t.Errorf("there are only %d healthy targets at one time, and not %d", least, want)
				}
			})
		}
	}
}

// healthy counts the targets that the balancer leads connections to.
func (w wired) healthy(t *testing.T) (n int) {
	t.Helper()
	out, err := w.operated.Targets.DescribeTargetHealth(t.Context(), &elasticloadbalancingv2.DescribeTargetHealthInput{TargetGroupArn: aws.String(w.Cluster.AWS.TargetGroups[0])})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range out.TargetHealthDescriptions {
		if d.TargetHealth.State == elbtypes.TargetHealthStateEnumHealthy {
			n++
		}
	}
	return n
}

// looking notes whom the agents were asked about.
type looking struct {
	Agents
	asked *[][]cluster.Node
	nodes []cluster.Node
}

func (l looking) WaitWhole(context.Context, time.Duration) error {
	*l.asked = append(*l.asked, l.nodes)
	return nil
}

// After the first machine the cluster is looked at with it, and without the one that it replaced.
func TestLookHasTheNewMachine(t *testing.T) {
	f, a := fleet(t, cluster.Managed)
	apply(t, f)
	old := aws.ToString(a.groups[0].Instances[0].InstanceId)
	a.promote(f.Cluster, 2)
	apply(t, f)
	var asked [][]cluster.Node
	rollout := rolloutOf(f, a)
	rollout.Agents = func(r *cluster.Resolved) Agents { return looking{agentsOf(a)(r), &asked, r.Nodes} }
	if err := rollout.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 1 {
		t.Fatalf("it looks %d times", len(asked))
	}
	var names []string
	for _, n := range asked[0] {
		names = append(names, n.Name)
	}
	fresh := aws.ToString(a.groups[0].Instances[0].InstanceId)
	if first := a.groups[0].Instances; len(first) != 2 || !slices.ContainsFunc(names, func(name string) bool {
		return strings.HasSuffix(name, "/"+fresh) || strings.HasSuffix(name, "/"+*first[1].InstanceId)
	}) || slices.ContainsFunc(names, func(name string) bool { return strings.HasSuffix(name, "/"+old) }) {
		t.Errorf("it looks at %v, which is without a new machine or with %s, which it replaced", names, old)
	}
}

// A new machine that works by its own word, and that the balancer leads nobody to, stops the rollout.
func TestLookAsksTheBalancer(t *testing.T) {
	f, a := fleet(t, cluster.Managed)
	apply(t, f)
	a.promote(f.Cluster, 2)
	a.shunned[a.parameters[cluster.ChannelParameter("prod", cluster.RoleAPI, "stable")]] = true
	apply(t, f)
	err := rolloutOf(f, a).Run(t.Context())
	if exit.CodeOf(err) != exit.TimedOut || !strings.Contains(err.Error(), "unhealthy, Health checks failed") || !strings.Contains(err.Error(), "rollback api") {
		t.Errorf("got %v", err)
	}
	if left := len(a.group("cincbake-prod-api").Instances); left != 2 {
		t.Errorf("%d machines are left", left)
	}
}

// Why no machine starts is said: in the status, while a rollout waits, and when it gives up.
func TestWhyNoMachineStarts(t *testing.T) {
	w := newWired(t)
	w.promote(1)
	apply(t, w.Fleet)
	w.server.Advance(10 * time.Minute)
	w.promote(2)
	apply(t, w.Fleet)
	for _, zone := range []string{"eu-west-1a", "eu-west-1b", "eu-west-1c"} {
		w.server.Lack(zone, "m6i.xlarge")
	}
	status, err := w.operated.Status(t.Context())
	if err != nil || status.Groups[0].Failure != "" {
		t.Errorf("all is well: %+v, %v", status.Groups, err)
	}
	var heard []string
	w.operated.Heard = func(_, what string) { heard = append(heard, what) }
	err = Rollout{Fleet: w.operated, Within: 500 * time.Millisecond, Rest: time.Second}.Run(t.Context())
	const why = "not supported in your requested Availability Zone"
	if exit.CodeOf(err) != exit.TimedOut || !strings.Contains(err.Error(), why) {
		t.Errorf("the rollout ends with %v", err)
	}
	if said := slices.DeleteFunc(heard, func(what string) bool { return !strings.Contains(what, why) }); len(said) != 1 {
		t.Errorf("while it waits, it is said %d times: %q", len(said), said)
	}
	for id := range w.server.GroupInstances(region, "cincbake-prod-api") {
		if _, err := w.anyone.AutoScaling.TerminateInstanceInAutoScalingGroup(t.Context(), &autoscaling.TerminateInstanceInAutoScalingGroupInput{
			InstanceId: &id, ShouldDecrementDesiredCapacity: aws.Bool(false),
		}); err != nil {
			t.Fatal(err)
		}
		break
	}
	w.server.Advance(time.Minute)
	if status, err = w.operated.Status(t.Context()); err != nil || !strings.Contains(status.Groups[0].Failure, why) {
		t.Errorf("the status: %+v, %v", status.Groups, err)
	}
	w.server.Inject(fakeaws.Deny("DescribeScalingActivities"))
	if status, err = w.operated.Status(t.Context()); err != nil || !strings.Contains(status.Groups[0].Failure, "cannot be told") {
		t.Errorf("the status of somebody who may not ask: %+v, %v", status.Groups, err)
	}
}
