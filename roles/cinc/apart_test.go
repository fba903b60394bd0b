package cinc

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/step"
)

// Whatever ends the context ends all that runs apart, and is the error; and what an earlier agent left is ended first.
func TestRunApartEndsWithItsContext(t *testing.T) {
	why := errors.New("the lock was lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := make(chan struct{})
	stops := 0
	host := step.NewRecorder()
	host.Answer = func(c step.Command) (step.Output, error) {
		switch c.Argv[0] {
		case "systemctl":
			if stops++; stops == 2 {
				close(stopped)
			}
		case "systemd-run":
			if stops != 1 {
				t.Errorf("%d units were ended before this one began, want 1", stops)
			}
			cancel(why)
			<-stopped // as systemd-run --wait does
			return step.Output{}, &step.ExitError{Argv: c.Argv, Status: -1}
		}
		return step.Output{}, nil
	}
	_, err := runApart(ctx, step.NewRun(host), "reconfigure")
	if !errors.Is(err, why) {
		t.Errorf("got %v, want %v", err, why)
	}
	if last := strings.Join(host.Ran[len(host.Ran)-1].Argv, " "); last != "systemctl stop "+apartUnit {
		t.Errorf("the last command was %s", last)
	}
}

// An upgrade leaves the services down, whatever becomes of it. They are started all the same, also when it ended because the lock
// was lost, and it is tried again.
func TestUpgradeStartsTheServicesAgain(t *testing.T) {
	lost := errors.New("the lock was lost")
	broken := &step.ExitError{Argv: []string{Ctl, "upgrade"}, Status: 1}
	for name, test := range map[string]struct {
		upgrade func(cancel context.CancelCauseFunc) error
		want    error
		stops   int // of what runs apart: before each verb, and of an upgrade whose lock was lost
	}{
		"it succeeded":      {func(context.CancelCauseFunc) error { return nil }, nil, 2},
		"it failed":         {func(context.CancelCauseFunc) error { return broken }, broken, 2},
		"the lock was lost": {func(cancel context.CancelCauseFunc) error { cancel(lost); return broken }, lost, 3},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			host, down, stops := step.NewRecorder(), false, 0
			host.Answer = func(c step.Command) (step.Output, error) {
				switch c.Argv[len(c.Argv)-1] {
				case apartUnit:
					stops++
				case "upgrade":
					down = true
					return step.Output{}, test.upgrade(cancel)
				case "start":
					down = false
				}
				return step.Output{}, nil
			}
			if err := (upgrade{}).Apply(ctx, step.NewRun(host)); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if down || stops != test.stops {
				t.Errorf("the services are down: %v; what runs apart was ended %d times, want %d", down, stops, test.stops)
			}
		})
	}
}
