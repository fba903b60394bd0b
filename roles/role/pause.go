package role

import (
	"context"
	"math/rand/v2"
	"time"
)

// Pause waits about as long as asked: a quarter more or less, so that machines which started together do not ask together.
func Pause(ctx context.Context, about time.Duration) error {
	timer := time.NewTimer(about*3/4 + rand.N(about/2)) //nolint:gosec // jitter, not a secret
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
