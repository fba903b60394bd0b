package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/step"
)

// Agent does what a machine's units ask of it.
type Agent struct {
	Host step.Host
	Out  io.Writer // the journal and the console
	// Platform tells what the node document leaves out; nil: it leaves out nothing.
	Platform Platform
}

// phase is one part of a boot.
type phase struct {
	name string
	run  func(*boot, context.Context) error
}

// phases is the whole of a boot, in order.
func phases() []phase {
	return []phase{
		// Who am I? The two files of the seed, checked against each other and against the image.
		{"identity", (*boot).identify},
		// Is the network what it should be? cloud-init does not stop when it could not set it up.
		{"network", (*boot).network},
		// From here on the operator hears where the boot stands, and why it goes no further.
		{"endpoint", (*boot).startEndpoint},
		// The data disk: found, formatted only if blank, refused if it is somebody else's. From here on peers hear what this
		// machine holds: none of them decides anything before that.
		{"disk", (*boot).disk},
		// Form, join, continue, or wait: the role's decision table.
		{"join", (*boot).join},
		// The role's files and programs.
		{"apply", (*boot).apply},
		// Until the machine does its work. Only then is it ready.
		{"ready", (*boot).awaitReady},
	}
}

// boot is one run of the phases and what they found out.
type boot struct {
	host     step.Host
	platform Platform // nil: none
	report   *reporter
	machine  Machine
	in       role.Inputs
}

// Boot wires the machine into its cluster. It is safe to run again at any time: what is as it should be is left alone.
func (a Agent) Boot(ctx context.Context) error {
	release, err := awaitLock(ctx, lockFile)
	if err != nil {
		return err
	}
	defer release()
	b := &boot{host: a.Host, platform: a.Platform, report: newReporter(a.Host, a.Out)}
	err = b.run(ctx)
	return errors.Join(err, b.report.finish(err))
}

func (b *boot) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // whatever says meanwhile that the boot goes on
	facts, err := gather(b.host)
	if err != nil {
		return err
	}
	b.in.Facts, b.report.status.BootID = facts, facts.BootID
	for _, p := range phases() {
		if err := b.report.begin(p.name); err != nil {
			return err
		}
		if err := p.run(b, ctx); err != nil {
			return err
		}
		if err := b.report.end(); err != nil {
			return err
		}
	}
	return b.announce(ctx)
}

func (b *boot) identify(ctx context.Context) error {
	machine, err := Agent{Host: b.host, Platform: b.platform}.load(ctx)
	if err != nil {
		return err
	}
	b.machine = machine
	b.in = machine.inputs(b.in.Facts)
	b.report.identify(machine)
	b.report.say("%s", machine.describe())
	if b.platform != nil {
		go b.stayAlive(ctx, machine)
	}
	return nil
}

func (b *boot) network(ctx context.Context) error {
	self, err := b.machine.discovery().Self(ctx)
	if err != nil {
		return err
	}
	if err := awaitAddress(ctx, self); err != nil {
		return err
	}
	facts, err := gather(b.host) // the addresses are there now
	b.in.Facts = facts
	return err
}

func (b *boot) startEndpoint(ctx context.Context) error {
	_, err := b.host.Run(ctx, step.Command{Argv: []string{"systemctl", "start", role.UnitAgent}})
	return err
}

// joinDeadline bounds one attempt to join. The unit starts another one: a machine waits for its peers as long as it takes.
const joinDeadline = 15 * time.Minute

// joinPause is about how long to wait before looking again.
const joinPause = 500 * time.Millisecond

func (b *boot) join(ctx context.Context) error {
	joiner := b.machine.Role.Joiner(b.host)
	if joiner == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, joinDeadline)
	defer cancel()
	for {
		if err := b.look(ctx); err != nil {
			return err
		}
		decision, err := joiner.Join(ctx, b.in)
		if err != nil {
			return err
		}
		switch decision.Verdict {
		case role.Proceed:
			b.in.Joined = decision
			b.report.say("join: %s: %s", decision.Row, decision.Reason)
			return b.report.resume()
		case role.Refuse:
			return &role.Refusal{Reason: decision.Reason, Hint: decision.Hint}
		}
		if err := b.wait(ctx, decision.Reason, decision.Hint); err != nil {
			return err
		}
	}
}

// look finds out again what this machine and its peers hold.
func (b *boot) look(ctx context.Context) error {
	var err error
	b.in, err = b.machine.look(ctx, b.host, b.in)
	return err
}

// wait says why the machine waits, and pauses. When the time is up, the reason is the error.
func (b *boot) wait(ctx context.Context, reason, hint string) error {
	if err := b.report.wait(reason, hint); err != nil {
		return err
	}
	if err := role.Pause(ctx, joinPause); err != nil {
		return fmt.Errorf("%s (%s): %w", reason, hint, err)
	}
	return nil
}

// apply brings about the role's plan. A step that must wait for other machines makes the plan start again later: what is
// done already is only looked at, but programs that have not read a changed file yet still do so, and if it is another attempt
// of the unit that lets them. What the join took hold of is given back at the end, and what is done ends when it is lost.
func (b *boot) apply(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, joinDeadline)
	defer cancel()
	if hold := b.in.Joined.Hold; hold != nil {
		guarded, release := hold.Guard(ctx)
		defer func() {
			kept := guarded.Err() == nil // otherwise what was killed may take a moment to end
			release()
			hold.Release(context.WithoutCancel(ctx), kept)
		}()
		ctx = guarded
	}
	run, err := step.Resume(b.host, role.UnreadFile)
	if err != nil {
		return err
	}
	for {
		plan, err := b.machine.Role.Boot(b.in)
		if err != nil {
			return err
		}
		_, err = plan.Continue(ctx, run, nil)
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var notYet *role.NotYet
		if !errors.As(err, &notYet) {
			if err == nil {
				err = errors.Join(run.Settle(), keepDecision(b.host, b.in.Joined))
			}
			return errors.Join(err, b.report.resume())
		}
		if err := b.wait(ctx, notYet.Reason, notYet.Hint); err != nil {
			return err
		}
		if err := b.look(ctx); err != nil {
			return err
		}
	}
}

// probePause is about how long to wait before a probe is tried again.
const probePause = 200 * time.Millisecond

// awaitReady goes through the role's probes in order until each has held once.
func (b *boot) awaitReady(ctx context.Context) error {
	for i := range b.machine.Role.Ready(b.in) {
		if err := b.awaitProbe(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (b *boot) awaitProbe(ctx context.Context, number int) error {
	ctx, cancel := context.WithTimeout(ctx, b.machine.Role.Ready(b.in)[number].Deadline)
	defer cancel()
	for {
		probe := b.machine.Role.Ready(b.in)[number] // made anew: its words depend on what the peers say
		err := probe.Run(ctx, b.host)
		if err == nil {
			return b.report.resume()
		}
		var refusal *role.Refusal
		if errors.As(err, &refusal) {
			return err
		}
		reason, hint := probe.Title+": "+err.Error(), probe.Hint
		var notYet *role.NotYet
		if errors.As(err, &notYet) {
			reason, hint = notYet.Reason, notYet.Hint
		}
		if err := b.report.wait(reason, hint); err != nil {
			return err
		}
		if err := role.Pause(ctx, probePause); err != nil {
			return fmt.Errorf("%s (%s): %w", reason, hint, err)
		}
		if notYet != nil { // it waits for peers: what they hold may have changed
			if err := b.look(ctx); err != nil {
				return err
			}
		}
	}
}
