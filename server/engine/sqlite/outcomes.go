package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

// ListOutcomes implements engine.Waits. Its cursors are places in the feed.
func (e *Engine) ListOutcomes(ctx context.Context, projectID, after string, limit int, enough <-chan struct{}) (waits.OutcomePage, error) {
	var place int64
	if after != "" {
		var err error
		if place, err = parseCursor(after); err != nil {
			return waits.OutcomePage{}, err
		}
	}
	for {
		woken, leave := e.hub.subscribe(topic{feed: projectID})
		page, err := e.outcomes(ctx, projectID, place, limit)
		if err != nil || len(page.Outcomes) > 0 || !e.pause(ctx, woken, enough) {
			leave()
			return page, errors.Join(err, e.ended(ctx))
		}
		leave()
	}
}

func (e *Engine) outcomes(ctx context.Context, projectID string, after int64, limit int) (waits.OutcomePage, error) {
	page := waits.OutcomePage{Outcomes: []waits.Wait{}, Next: strconv.FormatInt(after, 10)}
	var last int64
	if err := e.queries.feedLast.QueryRowContext(ctx).Scan(&last); err != nil {
		return page, err
	}
	if after > last {
		return page, fmt.Errorf("cursor %d beyond the end of the feed, %d: %w", after, last, engine.ErrCursor)
	}
	rows, err := e.queries.feedAfter.QueryContext(ctx, projectID, after, limit)
	if err != nil {
		return page, err
	}
	records, _, err := scanPage(rows, limit)
	for _, r := range records {
		page.Outcomes = append(page.Outcomes, r.wait)
		page.Next = strconv.FormatInt(r.seq, 10)
	}
	return page, err
}

func parseCursor(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, engine.ErrCursor
	}
	return n, nil
}
