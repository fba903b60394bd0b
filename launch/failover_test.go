package launch

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/google/go-cmp/cmp"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/test/fakeaws"
)

// failover is how long the database is away, and with it every API node's deep check, as the load balancer makes it.
const failover = 90 * time.Second

// strike lets the database fail over: the balancer finds every machine of the pool unhealthy meanwhile. It calls watch every
// five seconds, and once more half an hour later, as autoscaling acts late.
func (w wired) strike(watch func()) {
	const step = 5 * time.Second
	machines := w.pool()
	say := func(state string) {
		for _, id := range machines {
			w.server.SetTargetHealth(region, id, state)
		}
	}
	say("unhealthy")
	for passed := time.Duration(0); passed < failover; passed += step {
		w.server.Advance(step)
		watch()
	}
	say("healthy")
	w.server.Advance(30 * time.Minute)
	watch()
}

// pool lists the machines of the API pool, sorted.
func (w wired) pool() []string {
	return slices.Sorted(maps.Keys(w.server.GroupInstances(region, "cincbake-prod-api")))
}

// A database that fails over makes every API node fail the deep check at once. The balancer may think of them what it likes: no
// machine is ended for it, none is marked, no refresh begins, and neither status nor apply sees anything to do.
func TestDatabaseFailoverEndsNoMachine(t *testing.T) {
	w := newWiredAtNoon(t)
	before, calls := w.pool(), len(w.server.Calls(""))
	w.strike(func() {
		status, err := w.operated.Status(t.Context())
		if err != nil || !status.Green() {
			t.Errorf("the groups' status: %v, %+v", err, status)
		}
		if changes := apply(t, w.Fleet); len(changes) > 0 {
			t.Errorf("apply finds something to do: %+v", changes)
		}
	})
	if diff := cmp.Diff(before, w.pool()); diff != "" {
		t.Errorf("machines (-before +after):\n%s", diff)
	}
	if made := w.changes(calls); len(made) > 0 {
		t.Errorf("somebody changed something: %v", made)
	}
	if n := w.refreshes(t); n > 0 {
		t.Errorf("%d refreshes began", n)
	}
	if ended := w.endings(t); len(ended) > 0 {
		t.Errorf("the group ended something: %q", ended)
	}
}

// Had the group gone by the balancer's health, all of the pool would have been lost: so the test above can fail. Applying again
// takes such a group back.
func TestDatabaseFailoverWithTheBalancersHealth(t *testing.T) {
	w := newWiredAtNoon(t)
	client := w.anyone.AutoScaling.(*autoscaling.Client)
	if _, err := client.UpdateAutoScalingGroup(t.Context(), &autoscaling.UpdateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String("cincbake-prod-api"), HealthCheckType: aws.String("ELB"), HealthCheckGracePeriod: aws.Int32(60),
	}); err != nil {
		t.Fatal(err)
	}
	before := w.pool()
	w.strike(func() {})
	after := w.pool()
	if stayed := slices.DeleteFunc(slices.Clone(before), func(id string) bool { return !slices.Contains(after, id) }); len(stayed) > 0 {
		t.Errorf("of %v, %v are still there", before, stayed)
	}
	if ended := w.endings(t); len(ended) != len(before) {
		t.Errorf("the group ended %d machines, not %d: %q", len(ended), len(before), ended)
	}
	if changes := apply(t, w.Fleet); len(changes) != 1 || changes[0].Call != "autoscaling:UpdateAutoScalingGroup" {
		t.Fatalf("apply takes it back by %+v", changes)
	}
	before = w.pool()
	w.strike(func() {})
	if diff := cmp.Diff(before, w.pool()); diff != "" {
		t.Errorf("machines, with the group taken back (-before +after):\n%s", diff)
	}
}

// newWiredAtNoon is a managed cluster whose pool is in service and as large as it may be, on a clock that only Advance moves.
func newWiredAtNoon(t *testing.T) wired {
	t.Helper()
	noon := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	w := newWiredWith(t, cluster.Managed, fakeaws.Options{Boot: 30 * time.Second, Now: func() time.Time { return noon }})
	w.promote(1)
	apply(t, w.Fleet)
	group := w.Cluster.GroupName(w.Cluster.NodesOf(cluster.RoleAPI)[0])
	if _, err := w.anyone.AutoScaling.(*autoscaling.Client).SetDesiredCapacity(t.Context(), &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: &group, DesiredCapacity: count32(w.Cluster.API.Max)}); err != nil {
		t.Fatal(err)
	}
	w.server.Advance(10 * time.Minute)
	if machines := w.pool(); len(machines) != w.Cluster.API.Max {
		t.Fatalf("the pool has %v", machines)
	}
	return w
}

// refreshes counts those of the pool that ever began.
func (w wired) refreshes(t *testing.T) int {
	t.Helper()
	out, err := w.operated.AutoScaling.DescribeInstanceRefreshes(t.Context(), &autoscaling.DescribeInstanceRefreshesInput{AutoScalingGroupName: aws.String("cincbake-prod-api")})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.InstanceRefreshes)
}

// endings lists what the pool's group ever ended, with its reasons.
func (w wired) endings(t *testing.T) []string {
	t.Helper()
	var ended []string
	pages := autoscaling.NewDescribeScalingActivitiesPaginator(w.anyone.AutoScaling.(*autoscaling.Client), &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: aws.String("cincbake-prod-api")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.Activities {
			if description := aws.ToString(a.Description); strings.HasPrefix(description, "Terminating") {
				ended = append(ended, description+": "+aws.ToString(a.Cause))
			}
		}
	}
	return ended
}
