// Package engine defines what a callback means, and the interfaces of the engines that
// carry it out. Implementations are packages below this one; they do not import each
// other. The suite in enginetest tests each of them.
//
// The package uses the models of the contract. It knows nothing of HTTP, and it checks no
// limit: what an engine receives has passed openapi/contract.
package engine

import (
	"context"
	"errors"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
)

// Refusals. A call that returns one of these errors, wrapped with what was refused, has
// changed nothing.
var (
	// ErrNotFound: the engine has no state with this key, or no wait with this id.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the state already has another outcome. The first outcome stands.
	ErrConflict = errors.New("settled with another outcome")
	// ErrExpired: the deadline has passed.
	ErrExpired = errors.New("deadline passed")
	// ErrCancelled: the wait was cancelled.
	ErrCancelled = errors.New("cancelled")
	// ErrCursor: the text is no cursor.
	ErrCursor = errors.New("not a cursor of this server")
	// ErrCursorForeign: the cursor belongs to another history: to another store, or to what
	// came after the copy that was restored. Its reader may have missed outcomes.
	ErrCursorForeign = errors.New("cursor of another history")
	// ErrLinks: the wait has as many links as it may have.
	ErrLinks = errors.New("too many links")
	// ErrNotWaiting: the wait has left waiting.
	ErrNotWaiting = errors.New("not waiting")
	// ErrTooLarge: the outcome is larger than the engine's store accepts.
	ErrTooLarge = errors.New("too large")
	// ErrOverloaded: the engine's queue is full. The same call may succeed a little later.
	ErrOverloaded = errors.New("overloaded")
)

// A CursorGoneError refuses a cursor whose next outcomes retention has deleted, so that its
// reader has missed them.
type CursorGoneError struct {
	Oldest string // the cursor at which the outcomes that are kept begin
}

// An OutputError refuses a callback whose output is not what its wait asks for.
type OutputError struct {
	Rule string // the member and the rule that it breaks
}

// A MovedError refuses a callback whose run was reset: what it waits for goes on in another run.
type MovedError struct {
	RunID string // of the new run
}

// Error implements error.
func (e *MovedError) Error() string { return "the flow goes on in run " + e.RunID }

// Error implements error.
func (e *OutputError) Error() string { return "output refused: " + e.Rule }

// Error implements error.
func (e *CursorGoneError) Error() string { return "outcomes after the cursor were deleted" }

// ErrUnavailable means that the engine's store cannot be reached, or the engine is closed. The
// same call may succeed later. Unlike a refusal, the call may have taken effect: for example,
// the answer to a commit may be lost. Repeating the call is safe.
var ErrUnavailable = errors.New("unavailable")

// A Key identifies one state of one run. Its ids are opaque: engines compare them byte for
// byte, and never trim them or convert their case.
type Key struct {
	ProjectID, WorkflowID string

	RunID   callback.RunID
	StateID callback.StateID
}

// A Callback is the outcome that a principal sends for a state.
type Callback struct {
	Key

	Request   callback.Request
	Principal string // who sends it; empty if the server does not authenticate

	// Link is the digest of the link by which it is sent, if any. The engine then settles only
	// the wait of that link, and refuses with ErrNotFound if the link was withdrawn in the
	// meantime, or with ErrExpired if its time has passed.
	Link *[32]byte
}

// An Engine settles the states that wait. Its methods are safe for concurrent use. A
// method whose ctx ends early returns ctx.Err(); the call may have taken effect, and may
// be repeated.
type Engine interface {
	// Callback settles the state with the callback's key and returns the id of the
	// execution that it resumed. When it returns no error, the outcome is durable and the
	// waiting side will receive it, with the principal. Decide says which callbacks are
	// accepted. Of callbacks that race, exactly one settles the state.
	Callback(ctx context.Context, c Callback) (executionID string, err error)

	// Ready returns why the engine cannot settle callbacks at present, or nil if it can.
	Ready(ctx context.Context) error
}

// A Namer says what its store is, for people.
type Namer interface{ Name() string }

// The interfaces below are optional. The server answers 501 to the operations whose
// interface its engine does not implement.
//
// Every wait has a deadline. From that instant on, every method shows the wait as expired.

