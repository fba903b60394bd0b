package step

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Plan is an ordered list of steps. It is a pure value: nothing happens before Apply.
type Plan []Step

// Step is one thing to bring about, and why.
type Step struct {
	Title  string
	Reason string
	Action Action
}

// Action is what a step does. Check and Apply together are idempotent: after Apply, Check says done.
type Action interface {
	// Check tells whether the host already is as it should be. It changes nothing.
	Check(ctx context.Context, run *Run) (done bool, err error)
	// Apply makes it so.
	Apply(ctx context.Context, run *Run) error
	// String says in one line, without a secret, what Apply does.
	fmt.Stringer
}

// Event is what an observer hears of each step.
type Event struct {
	Step    Step
	Number  int // from 1
	Of      int
	Changed bool // false: it was already so
	Took    time.Duration
	Err     error
}

// Observer hears of each step after it ended. It may be nil.
type Observer func(Event)

// Error is a step that failed. It names the step and its reason, and holds what went wrong.
type Error struct {
	Step Step
	Err  error
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s (%s): %v", e.Step.Title, e.Step.Reason, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Apply brings about every step in order and stops at the first that fails. It returns how many steps changed something.
func (p Plan) Apply(ctx context.Context, host Host, observe Observer) (changed int, err error) {
	return p.Continue(ctx, NewRun(host), observe)
}

// Continue is Apply in a run that has begun.
func (p Plan) Continue(ctx context.Context, run *Run, observe Observer) (changed int, err error) {
	for i, s := range p {
		event := Event{Step: s, Number: i + 1, Of: len(p)}
		started := time.Now()
		event.Changed, event.Err = s.apply(ctx, run)
		event.Took = time.Since(started)
		if observe != nil {
			observe(event)
		}
		if event.Err != nil {
			return changed, &Error{Step: s, Err: event.Err}
		}
		if event.Changed {
			changed++
		}
	}
	return changed, nil
}

func (s Step) apply(ctx context.Context, run *Run) (changed bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	done, err := s.Action.Check(ctx, run)
	if err != nil {
		return false, fmt.Errorf("looking at the present state: %w", err)
	}
	if done {
		return false, nil
	}
	return true, s.Action.Apply(ctx, run)
}

// Describe writes the plan as a person reads it: number, title, reason and what each step does.
func (p Plan) Describe() string {
	var b strings.Builder
	for i, s := range p {
		fmt.Fprintf(&b, "%2d. %s\n    why: %s\n    does: %s\n", i+1, s.Title, s.Reason, s.Action)
	}
	return b.String()
}
