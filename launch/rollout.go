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

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/operate"
	"github.com/cincbake/cincbake/roles/role"
)

// Agents are what the cluster's machines say of themselves, and what they do when an operator asks.
type Agents interface {
	Status(context.Context) []operate.NodeStatus
	WaitWhole(ctx context.Context, within time.Duration) error
	Switchover(ctx context.Context, to string) (operate.Handover, error)
}

var _ Agents = operate.Client{}

// Rollout replaces the machines that are not from the version that their group uses. Slots come one at a time, each only while
// nothing is missing, in the order of operate.NextTurn; the API pool comes by an instance refresh. It ends with the first
// failure: then one machine is new or away, and all others are as they were. Another one goes on from there.
type Rollout struct {
	Fleet *Fleet
	// Roles are the tiers that are concerned; none: all.
	Roles []cluster.Role
	// Agents returns the machines of a cluster whose addresses are known. Nil: nobody can be asked, and then only the API pool
	// may be refreshed.
	Agents func(*cluster.Resolved) Agents
	// Within bounds the wait for each machine.
	Within time.Duration
	// Rest is how long the refresh of the pool rests after its first machine; 0: a minute.
	Rest time.Duration
	// Downtime allows to replace a machine that is the only one of its role.
	Downtime bool
	// Broken lets machines go first that are not ready and to be replaced anyway, though something is missing then. It is for
	// the way back from an image that does not work.
	Broken bool
}

// Turn is a machine or a pool that a rollout replaces.
type Turn struct {
	Group    string              `json:"group"`
	Role     cluster.Role        `json:"role"`
	Node     string              `json:"node,omitempty"`    // empty: the API pool
	Outdated []string            `json:"instances"`         // ids
	Version  int64               `json:"version"`           // that they will be of
	Prepare  operate.Preparation `json:"prepare,omitempty"` // as things are now
}

// Plan returns what is replaced, in the order of the moment: leaders may move meanwhile. It refuses what would take a tier
// away.
func (r Rollout) Plan(ctx context.Context) ([]Turn, error) {
	state, err := r.Fleet.Read(ctx)
	if err != nil {
		return nil, err
	}
	outdated := r.outdated(state)
	if err := r.refuse(state, outdated); err != nil {
		return nil, err
	}
	var turns []Turn
	if names := slotsOf(outdated); len(names) > 0 {
		agents, err := r.agents(ctx, state)
		if err != nil {
			return nil, err
		}
		all := slotsOnly(agents.Status(ctx))
		done := notConcerned(all, outdated)
		for {
			next, ok := operate.NextTurn(all, done)
			if !ok {
				break
			}
			done[next.Node.Name] = true
			turns = append(turns, turnOf(outdated[next.Node.Name], next.Prepare))
		}
	}
	if pool, ok := outdated[""]; ok {
		turns = append(turns, turnOf(pool, operate.PrepareNothing))
	}
	return turns, nil
}

func turnOf(g Group, prepare operate.Preparation) Turn {
	t := Turn{Group: g.Name, Role: g.Role, Node: g.Node, Version: g.Version, Prepare: prepare}
	for _, i := range g.Outdated() {
		t.Outdated = append(t.Outdated, i.ID)
	}
	return t
}

// outdated returns the groups that are concerned and have machines of other versions, by node; the pool's is "".
func (r Rollout) outdated(s State) map[string]Group {
	found := map[string]Group{}
	for _, g := range s.Groups {
		if (len(r.Roles) == 0 || slices.Contains(r.Roles, g.Role)) && len(g.Outdated()) > 0 {
			found[g.Node] = g
		}
	}
	return found
}

// slotsOf lists the nodes that are slots, sorted.
func slotsOf(groups map[string]Group) []string {
	var names []string
	for node := range groups {
		if node != "" {
			names = append(names, node)
		}
	}
	slices.Sort(names)
	return names
}