// An Opener opens and cancels waits.
type Opener interface {
	// OpenWait opens a wait with the key in request for a principal and returns true. If a
	// wait with this key exists, in any status, OpenWait returns that wait and false; Differs
	// names the members of the request that it does not have so. request.TimeoutSeconds must
	// be set; the contract check sets its default.
	//
	// A callback that settles a wait with an OutputSchema with success is refused with an
	// OutputError if its output breaks the schema.
	OpenWait(ctx context.Context, projectID string, request waits.OpenWaitRequest, principal string) (wait waits.Wait, opened bool, err error)

	// ChangeWait gives a wait that is waiting a new deadline. It returns ErrNotWaiting if the
	// wait has left waiting, and ErrNotFound if the project has no wait with this id.
	ChangeWait(ctx context.Context, projectID, waitID string, request waits.ChangeWaitRequest) (waits.Wait, error)

	// CancelWait cancels a wait that is waiting, and leaves any other as it is. It returns
	// ErrNotFound if the project has no wait with this id. The reason may be empty.
	CancelWait(ctx context.Context, projectID, waitID, reason, principal string) error
}

// A Reader reads waits.
type Reader interface {
	// GetWait returns the wait, or ErrNotFound if the project has no wait with this id.
	// While the wait is waiting, it blocks for at most the given time.
	GetWait(ctx context.Context, projectID, waitID string, wait time.Duration) (waits.Wait, error)

	// ListWaits returns one page of the project's waits, newest first by default. A page
	// may have fewer waits than the limit; the last page has no NextCursor, but with the
	// order oldest every page has one, and while there are no further waits, which it says by
	// the cursor of the request, ListWaits blocks for at most the given time. ErrCursor: the cursor is not from this engine.
	ListWaits(ctx context.Context, projectID string, params waits.ListWaitsParams, wait time.Duration) (waits.WaitPage, error)
}

// A Counter counts waits.
type Counter interface {
	// CountWaits counts waits by status, each up to the limit of the contract.
	CountWaits(ctx context.Context, projectID string, params waits.CountWaitsParams) (waits.WaitCounts, error)
}

// A Linker keeps links to waits. It knows them by the digests of their secrets only.
type Linker interface {
	// CreateLink adds a link to a wait that is waiting. It returns ErrNotFound, ErrNotWaiting,
	// or ErrLinks if the wait has waits.LinksMaxItems links.
	CreateLink(ctx context.Context, projectID, waitID string, link NewLink) (waits.Link, error)

	// ListLinks returns the links of a wait, oldest first, or ErrNotFound.
	ListLinks(ctx context.Context, projectID, waitID string) (waits.Links, error)

	// WithdrawLink deletes a link, or returns ErrNotFound.
	WithdrawLink(ctx context.Context, projectID, waitID, linkID string) error

	// FollowLink returns the link with a digest, and its wait. It returns ErrNotFound if there
	// is none, and ErrExpired if the link's own time has passed.
	FollowLink(ctx context.Context, digest [32]byte) (waits.Link, waits.Wait, error)
}

// A NewLink is a link to be.
type NewLink struct {
	Digest    [32]byte // of its secret
	Allow     []callback.Result
	To        string
	Timeout   time.Duration // 0: the link ends with the wait
	Principal string        // who makes it
}

// A Holder keeps callbacks that came before their waits were opened.
type Holder interface {
	// ListHeld returns one page of the held callbacks of a project, oldest first. ErrCursor:
	// the cursor is not from this engine.
	ListHeld(ctx context.Context, projectID string, params waits.ListHeldParams) (waits.HeldPage, error)

	// DropHeld deletes a held callback, or returns ErrNotFound.
	DropHeld(ctx context.Context, projectID, heldID string) error
}

// AfterNow is the cursor behind the newest outcome, or the newest wait in the order oldest.
const AfterNow = "now"

// A Feed lists waits in the order in which they left waiting.
type Feed interface {
	// ListOutcomes returns waits that left waiting, starting after the cursor (empty: at
	// the oldest that is kept; AfterNow: those to come). Next is never empty, and no outcome is ever inserted before
	// it. While there are no outcomes, it blocks for at most the given time. A cursor that
	// cannot be continued is refused with ErrCursor, ErrCursorForeign or a CursorGoneError.
	ListOutcomes(ctx context.Context, projectID, after string, limit int, wait time.Duration) (waits.OutcomePage, error)
}
