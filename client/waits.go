package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/gen/waitsclient"
)

// pollSeconds is how long a long-poll asks the server to hold its answer back.
const pollSeconds = 30

// Waits is the side that waits: it opens waits with flowcallbackd and learns their
// outcomes. It is safe for concurrent use.
type Waits struct {
	projectID string
	waits     *waitsclient.Client
}

// Open opens a wait, durably. Where one is known under the same workflow, run and state,
// it returns that one as it stands, so a caller that lost its memory opens again. Leave
// TimeoutSeconds 0 for the contract's default.
func (w *Waits) Open(ctx context.Context, request waits.OpenWaitRequest) (waits.Wait, error) {
	return read[waits.Wait](w.waits.OpenWait(ctx, w.projectID, request))(http.StatusCreated, http.StatusOK)
}

// Get returns a wait as it stands.
func (w *Waits) Get(ctx context.Context, waitID string) (waits.Wait, error) {
	return w.get(ctx, waitID, 0)
}

// Await blocks until the wait has left waiting, in whatever way, and returns it. It
// long-polls as often as it takes: bound it by its context.
func (w *Waits) Await(ctx context.Context, waitID string) (waits.Wait, error) {
	for {
		wait, err := w.get(ctx, waitID, pollSeconds)
		if err != nil || wait.Status != waits.Waiting {
			return wait, err
		}
	}
}

func (w *Waits) get(ctx context.Context, waitID string, seconds int) (waits.Wait, error) {
	if err := checkSegment("wait id", waitID); err != nil {
		return waits.Wait{}, fmt.Errorf("client: %w", err)
	}
	return read[waits.Wait](w.waits.GetWait(ctx, w.projectID, waitID, &waits.GetWaitParams{WaitSeconds: &seconds}))(http.StatusOK)
}

// Cancel withdraws a wait. One that has left waiting already stays as it is.
func (w *Waits) Cancel(ctx context.Context, waitID string) error {
	if err := checkSegment("wait id", waitID); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	_, err := read[struct{}](w.waits.CancelWait(ctx, w.projectID, waitID))(http.StatusNoContent)
	return err
}

// Filter chooses among waits; the zero value chooses all.
type Filter struct {
	Status   waits.Status
	Workflow string
	// OldestFirst lists in the order in which they were opened, those along that are
	// opened meanwhile.
	OldestFirst bool
}

// List iterates over the project's waits, newest first: each that existed when it began
// exactly once, however many are opened meanwhile. An error ends it.
func (w *Waits) List(ctx context.Context, filter Filter) iter.Seq2[waits.Wait, error] {
	return func(yield func(waits.Wait, error) bool) {
		var params waits.ListWaitsParams
		if filter.Status != "" {
			params.Status = &filter.Status
		}
		if filter.Workflow != "" {
			params.WorkflowID = &filter.Workflow
		}
		if filter.OldestFirst {
			params.Order = new(waits.Oldest)
		}
		for {
			page, err := read[waits.WaitPage](w.waits.ListWaits(ctx, w.projectID, &params))(http.StatusOK)
			if err != nil {
				yield(waits.Wait{}, err)
				return
			}
			for _, wait := range page.Waits {
				if !yield(wait, nil) {
					return
				}
			}
			if page.NextCursor == nil {
				return
			}
			params.Cursor = page.NextCursor
		}
	}
}

// Settled is a wait that left waiting, as the feed has it.
type Settled struct {
	waits.Wait
	// Cursor is where to go on once this outcome, and every one before it, has been acted
	// on. Only the last outcome of each answer of the server has one; it is empty
	// otherwise. Going on from an earlier one repeats some and skips none.
	Cursor string
}

// Outcomes follows the project's waits as they leave waiting, in the order in which they
// do, from the cursor after on (empty: from the oldest that the server keeps). It never
// ends by itself: it ends with an error, the context's among them, or when the loop is
// left.
func (w *Waits) Outcomes(ctx context.Context, after string) iter.Seq2[Settled, error] {
	return func(yield func(Settled, error) bool) {
		seconds := pollSeconds
		params := waits.ListOutcomesParams{WaitSeconds: &seconds}
		for {
			if after != "" {
				params.After = &after
			}
			page, err := read[waits.OutcomePage](w.waits.ListOutcomes(ctx, w.projectID, &params))(http.StatusOK)
			if err != nil {
				yield(Settled{}, err)
				return
			}
			for i, wait := range page.Outcomes {
				var cursor string
				if i == len(page.Outcomes)-1 {
					cursor = page.Next
				}
				if !yield(Settled{Wait: wait, Cursor: cursor}, nil) {
					return
				}
			}
			after = page.Next
		}
	}
}
