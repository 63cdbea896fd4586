package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	// The project, what its feed begins and ends with, and its epochs. A project that does not
	// exist is as project 0.
	feedState = `
SELECT f.project, f.floor, flowcallback.last(f.project), array_agg(e.id ORDER BY e.project, e.n), array_agg(e.first ORDER BY e.project, e.n)
FROM flowcallback.feed f JOIN flowcallback.epochs e ON e.project IN (0, f.project)
WHERE f.project = coalesce((SELECT id FROM flowcallback.projects WHERE name = $1), 0)
GROUP BY f.project, f.floor`

	// The next outcomes, as many as a page may have, and the last position that retention had deleted
	// then.
	feedAfter = `
SELECT f.floor, x.wait, x.position
FROM flowcallback.feed f LEFT JOIN LATERAL (
  SELECT y.wait, y.position, sum(y.size) OVER (ORDER BY y.position) - y.size AS before
  FROM (
    SELECT o.wait, o.position, coalesce(octet_length(o.output), 0)
      + (SELECT coalesce(octet_length(w.input), 0) + coalesce(octet_length(w.output_schema), 0) FROM flowcallback.waits w WHERE w.id = o.wait) AS size
    FROM flowcallback.outcomes o WHERE o.project = f.project AND o.position > greatest($2, f.floor) ORDER BY o.position LIMIT $3
  ) y
) x ON x.before <= $4
WHERE f.project = coalesce((SELECT id FROM flowcallback.projects WHERE name = $1), 0) ORDER BY x.position`
)

// A feed is the state of a project's feed.
type feed struct {
	project     int64
	floor, last int64
	epochs      store.Epochs
}

func (e *Engine) feedOf(ctx context.Context, projectID string) (f feed, err error) {
	err = e.read(ctx, projectID, func(ctx context.Context, c *pgxpool.Conn) error {
		var ids []string
		var firsts []int64
		err := c.QueryRow(ctx, feedState, []byte(projectID)).Scan(&f.project, &f.floor, &f.last, &ids, &firsts)
		f.epochs = nil
		for i := range ids {
			f.epochs = append(f.epochs, store.Epoch{ID: ids[i], First: firsts[i]})
		}
		return err
	})
	return f, err
}

// ListOutcomes implements engine.Feed. Its cursors are positions in the feed (store.Epochs).
func (e *Engine) ListOutcomes(ctx context.Context, projectID, after string, limit int, wait time.Duration) (waits.OutcomePage, error) {
	f, err := e.feedOf(ctx, projectID)
	if err != nil {
		return waits.OutcomePage{}, err
	}
	if after == engine.AfterNow {
		after = f.epochs.Cursor(f.last)
	}
	if after != "" {
		if _, err := f.epochs.Position(after, f.last); err != nil {
			return waits.OutcomePage{}, err
		}
	}
	timeout, stop := store.TimeoutAfter(wait)
	defer stop()
	for {
		woken, leave := e.hub.Subscribe(topic{project: projectID})
		e.poller.watch()
		page, err := e.outcomes(ctx, projectID, after, limit)
		again := err == nil && len(page.Outcomes) == 0 && store.Pause(ctx, woken, timeout, e.closed)
		leave()
		if !again {
			if err == nil {
				err = e.ended(ctx)
			}
			return page, err
		}
	}
}

// outcomes reads a page after a cursor. The cursor is empty, or was accepted before.
func (e *Engine) outcomes(ctx context.Context, projectID, cursor string, limit int) (waits.OutcomePage, error) {
	answer := waits.OutcomePage{Outcomes: []waits.Wait{}}
	var after int64
	if cursor != "" {
		text, _, _ := strings.Cut(cursor, "-")
		after, _ = store.ParsePosition(text) // accepted before
	}
	for {
		var rows []int64
		var floor int64
		end := after
		err := e.read(ctx, projectID, func(ctx context.Context, c *pgxpool.Conn) error {
			found, err := c.Query(ctx, feedAfter, []byte(projectID), after, limit, store.PageBytes)
			if err != nil {
				return err
			}
			rows, end = nil, after
			var wait, position *int64
			_, err = pgx.ForEachRow(found, []any{&floor, &wait, &position}, func() error {
				if wait != nil {
					rows, end = append(rows, *wait), *position
				}
				return nil
			})
			return err
		})
		if err != nil {
			return answer, err
		}
		// After the page, so that these are the epochs of its positions.
		f, err := e.feedOf(ctx, projectID)
		switch {
		case err != nil:
			return answer, err
		case cursor == "" && len(rows) == 0:
			end = floor
		case cursor != "":
			// Again, because another server may have taken over since, which has another history.
			if _, err := f.epochs.Position(cursor, f.last); err != nil {
				return answer, err
			}
			if after < floor {
				return answer, &engine.CursorGoneError{Oldest: f.epochs.Cursor(f.floor)}
			}
		}
		all, err := e.inOrder(ctx, projectID, rows)
		if err != nil {
			return answer, err
		}
		if len(all) < len(rows) {
			continue // retention was faster, and the next read says so
		}
		for _, r := range all {
			answer.Outcomes = append(answer.Outcomes, r.wait)
		}
		answer.Next = f.epochs.Cursor(end)
		return answer, nil
	}
}

// inOrder reads the records of some rows, in their order. Those that were deleted are left out.
func (e *Engine) inOrder(ctx context.Context, projectID string, rows []int64) ([]record, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	found, err := e.records(ctx, projectID, byRow, rows)
	if err != nil {
		return nil, err
	}
	known := map[int64]record{}
	for _, r := range found {
		known[r.id] = r
	}
	var all []record
	for _, row := range rows {
		if r, ok := known[row]; ok {
			all = append(all, r)
		}
	}
	return all, nil
}
