// Package store has what engines with a store of their own share: the form of keys, statuses and
// cursors, the queue of changes, turns of readers, and the wake-ups of long-polls. It knows no database.
package store

import (
	"context"
	"fmt"
	"time"

	"github.com/flowcallback/flowcallback/server/engine"
)

// PageBytes limits the JSON of a page, whatever its limit: a page ends early rather than
// take much memory on both sides.
const PageBytes = 512 << 10

// ErrClosed means that the engine was closed.
var ErrClosed = fmt.Errorf("closed: %w", engine.ErrUnavailable)

// A Refusal is an answer of the engine, not a failure of the store.
type Refusal struct{ error }

// Unwrap returns the sentinel of package engine.
func (r Refusal) Unwrap() error { return r.error }

// Refuse wraps a sentinel of package engine with what was tried.
func Refuse(sentinel error, format string, arguments ...any) error {
	return Refusal{fmt.Errorf("%s: %w", fmt.Sprintf(format, arguments...), sentinel)}
}

// TimeoutAfter returns a channel that receives after d, or that is closed if d is 0.
func TimeoutAfter(d time.Duration) (timeout <-chan time.Time, stop func()) {
	if d <= 0 {
		closed := make(chan time.Time)
		close(closed)
		return closed, func() {}
	}
	timer := time.NewTimer(d)
	return timer.C, func() { timer.Stop() }
}

// Pause blocks until there may be news (true), or until the timeout, the end of ctx or the
// end of the engine (false).
func Pause(ctx context.Context, woken <-chan struct{}, timeout <-chan time.Time, closed <-chan struct{}) bool {
	select {
	case <-timeout:
		return false
	default:
	}
	select {
	case <-woken:
		return true
	case <-timeout:
		return false
	case <-closed:
		return false
	case <-ctx.Done():
		return false
	}
}
