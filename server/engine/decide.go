package engine

import (
	"time"

	"github.com/flowcallback/flowcallback/gen/waits"
)

// Stored is what an engine has stored for the state that a callback names. The zero value
// means that the engine does not know the state.
type Stored struct {
	Status   waits.Status
	Deadline time.Time // of a waiting state; zero if the engine's store watches deadlines itself
	Same     bool      // of a settled state: the stored outcome is the Same as the callback's
}

// Decide says what a callback that arrives at the instant now means. It is the table "What
// a callback means" of the documentation:
//
//	waiting                    true: the engine stores the outcome, which settles the state
//	waiting, deadline passed   ErrExpired
//	settled, same outcome      false, nil: the answer repeats the first one
//	settled, another outcome   ErrConflict
//	expired                    ErrExpired
//	cancelled                  ErrCancelled
//	unknown                    ErrNotFound
//
// A callback that an engine holds for an unknown state counts as settled.
func Decide(stored Stored, now time.Time) (settle bool, err error) {
	switch stored.Status {
	case waits.Waiting:
		if !stored.Deadline.IsZero() && !now.Before(stored.Deadline) {
			return false, ErrExpired
		}
		return true, nil
	case waits.Success, waits.Fail:
		if !stored.Same {
			return false, ErrConflict
		}
		return false, nil
	case waits.Expired:
		return false, ErrExpired
	case waits.Cancelled:
		return false, ErrCancelled
	default:
		return false, ErrNotFound
	}
}
