package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"

	"github.com/flowcallback/flowcallback/gen/waits"
)

// Decode stores the output of a settled wait in the value that v points to. Numbers in an any
// become json.Number, which keeps every digit. The error says if the wait has no outcome.
func Decode(wait waits.Wait, v any) error {
	if wait.Outcome == nil {
		return errors.New("client: the wait has no outcome: it is " + string(wait.Status))
	}
	decoder := json.NewDecoder(bytes.NewReader(wait.Outcome.Output))
	decoder.UseNumber()
	if err := decoder.Decode(v); err != nil {
		return fmt.Errorf("client: output of wait %s: %w", wait.WaitID, err)
	}
	return nil
}

// Settled is a wait that left waiting, in the outcomes feed.
type Settled struct {
	waits.Wait
	// Cursor is where to continue after this outcome and all before it were processed. Only
	// the last outcome of each response has one; else it is empty. Continuing from an
	// earlier cursor repeats outcomes and skips none.
	Cursor string
}

// Now returns the cursor behind the newest outcome, for Outcomes.
func (w *Waits) Now(ctx context.Context) (cursor string, err error) {
	page, err := read[waits.OutcomePage](w.waits.ListOutcomes(ctx, w.projectID, &waits.ListOutcomesParams{After: new("now"), Limit: new(1)}))(http.StatusOK)
	return page.Next, err
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
