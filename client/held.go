package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"

	"github.com/flowcallback/flowcallback/gen/waits"
)

// Held iterates over the callbacks that the server holds for states that nobody has opened yet,
// oldest first. An error ends the iteration.
func (w *Waits) Held(ctx context.Context) iter.Seq2[waits.HeldCallback, error] {
	return func(yield func(waits.HeldCallback, error) bool) {
		var params waits.ListHeldParams
		for {
			page, err := read[waits.HeldPage](w.waits.ListHeld(ctx, w.projectID, &params))(http.StatusOK)
			if err != nil {
				yield(waits.HeldCallback{}, err)
				return
			}
			for _, held := range page.Held {
				if !yield(held, nil) {
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

// DropHeld deletes a held callback, as if it had never been sent. Its sender was told that it was
// accepted, so make sure that nobody will open the wait.
func (w *Waits) DropHeld(ctx context.Context, heldID string) error {
	if err := checkSegment("held id", heldID); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	_, err := read[struct{}](w.waits.DropHeld(ctx, w.projectID, heldID))(http.StatusNoContent)
	return err
}
