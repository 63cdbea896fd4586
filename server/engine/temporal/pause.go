package temporal

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// pauses are the growing pauses between two reads of Temporal's history.
type pauses struct{ next *backoff.ExponentialBackOff }

func newPauses() pauses {
	next := backoff.NewExponentialBackOff()
	next.InitialInterval, next.MaxInterval = 20*time.Millisecond, 500*time.Millisecond
	return pauses{next}
}

// pause blocks for the next pause; the error is ctx.Err().
func (p pauses) pause(ctx context.Context) error {
	timer := time.NewTimer(p.next.NextBackOff())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
