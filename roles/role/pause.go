package role

import (
	"context"
	"math/rand/v2"
	"time"
)

// Pause waits about as long as asked, so that machines which started together do not ask together.
func Pause(ctx context.Context, about time.Duration) error {
	timer := time.NewTimer(About(about))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// About returns the duration, or a quarter more or less.
func About(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2) //nolint:gosec // jitter, not a secret
}
