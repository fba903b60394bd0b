package launch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
)

// defaultRest is how long a refresh rests after its first machine, when that has settled. Meanwhile the whole cluster is looked at.
const defaultRest = time.Minute

// refreshPreferences say how a pool is refreshed: one machine first, and then, if all is well with it, the others. The new
// one comes before the old one goes, as long as the database has room for one more than there are; a full pool does without
// one of its machines meanwhile.
func refreshPreferences(pool Group, rest time.Duration) *types.RefreshPreferences {
	const whole = 100
	desired := pool.Desired
	p := &types.RefreshPreferences{
		SkipMatching:         aws.Bool(true),
		MinHealthyPercentage: aws.Int32(whole),
		MaxHealthyPercentage: count32(whole + (whole+desired-1)/max(desired, 1)), // one more
		InstanceWarmup:       count32(int(pool.settling().Seconds())),            // in service it is ready, by its hook
		CheckpointDelay:      count32(int(rest.Seconds())),
	}
	if pool.full() {
		p.MinHealthyPercentage, p.MaxHealthyPercentage = count32(whole*(desired-1)/max(desired, 1)), aws.Int32(whole)
	}
	if most := whole * 2; int(*p.MaxHealthyPercentage) > most { // AWS's own limit
		p.MaxHealthyPercentage = count32(most)
	}
	if desired > 1 {
		p.CheckpointPercentages = []int32{*count32(oneOf(desired)), whole}
	}
	return p
}

// oneOf is the percentage that the first of so many machines comes to. It is rounded down, as AWS tells it, and goes on only
// above it: the percentage of a checkpoint is the least that must be new.
func oneOf(machines int) int { return max(100/max(machines, 1), 1) }

// full tells whether the pool may not have one machine more.
func (g Group) full() bool { return g.Desired >= g.Max }

func (r Rollout) rest() time.Duration { return cmp.Or(r.Rest, defaultRest) }

// ended tells whether a refresh is over.
func ended(status types.InstanceRefreshStatus) bool {
	switch status {
	case types.InstanceRefreshStatusSuccessful, types.InstanceRefreshStatusFailed, types.InstanceRefreshStatusCancelled,
		types.InstanceRefreshStatusRollbackFailed, types.InstanceRefreshStatusRollbackSuccessful:
		return true
	}
	return false
}

// refresh returns the newest refresh of a group; nil: there was none.
func (f *Fleet) refresh(ctx context.Context, group string) (*types.InstanceRefresh, error) {
	out, err := f.AutoScaling.DescribeInstanceRefreshes(ctx, &autoscaling.DescribeInstanceRefreshesInput{AutoScalingGroupName: aws.String(group), MaxRecords: aws.Int32(1)})
	if err != nil {
		return nil, fmt.Errorf("%s: look for a refresh: %w", group, err)
	}
	if len(out.InstanceRefreshes) == 0 {
		return nil, nil
	}
	return &out.InstanceRefreshes[0], nil
}

// underway returns the refresh of a group that has not ended; nil: there is none.
func (f *Fleet) underway(ctx context.Context, group string) (*types.InstanceRefresh, error) {
	refresh, err := f.refresh(ctx, group)
	if err != nil || refresh == nil || ended(refresh.Status) {
		return nil, err
	}
	return refresh, nil
}

