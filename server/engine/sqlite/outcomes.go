package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

const (
	feedLast  = `SELECT last FROM feed`
	feedAfter = waitColumns + `
FROM outcomes o
JOIN waits w ON w.id = o.wait
WHERE o.project_id = ? AND o.seq > ? ORDER BY o.seq LIMIT ?`
)

// ListOutcomes implements engine.Feed. Its cursors are positions in the feed.
func (e *Engine) ListOutcomes(ctx context.Context, projectID, after string, limit int, wait time.Duration) (waits.OutcomePage, error) {
	var position int64
	if after != "" {
		var err error
		if position, err = parseCursor(after); err != nil {
			return waits.OutcomePage{}, err
		}
	}
	timeout, stop := timeoutAfter(wait)
	defer stop()
	for {
		woken, leave := e.hub.subscribe(topic{feed: projectID})
		page, err := e.outcomes(ctx, projectID, position, limit)
		if err != nil || len(page.Outcomes) > 0 || !e.pause(ctx, woken, timeout) {
			leave()
			return page, errors.Join(err, e.ended(ctx))
		}
		leave()
	}
}

func (e *Engine) outcomes(ctx context.Context, projectID string, after int64, limit int) (waits.OutcomePage, error) {
	answer := waits.OutcomePage{Outcomes: []waits.Wait{}, Next: strconv.FormatInt(after, 10)}
	var last int64
	err := e.readers.query(ctx, feedLast, func(row *sqlite.Stmt) error {
		last = row.ColumnInt64(0)
		return nil
	})
	if err != nil {
		return answer, err
	}
	if after > last {
		return answer, fmt.Errorf("cursor %d beyond the end of the feed, %d: %w", after, last, engine.ErrCursor)
	}
	found := page{limit: limit}
	err = e.readers.query(ctx, feedAfter, found.add, projectID, after, limit)
	for _, r := range found.records {
		answer.Outcomes = append(answer.Outcomes, r.wait)
		answer.Next = strconv.FormatInt(r.seq, 10)
	}
	return answer, err
}

func parseCursor(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, engine.ErrCursor
	}
	return n, nil
}