// refuse protects the only machine of a role, and groups that do not use an exact version.
func (r Rollout) refuse(s State, outdated map[string]Group) error {
	count := map[cluster.Role]int{}
	for _, g := range s.Groups {
		count[g.Role]++
	}
	var why []string
	for _, node := range append(slotsOf(outdated), "") {
		g, ok := outdated[node]
		switch {
		case !ok:
		case g.Version == 0:
			why = append(why, fmt.Sprintf("the group %s does not use one exact version of its launch template: run cincbake launch apply first", g.Name))
		case node != "" && g.Role != cluster.RoleHeartbeat && count[g.Role] == 1 && !r.Downtime:
			why = append(why, fmt.Sprintf("%s is the only %s machine, so replacing it takes its service away for minutes: leave its role out, or allow it with --downtime", node, g.Role))
		}
	}
	if len(why) > 0 {
		return exit.Errorf(exit.Unsafe, "%s", strings.Join(why, "\n"))
	}
	return nil
}

func (r Rollout) agents(ctx context.Context, s State) (Agents, error) {
	if r.Agents == nil {
		return nil, exit.Errorf(exit.Missing, "slots are replaced only while their machines say that nothing is missing, and nobody can be asked without the cluster's secrets: run it where the bundle is, or name the role api alone")
	}
	located, err := r.Fleet.Locate(ctx, s)
	if err != nil {
		return nil, err
	}
	return r.Agents(located), nil
}

// notConcerned marks the machines whose turn never comes.
func notConcerned(all []operate.NodeStatus, outdated map[string]Group) map[string]bool {
	done := map[string]bool{}
	for _, s := range all {
		if _, ok := outdated[s.Node.Name]; !ok {
			done[s.Node.Name] = true
		}
	}
	return done
}

// Run replaces them all.
func (r Rollout) Run(ctx context.Context) error {
	if _, err := r.Plan(ctx); err != nil {
		return err
	}
	for {
		again, err := r.nextSlot(ctx)
		if err != nil {
			return err
		}
		if !again {
			break
		}
	}
	return r.refreshPool(ctx)
}

// nextSlot replaces the slot whose turn it is; again is false when there was none.
func (r Rollout) nextSlot(ctx context.Context) (again bool, err error) {
	state, err := r.Fleet.Read(ctx)
	if err != nil {
		return false, err
	}
	outdated := r.outdated(state)
	if len(slotsOf(outdated)) == 0 {
		return false, nil
	}
	agents, err := r.agents(ctx, state)
	if err != nil {
		return false, err
	}
	if r.Broken {
		all := agents.Status(ctx)
		node, err := brokenSlot(all, outdated)
		if err != nil {
			return false, err
		}
		if node != "" {
			return true, r.replace(ctx, outdated[node], agents, moreBroken(all, node, outdated))
		}
	}
	if err := agents.WaitWhole(ctx, r.Within); err != nil {
		return false, fmt.Errorf("no machine is replaced while something is missing: %w", err)
	}
	all := slotsOnly(agents.Status(ctx))
	turn, ok := operate.NextTurn(all, notConcerned(all, outdated))
	if !ok {
		return false, nil
	}
	if turn.Prepare == operate.PrepareSwitchover && len(state.roleGroups(turn.Node.Role)) > 1 {
		r.Fleet.say(turn.Node.Name, "hands over to a standby")
		if _, err := agents.Switchover(ctx, ""); err != nil {
			return false, fmt.Errorf("%s is as it was: %w", turn.Node.Name, err)
		}
		return true, nil // it is somebody else's turn, perhaps
	}
	return true, r.replace(ctx, outdated[turn.Node.Name], agents, false)
}

// roleGroups are the groups of a role.
func (s State) roleGroups(of cluster.Role) []Group {
	var groups []Group
	for _, g := range s.Groups {
		if g.Role == of {
			groups = append(groups, g)
		}
	}
	return groups
}

// slotsOnly leaves out what has no slot.
func slotsOnly(all []operate.NodeStatus) []operate.NodeStatus {
	return slices.DeleteFunc(slices.Clone(all), func(s operate.NodeStatus) bool { return s.Node.Slot == 0 })
}

// ready tells whether a machine says that it is.
func ready(s operate.NodeStatus) bool { return s.Answered() && s.Status.Result == cluster.ResultReady }

