package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/gen/waitsclient"
)

// pollSeconds is how long a long-poll asks the server to wait.
const pollSeconds = 25

// Waits is the API of the waiting side: it opens waits with flowcallbackd and receives their
// outcomes. It is safe for concurrent use.
type Waits struct {
	projectID string
	waits     *waitsclient.Client
}

// Open opens a wait, durably. If a wait for the same workflow, run and state exists, Open
// returns that wait, so a caller that lost its memory can open again. TimeoutSeconds 0 means
// the contract's default.
func (w *Waits) Open(ctx context.Context, request waits.OpenWaitRequest) (waits.Wait, error) {
	return read[waits.Wait](w.waits.OpenWait(ctx, w.projectID, request))(http.StatusCreated, http.StatusOK)
}

// Get returns a wait.
func (w *Waits) Get(ctx context.Context, waitID string) (waits.Wait, error) {
	return w.get(ctx, waitID, 0)
}

// Await blocks until the wait is settled, expired or cancelled, and returns it. If it has
// expired or was cancelled, the error is ErrExpired or ErrCancelled; the outcome of a settled
// wait may be a fail. Limit the time with ctx.
func (w *Waits) Await(ctx context.Context, waitID string) (waits.Wait, error) {
	var pace pace
	for {
		wait, err := w.get(ctx, waitID, pollSeconds)
		if err != nil {
			return wait, err
		}
		switch wait.Status {
		case waits.Waiting:
		case waits.Expired:
			return wait, fmt.Errorf("client: wait %s: %w", waitID, ErrExpired)
		case waits.Cancelled:
			return wait, fmt.Errorf("client: wait %s: %w", waitID, ErrCancelled)
		default:
			return wait, nil
		}
		if err := pace.wait(ctx); err != nil {
			return wait, fmt.Errorf("client: wait %s: %w", waitID, err)
		}
	}
}

// pace limits long-polls to one a second, for servers that answer them early.
type pace struct{ last time.Time }

// wait blocks until a second has passed since the last call.
func (p *pace) wait(ctx context.Context) error {
	if !p.last.IsZero() {
		timer := time.NewTimer(time.Until(p.last.Add(time.Second)))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.last = time.Now()
	return nil
}

func (w *Waits) get(ctx context.Context, waitID string, seconds int) (waits.Wait, error) {
	if err := checkSegment("wait id", waitID); err != nil {
		return waits.Wait{}, fmt.Errorf("client: %w", err)
	}
	return read[waits.Wait](w.waits.GetWait(ctx, w.projectID, waitID, &waits.GetWaitParams{WaitSeconds: &seconds}))(http.StatusOK)
}

// Cancel cancels a wait. A wait that has already left waiting stays as it is.
func (w *Waits) Cancel(ctx context.Context, waitID string) error {
	if err := checkSegment("wait id", waitID); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	_, err := read[struct{}](w.waits.CancelWait(ctx, w.projectID, waitID))(http.StatusNoContent)
	return err
}

// Filter selects waits. The zero value selects all.
type Filter struct {
	Status   waits.Status
	Workflow string
	// OldestFirst lists waits in the order in which they were opened, including waits that
	// are opened during the iteration.
	OldestFirst bool
}

// List iterates over the project's waits, newest first by default. Each wait that existed at
// the start is listed exactly once, however many are opened during the iteration. An error
// ends the iteration.
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

// Settled is a wait that left waiting, in the outcomes feed.
type Settled struct {
	waits.Wait
	// Cursor is where to continue after this outcome and all before it were processed. Only
	// the last outcome of each response has one; else it is empty. Continuing from an
	// earlier cursor repeats outcomes and skips none.
	Cursor string
}

// Outcomes iterates over the project's outcomes feed, in order, starting after the cursor
// (empty: at the oldest outcome that the server keeps). It waits for further outcomes, and
// ends only with an error, such as that of ctx, or ErrCursor if outcomes may have been missed.
func (w *Waits) Outcomes(ctx context.Context, after string) iter.Seq2[Settled, error] {
	return func(yield func(Settled, error) bool) {
		var pace pace
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
			if len(page.Outcomes) > 0 {
				continue
			}
			if err := pace.wait(ctx); err != nil {
				yield(Settled{}, fmt.Errorf("client: %w", err))
				return
			}
		}
	}
}
