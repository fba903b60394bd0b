package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/cinc"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// refreshDeadline bounds a refresh: whatever it waits for, the next one is soon.
const refreshDeadline = 2 * time.Minute

// Refresh brings a ready machine's files up to what is true now, and lets programs read again what changed, and that alone.
// Whatever needs others is a boot's: it joins nothing, waits for nothing, starts nothing that is down, and configures no
// Cinc Server.
func (a Agent) Refresh(ctx context.Context) error {
	release, err := tryLock(lockFile)
	if errors.Is(err, errBusy) {
		newReporter(a.Host, a.Out).say("no refresh: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer release()
	facts, err := gather(a.Host)
	if err != nil {
		return err
	}
	return a.refresh(ctx, facts)
}

// refresh is Refresh with the lock in hand.
func (a Agent) refresh(ctx context.Context, facts cluster.Facts) error {
	out := newReporter(a.Host, a.Out)
	status, err := ReadStatus(a.Host, facts.BootID)
	if err != nil {
		return err
	}
	if status.Result != cluster.ResultReady {
		out.say("no refresh: this machine is %s in phase %s", status.Result, status.Phase)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, refreshDeadline)
	defer cancel()
	failure := errors.Join(growDisk(ctx, a.Host), a.bringUpToDate(ctx, facts, out))
	return errors.Join(failure, noteRefresh(a.Host, status, failure))
}

// noteRefresh tells in the status why the refresh failed. The result of the boot stays, and so does its time: whoever waits
// for a boot waits for another time than it had before.
func noteRefresh(files step.Files, status cluster.Status, failure error) error {
	why := ""
	if failure != nil {
		why = failure.Error()
	}
	if why == status.Refresh {
		return nil
	}
	status.Refresh = why
	return writeStatus(files, status)
}

func (a Agent) bringUpToDate(ctx context.Context, facts cluster.Facts, out *reporter) error {
	machine, err := a.load(ctx)
	if err != nil {
		return err
	}
	in := machine.inputs(facts)
	if in.Joined, err = keptDecision(a.Host); err != nil {
		return err
	}
	if in, err = machine.look(ctx, a.Host, in); err != nil {
		return err
	}
	if err := configuredStill(a.Host, in); err != nil {
		return err
	}
	plan, err := machine.Role.Boot(in)
	if err != nil {
		return err
	}
	run, err := step.Resume(a.Host, role.UnreadFile)
	if err != nil {
		return err
	}
	return (&refresh{run: run, say: out.say}).apply(ctx, plan)
}

// configuredStill refuses to touch a Cinc Server that would have to be configured anew: API nodes do so one at a time, under
// a lock that a boot takes.
func configuredStill(files step.Files, in role.Inputs) error {
	if in.Self.Role != cluster.RoleAPI && in.Self.Role != cluster.RoleStandalone {
		return nil
	}
	if same, err := cinc.Configured(files, in); same || err != nil {
		return err
	}
	return errors.New("the settings of Cinc Server are new, and only a boot configures it: systemctl restart " + role.UnitBoot)
}

// refresh is one application of a plan to a machine that is through.
type refresh struct {
	run  *step.Run
	say  func(string, ...any)
	down []string // units that should run, and do not
}

// apply goes through the steps that concern this machine alone. It stops at the first that fails: what comes after may rest
// on it, such as a reload on a configuration that its program refuses.
func (r *refresh) apply(ctx context.Context, plan step.Plan) error {
	for _, s := range plan {
		if !local(s.Action) {
			continue
		}
		done, err := s.Action.Check(ctx, r.run)
		if err == nil && !done {
			var idle bool
			if idle, err = r.idle(ctx, s.Action); err == nil && !idle {
				err = r.do(ctx, s)
			}
		}
		if err != nil {
			return &step.Error{Step: s, Err: err}
		}
	}
	if err := r.run.Settle(); err != nil { // what is down reads everything when it starts
		return err
	}
	if len(r.down) > 0 {
		return fmt.Errorf("not running: %s", strings.Join(r.down, ", "))
	}
	return nil
}

// idle tells whether an action is about a unit that does not run, and notes it down if it should.
func (r *refresh) idle(ctx context.Context, action step.Action) (bool, error) {
	unit, ok := action.(step.Unit)
	if !ok || unit.State != step.Started {
		return false, nil
	}
	if runs, err := active(ctx, r.run, unit.Name); runs || err != nil {
		return false, err
	}
	kept, err := keptAway(ctx, r.run, unit.Name)
	if !kept {
		r.down = append(r.down, unit.Name)
	}
	return true, err
}

func (r *refresh) do(ctx context.Context, s step.Step) error {
	r.say("refresh: %s", s.Title)
	return s.Action.Apply(ctx, r.run)
}

// local tells whether an action changes files and programs of this machine only, which is what the step package's own do.
// The roles' own actions wait for others, or change what is shared: two machines of different age would undo each other's
// change every minute.
func local(action step.Action) bool {
	switch action.(type) {
	case step.File, step.Directory, step.Symlink, step.Absent, step.Exec, step.Unit:
		return true
	}
	return false
}

// active tells whether a unit runs. What is down stays down: systemd starts it again, or a boot, which looks first whether
// its data is what it should be.
func active(ctx context.Context, host step.Runner, unit string) (bool, error) {
	_, err := host.Run(ctx, step.Command{Argv: []string{"systemctl", "is-active", "--quiet", unit}})
	if step.ExitStatus(err) > 0 {
		return false, nil
	}
	return err == nil, err
}

// keptAway tells whether systemd keeps a unit from this machine, since it does not meet the unit's conditions: chrony's from
// a container, whose clock is its host's.
func keptAway(ctx context.Context, host step.Runner, unit string) (bool, error) {
	out, err := host.Run(ctx, step.Command{Argv: []string{"systemd-analyze", "condition", "--unit=" + unit}})
	if step.ExitStatus(err) > 0 {
		return strings.Contains(string(out.Stdout)+string(out.Stderr), "Conditions failed"), nil
	}
	return false, err
}