// brokenSlot returns a slot that is not ready and is to be replaced anyway; none is "". A database node that does not answer
// may be the primary: it is given up only when another one says that it is.
func brokenSlot(all []operate.NodeStatus, outdated map[string]Group) (string, error) {
	led := slices.ContainsFunc(all, operate.NodeStatus.Primary)
	for _, s := range all {
		if _, ok := outdated[s.Node.Name]; !ok || ready(s) || s.Node.Slot == 0 {
			continue
		}
		if s.Node.Role == cluster.RolePostgres && !led {
			return "", exit.Errorf(exit.Unsafe, "%s is not ready, and no database node says that it is primary: whichever holds the newest data must not be replaced; see cincbake status and cincbake doctor", s.Node.Name)
		}
		return s.Node.Name, nil
	}
	return "", nil
}

// moreBroken tells whether more than this one machine is broken and to be replaced: then nobody can wait for the whole
// cluster yet.
func moreBroken(all []operate.NodeStatus, node string, outdated map[string]Group) bool {
	return slices.ContainsFunc(all, func(s operate.NodeStatus) bool {
		_, ok := outdated[s.Node.Name]
		return ok && s.Node.Name != node && !ready(s)
	})
}

// replace ends a slot's machine, and waits for the next one and, unless more are broken, until nothing is missing.
func (r Rollout) replace(ctx context.Context, g Group, agents Agents, more bool) error {
	began, why := time.Now(), r.Fleet.failures(ctx, g.Name)
	for _, old := range g.Outdated() {
		_, err := r.Fleet.AutoScaling.TerminateInstanceInAutoScalingGroup(ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{
			InstanceId: aws.String(old.ID), ShouldDecrementDesiredCapacity: aws.Bool(false),
		})
		if err != nil {
			return fmt.Errorf("%s is as it was: end %s: %w", g.Node, old.ID, err)
		}
		r.Fleet.say(g.Node, fmt.Sprintf("%s goes; the next one is of version %d", old.ID, g.Version))
	}
	if err := r.inService(ctx, g, why); err != nil {
		return r.failed(g, err)
	}
	if !more {
		if err := agents.WaitWhole(ctx, r.Within); err != nil {
			return r.failed(g, err)
		}
	}
	r.Fleet.say(g.Node, fmt.Sprintf("replaced in %.0f s", time.Since(began).Seconds()))
	return nil
}

// failed says how to go back.
func (r Rollout) failed(g Group, err error) error {
	return fmt.Errorf("after a machine of %s was replaced by one of version %d: %w\nthe others are as they were. To go back: cincbake launch rollback %s", g.Name, g.Version, err, g.Role)
}

// inService waits until every machine of a group is one of its version and in service.
func (r Rollout) inService(ctx context.Context, g Group, why func(context.Context) string) error {
	return r.Fleet.await(ctx, r.Within, func(ctx context.Context) (lacks string, err error) {
		now, err := r.Fleet.group(ctx, g.Name)
		if err != nil {
			return "", err
		}
		for _, i := range now.Instances {
			if i.Version != g.Version || !i.serves() {
				return strings.TrimSpace(fmt.Sprintf("%s is %s %s", i.ID, i.State, why(ctx))), nil
			}
		}
		if len(now.Instances) < now.Min {
			return strings.TrimSpace("no machine was launched yet " + why(ctx)), nil
		}
		return "", nil
	})
}

// group returns a group as it is now, all but its hook.
func (f *Fleet) group(ctx context.Context, name string) (Group, error) {
	out, err := f.AutoScaling.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{name}})
	if err != nil {
		return Group{}, err
	}
	if len(out.AutoScalingGroups) != 1 {
		return Group{}, fmt.Errorf("the group %s is gone", name)
	}
	return groupOf(out.AutoScalingGroups[0]), nil
}

// await asks until nothing is lacking, and says what is when that takes longer than within.
func (f *Fleet) await(ctx context.Context, within time.Duration, ask func(context.Context) (lacks string, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	last := "nobody was asked yet"
	for {
		lacks, err := ask(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			return err
		case err == nil && lacks == "":
			return nil
		case err == nil:
			last = lacks
		}
		if err := role.Pause(ctx, f.poll()); err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			return exit.Errorf(exit.TimedOut, "not done after %v: %s", within, cmp.Or(lacks, last))
		}
	}
}
