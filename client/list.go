package client

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
)

// Filter selects waits that pass all of its fields. The zero value selects all waits.
type Filter struct {
	Status         waits.Status
	Workflow       string
	WorkflowPrefix string
	Run            string
	State          string
	Tag            string
	OpenedBefore   time.Time
	ExpiresBefore  time.Time
	// Order is the order of List. Oldest includes waits that are opened during the iteration.
	// Default: the newest first.
	Order waits.Order
}

// List iterates over the project's waits, newest first by default. Each wait that existed at
// the start is listed exactly once, however many are opened during the iteration. An error
// ends the iteration.
func (w *Waits) List(ctx context.Context, filter Filter) iter.Seq2[waits.Wait, error] {
	return func(yield func(waits.Wait, error) bool) {
		params := waits.ListWaitsParams{
			Status: optional(filter.Status), WorkflowID: optional(filter.Workflow), WorkflowPrefix: optional(filter.WorkflowPrefix),
			RunID: optional(callback.RunID(filter.Run)), StateID: optional(callback.StateID(filter.State)), Tag: optional(filter.Tag),
			OpenedBefore: optional(filter.OpenedBefore), ExpiresBefore: optional(filter.ExpiresBefore), Order: optional(filter.Order),
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
			next := page.NextCursor
			if next == nil || params.Cursor != nil && *next == *params.Cursor {
				return
			}
			params.Cursor = next
		}
	}
}

// Count counts waits by status, each exactly up to 1000. It ignores the filter's status and
// times.
func (w *Waits) Count(ctx context.Context, filter Filter) (waits.WaitCounts, error) {
	return read[waits.WaitCounts](w.waits.CountWaits(ctx, w.projectID, &waits.CountWaitsParams{
		WorkflowID: optional(filter.Workflow), WorkflowPrefix: optional(filter.WorkflowPrefix),
		RunID: optional(callback.RunID(filter.Run)), StateID: optional(callback.StateID(filter.State)), Tag: optional(filter.Tag),
	}))(http.StatusOK)
}

// optional returns nil for a zero value.
func optional[T comparable](value T) *T {
	var none T
	if value == none {
		return nil
	}
	return &value
}
