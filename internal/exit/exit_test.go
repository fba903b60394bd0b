package exit_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cincbake/cincbake/internal/exit"
)

func TestCodeOf(t *testing.T) {
	plain := errors.New("plain")
	for name, c := range map[string]struct {
		err  error
		want exit.Code
	}{
		"no error":               {nil, exit.Done},
		"no error with a code":   {exit.As(exit.Unsafe, nil), exit.Done},
		"plain":                  {plain, exit.Failed},
		"coded":                  {exit.As(exit.Missing, plain), exit.Missing},
		"coded, wrapped":         {fmt.Errorf("bake: %w", exit.As(exit.Missing, plain)), exit.Missing},
		"outermost code wins":    {exit.Errorf(exit.Unsafe, "refused: %w", exit.As(exit.Missing, plain)), exit.Unsafe},
		"deadline":               {fmt.Errorf("wait: %w", context.DeadlineExceeded), exit.TimedOut},
		"coded deadline":         {exit.As(exit.Invalid, context.DeadlineExceeded), exit.Invalid},
		"cancelled":              {context.Canceled, exit.Failed},
		"joined, one has a code": {errors.Join(plain, exit.As(exit.Invalid, plain)), exit.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			if got := exit.CodeOf(c.err); got != c.want {
				t.Errorf("CodeOf(%v) = %d, want %d", c.err, got, c.want)
			}
		})
	}
}

func TestErrorKeepsItsCause(t *testing.T) {
	cause := errors.New("cause")
	err := exit.Errorf(exit.Missing, "packer: %w", cause)
	if !errors.Is(err, cause) {
		t.Errorf("%v does not wrap its cause", err)
	}
	if got, want := err.Error(), "packer: cause"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}