// refreshPool refreshes the API pool, if machines of it are outdated, and waits for the end. One that is under way already is
// taken over.
func (r Rollout) refreshPool(ctx context.Context) error {
	state, err := r.Fleet.Read(ctx)
	if err != nil {
		return err
	}
	pool, ok := r.outdated(state)[""]
	if !ok {
		return nil
	}
	running, err := r.Fleet.underway(ctx, pool.Name)
	if err != nil {
		return err
	}
	began, why := time.Now(), r.Fleet.failures(ctx, pool.Name)
	if running == nil {
		_, err := r.Fleet.AutoScaling.StartInstanceRefresh(ctx, &autoscaling.StartInstanceRefreshInput{
			AutoScalingGroupName: aws.String(pool.Name), Strategy: types.RefreshStrategyRolling, Preferences: refreshPreferences(pool, r.rest()),
		})
		var already *types.InstanceRefreshInProgressFault // the answer to an earlier try was lost
		if err != nil && !errors.As(err, &already) {
			return fmt.Errorf("%s is as it was: start the refresh: %w", pool.Name, err)
		}
		r.Fleet.say(pool.Name, fmt.Sprintf("refresh to version %d began", pool.Version))
	} else {
		r.Fleet.say(pool.Name, fmt.Sprintf("a refresh is under way, %d%%", aws.ToInt32(running.PercentageComplete)))
	}
	if err := r.follow(ctx, pool, why); err != nil {
		return r.failed(pool, errors.Join(err, r.stop(ctx, pool.Name)))
	}
	r.Fleet.say(pool.Name, fmt.Sprintf("refreshed in %.0f s", time.Since(began).Seconds()))
	return nil
}

// follow waits until a refresh is over, as long as it gets on: each machine has Within to be in service, besides the time that
// the balancer takes for it and for the one that goes, and the rest. When the first counts, it looks at the whole cluster.
func (r Rollout) follow(ctx context.Context, pool Group, why func(context.Context) string) error {
	var told int32 = -1
	moved, patience := time.Now(), r.Within
	if pool.full() {
		patience += pool.settling() // an old machine goes first
	}
	looked, served, first := false, len(pool.fresh()), *count32(oneOf(pool.Desired))
	within := (r.Within+2*pool.settling())*time.Duration(max(len(pool.Instances), 1)) + 2*r.rest()
	return r.Fleet.await(ctx, within, func(ctx context.Context) (string, error) {
		refresh, err := r.Fleet.refresh(ctx, pool.Name)
		if err != nil {
			return "", err
		}
		if refresh == nil {
			return "the refresh is not to be seen yet", nil
		}
		done, reason := aws.ToInt32(refresh.PercentageComplete), strings.TrimSpace(aws.ToString(refresh.StatusReason)+" "+why(ctx))
		switch {
		case refresh.Status == types.InstanceRefreshStatusSuccessful:
			return "", nil
		case ended(refresh.Status):
			return "", fmt.Errorf("the refresh is %s at %d%%: %s", refresh.Status, done, reason)
		}
		now, err := r.Fleet.group(ctx, pool.Name)
		if err != nil {
			return "", err
		}
		if serving := len(now.fresh()); serving > served || done > max(told, 0) {
			served, moved = max(serving, served), time.Now()
			patience = r.Within + 2*pool.settling() + r.rest() // which may begin now
		}
		if done != told {
			told = done
			r.Fleet.say(pool.Name, fmt.Sprintf("%d%% refreshed", done))
		}
		if time.Since(moved) > patience {
			return "", exit.Errorf(exit.TimedOut, "no machine got ready within %v: the refresh is %s at %d%%: %s", patience, refresh.Status, done, reason)
		}
		if !looked && done >= first && done < 100 {
			if looked, err = r.look(ctx, pool.Name); err != nil {
				return "", fmt.Errorf("with the first new machine: %w", err)
			}
		}
		return fmt.Sprintf("the refresh is %s at %d%%: %s", refresh.Status, done, reason), nil
	})
}

// look looks at the cluster while a refresh rests, as it is now: with a new machine, by the balancer's word and by the machines'
// own, and without what boots or goes. It has not looked if no new machine is to be seen yet.
func (r Rollout) look(ctx context.Context, name string) (looked bool, err error) {
	state, err := r.Fleet.Read(ctx)
	if err != nil {
		return false, err
	}
	pool := state.Groups[name]
	fresh := pool.fresh()
	pool.Instances = slices.DeleteFunc(pool.Instances, func(i Instance) bool { return !i.serves() })
	state.Groups[name] = pool
	located, err := r.Fleet.Locate(ctx, state)
	if err != nil {
		return false, err
	}
	known := func(i Instance) bool {
		return slices.ContainsFunc(located.Nodes, func(n cluster.Node) bool { return strings.HasSuffix(n.Name, "/"+i.ID) })
	}
	if !slices.ContainsFunc(fresh, known) {
		return false, nil
	}
	limit := time.Now().Add(r.rest() * 3 / 4)
	if err := r.Fleet.balanced(ctx, pool, fresh, time.Until(limit)); err != nil || r.Agents == nil {
		return true, err
	}
	return true, r.Agents(located).WaitWhole(ctx, time.Until(limit))
}

