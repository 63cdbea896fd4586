// Package engine is the promise that stands behind an answer of 200: what a callback
// means, whoever keeps it. Implementations live below it and never meet; the suite in
// enginetest says whether one of them holds the promise.
//
// It speaks the models of the contract. It knows nothing of HTTP, and it checks no limit:
// what arrives here has passed openapi/contract.
package engine

import (
	"context"
	"errors"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
)

// Refusals. An engine wraps one of them with what it refused; a refused call has changed
// nothing.
var (
	// ErrNotFound: nothing is known under this key or id.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the state has another outcome already, and that one stands.
	ErrConflict = errors.New("settled with another outcome")
	// ErrExpired: the deadline passed before a callback came.
	ErrExpired = errors.New("deadline passed")
	// ErrCancelled: the wait was withdrawn before a callback came.
	ErrCancelled = errors.New("cancelled")
	// ErrCursor: the cursor is not one that this engine gave, or lies beyond its end.
	ErrCursor = errors.New("not a cursor of this server")
	// ErrTooLarge: the outcome is larger than what the engine relies on takes.
	ErrTooLarge = errors.New("too large")
	// ErrOverloaded: more is queued than the engine takes; the same call may succeed
	// a little later.
	ErrOverloaded = errors.New("overloaded")
	// ErrUnavailable: what the engine relies on cannot be reached, or is shutting down;
	// the same call may succeed later.
	ErrUnavailable = errors.New("unavailable")
)

// A Key names one state of one run. Its ids are opaque: engines compare them byte for
// byte and never trim or fold them.
type Key struct {
	ProjectID, WorkflowID, RunID, StateID string
}

// An Engine settles what waits. Its methods are safe for concurrent use. A method whose
// ctx ends early returns ctx.Err(); the call may then have taken effect or not, and may
// be repeated.
type Engine interface {
	// Callback settles the state under key and returns the id of the execution it
	// resumed. When it returns without an error, the outcome is on disk (or wherever
	// the engine's durability lies) and will be handed to the waiting side.
	//
	//   - a waiting state is settled, once; of calls that race, exactly one settles it.
	//   - a settled state with the Same outcome answers as the first call did.
	//   - a settled state with another outcome: ErrConflict.
	//   - past its deadline: ErrExpired; withdrawn: ErrCancelled; unknown: ErrNotFound.
	Callback(ctx context.Context, key Key, request callback.Request) (executionID string, err error)

	// Ready reports why the engine cannot settle callbacks now, nil if it can.
	Ready(ctx context.Context) error
}

// Waits is what an engine offers that also keeps the waits itself. A server over an
// engine without it answers the waits API with 501.
//
// Every wait has a deadline. From that instant on, every method shows it as expired.
type Waits interface {
	// OpenWait opens a wait under the key in request and reports true, or returns the
	// wait that is known under that key, whatever its status, and false. It wants
	// request.TimeoutSeconds set, as the contract's default leaves it.
	OpenWait(ctx context.Context, projectID string, request waits.OpenWaitRequest) (wait waits.Wait, opened bool, err error)

	// GetWait returns the wait; ErrNotFound if the project has none of this id. It
	// blocks while the wait is waiting and enough is open; a closed channel asks for the
	// wait as it stands.
	GetWait(ctx context.Context, projectID, waitID string, enough <-chan struct{}) (waits.Wait, error)

	// ListWaits returns one page of the project's waits, newest first. It may hold
	// fewer than asked for; without NextCursor it is the last. ErrCursor if the cursor
	// is not one of its own.
	ListWaits(ctx context.Context, projectID string, params waits.ListWaitsParams) (waits.WaitPage, error)

	// CancelWait withdraws a wait that is waiting and leaves any other as it is;
	// ErrNotFound if the project has none of this id.
	CancelWait(ctx context.Context, projectID, waitID string) error

	// ListOutcomes returns waits that left waiting, in the order in which they did,
	// from the cursor after on (empty: from the oldest that is kept). Next is never
	// empty, and nothing that is committed later stands before it. It blocks while there
	// are none and enough is open. ErrCursor as in ListWaits.
	ListOutcomes(ctx context.Context, projectID, after string, limit int, enough <-chan struct{}) (waits.OutcomePage, error)
}
