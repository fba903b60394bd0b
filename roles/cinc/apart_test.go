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