// stop ends a refresh that is under way. Machines that it replaced stay. One that is not ready stays too, for somebody to look
// at, and holds up the refresh's end until its hook gives it up (poolTimeout) or a Rollback does: that is not waited for.
func (r Rollout) stop(ctx context.Context, group string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Within)
	defer cancel()
	if err := r.cancel(ctx, group); err != nil {
		return err
	}
	state, err := r.Fleet.Read(ctx)
	if err != nil {
		return err
	}
	waits := false
	for _, i := range state.Groups[group].Instances {
		if i.coming() {
			waits = true
			r.Fleet.say(group, fmt.Sprintf("%s of version %d is not ready; it stays until its hook gives it up, or a rollback does", i.ID, i.Version))
		}
	}
	if waits {
		return nil
	}
	return r.over(ctx, group)
}

// cancel lets a refresh that is under way begin nothing more.
func (r Rollout) cancel(ctx context.Context, group string) error {
	running, err := r.Fleet.underway(ctx, group)
	if err != nil || running == nil {
		return err
	}
	_, err = r.Fleet.AutoScaling.CancelInstanceRefresh(ctx, &autoscaling.CancelInstanceRefreshInput{AutoScalingGroupName: aws.String(group)})
	var none *types.ActiveInstanceRefreshNotFoundFault
	if err != nil && !errors.As(err, &none) {
		return fmt.Errorf("stop the refresh of %s: %w", group, err)
	}
	r.Fleet.say(group, "the refresh is being stopped")
	return nil
}

// over waits until no refresh is under way.
func (r Rollout) over(ctx context.Context, group string) error {
	return r.Fleet.await(ctx, r.Within, func(ctx context.Context) (string, error) {
		running, err := r.Fleet.underway(ctx, group)
		if err != nil || running == nil {
			return "", err
		}
		return "the refresh is " + string(running.Status), nil
	})
}

// Rollback makes groups use an earlier version again, and replaces the machines of others.
type Rollback struct {
	Rollout // Roles must not be empty
	// To is the version to go back to, and Image what the newest such version boots from; neither: what each group's machines
	// run, or ran before the newest version was made.
	To    int64
	Image string
}

// Step is a group that a rollback changes.
type Step struct {
	Group string       `json:"group"`
	Role  cluster.Role `json:"role"`
	From  int64        `json:"from"`
	To    int64        `json:"to"`
	Image string       `json:"image"` // of To

	group Group
}

// Plan returns which groups go back and where to. A group that uses the version already has no step, but its machines
// may have to be replaced still.
func (r Rollback) Plan(ctx context.Context) ([]Step, error) {
	if len(r.Roles) == 0 {
		return nil, exit.Errorf(exit.Invalid, "name the roles that go back: not all of them were changed together")
	}
	state, err := r.Fleet.Read(ctx)
	if err != nil {
		return nil, err
	}
	var steps []Step
	var images []string // of To, with their groups
	distinct := map[string]bool{}
	for _, node := range r.Fleet.Cluster.Nodes {
		name := r.Fleet.Cluster.GroupName(node)
		g, ok := state.Groups[name]
		if !ok || !slices.Contains(r.Roles, g.Role) {
			continue
		}
		template := state.Templates[name]
		to, err := r.target(g, template)
		if err != nil {
			return nil, err
		}
		version, ok := template.version(to)
		if !ok {
			return nil, exit.Errorf(exit.Missing, "%s has no version %d any more: promote an older image, and apply", name, to)
		}
		distinct[version.Fields["image"]] = true
		images = append(images, name+" "+version.Fields["image"])
		if to != g.Version {
			steps = append(steps, Step{name, g.Role, g.Version, to, version.Fields["image"], g})
		}
	}
	if r.To != 0 && len(distinct) > 1 { // every template counts for itself
		return nil, exit.Errorf(exit.Unsafe, "version %d is not of the same image everywhere: %s; name the image in its place, with --to ami-…", r.To, strings.Join(images, ", "))
	}
	return steps, nil
}

// target is the version that a group goes back to.
func (r Rollback) target(g Group, t LaunchTemplate) (int64, error) {
	if r.To != 0 {
		return r.To, nil
	}
	if r.Image != "" {
		for _, v := range t.Versions {
			if v.Fields["image"] == r.Image {
				return v.Number, nil
			}
		}
		return 0, exit.Errorf(exit.Missing, "%s has no version with %s: promote that image, and apply", g.Name, r.Image)
	}
	if version := g.wayBack(t); version != 0 {
		return version, nil
	}
	return 0, exit.Errorf(exit.Missing, "%s uses version %d, and nothing says where the way back leads: name the version or its image with --to", g.Name, g.Version)
}

// wayBack is the version that a group goes back to by itself; 0: nothing says which. It is the one that most of its machines run
// besides the newest, to which apply moved the group: they are in service and need not be replaced. Only where there is none, it
// is what they ran before the newest was made. A group that uses an older version than the newest was brought back to it, as apply
// never does so (LaunchTemplate.find): a rollback that was cut off, or made twice, goes back once.
func (g Group) wayBack(t LaunchTemplate) int64 {
	newest := t.newest()
	switch {
	case g.Version == 0 || g.Version < newest.Number:
		return g.Version
	case g.Version == newest.Number:
		return cmp.Or(g.runs(g.Version), newest.After)
	}
	return g.runs(g.Version) // somebody else's version
}

// Run takes the steps that Plan returned, and replaces the machines of other versions: first those that do not work.
func (r Rollback) Run(ctx context.Context, steps []Step) error {
	for _, step := range steps {
		if step.group.Node == "" {
			if err := r.cancel(ctx, step.Group); err != nil {
				return err
			}
		}
		_, err := r.Fleet.AutoScaling.UpdateAutoScalingGroup(ctx, &autoscaling.UpdateAutoScalingGroupInput{
			AutoScalingGroupName: aws.String(step.Group), LaunchTemplate: use(step.group.Template, step.To),
		})
		if err != nil {
			return fmt.Errorf("make %s use version %d again: %w\nrun it again to go on from there", step.Group, step.To, err)
		}
		r.Fleet.say(step.Group, fmt.Sprintf("uses version %d again", step.To))
	}
	if err := r.giveUp(ctx); err != nil {
		return err
	}
	r.Broken = true
	return r.Rollout.Run(ctx)
}

// giveUp ends what the pool launched of other versions and what did not get ready yet, and waits until no refresh is under
// way, which such a machine holds up (stop). The group uses the earlier version by now, so that what it launches instead is
// of that.
func (r Rollback) giveUp(ctx context.Context) error {
	state, err := r.Fleet.Read(ctx)
	if err != nil {
		return err
	}
	for _, node := range r.Fleet.Cluster.Nodes {
		g, ok := state.Groups[r.Fleet.Cluster.GroupName(node)]
		if !ok || g.Node != "" || !slices.Contains(r.Roles, g.Role) {
			continue
		}
		for _, i := range g.Outdated() {
			if !i.coming() {
				continue
			}
			_, err := r.Fleet.AutoScaling.TerminateInstanceInAutoScalingGroup(ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{
				InstanceId: aws.String(i.ID), ShouldDecrementDesiredCapacity: aws.Bool(false),
			})
			if err != nil {
				return fmt.Errorf("%s: end %s, which is not ready: %w\nrun it again to go on from there", g.Name, i.ID, err)
			}
			r.Fleet.say(g.Name, fmt.Sprintf("%s of version %d goes: it is not ready", i.ID, i.Version))
		}
		if err := r.over(ctx, g.Name); err != nil {
			return fmt.Errorf("%s: %w", g.Name, err)
		}
	}
	return nil
}
