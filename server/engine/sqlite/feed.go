package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	floorOf   = `SELECT coalesce((SELECT floor FROM projects WHERE id = ?), (SELECT floor FROM state))`
	feedAfter = waitColumns + `, ` + outcomeColumns + `, o.seq
FROM outcomes o
JOIN waits w ON w.id = o.wait
JOIN projects p ON p.id = w.project
WHERE o.project = ? AND o.seq > ? AND o.seq <= ? ORDER BY o.seq LIMIT ?`
)

// ListOutcomes implements engine.Feed. Its cursors are positions in the feed (epochs.go).
func (e *Engine) ListOutcomes(ctx context.Context, projectID, after string, limit int, wait time.Duration) (waits.OutcomePage, error) {
	var position int64
	switch after {
	case "":
	case engine.AfterNow:
		position = e.catalog.last()
	default:
		var err error
		if position, err = e.epochs.Position(after, e.catalog.last()); err != nil {
			return waits.OutcomePage{}, errors.Join(err, e.ended(ctx))
		}
	}
	timeout, stop := store.TimeoutAfter(wait)
	defer stop()
	var project int64
	for {
		woken, leave := e.hub.Subscribe(topic{feed: project}) // of project 0, when there is a new one
		subscribed := project
		page, err := e.outcomes(ctx, projectID, &project, position, after == "", limit)
		again := err == nil && len(page.Outcomes) == 0 && (project != subscribed || store.Pause(ctx, woken, timeout, e.closed))
		leave()
		if !again {
			return page, errors.Join(err, e.ended(ctx))
		}
	}
}

// outcomes reads a page, and finds out the project if it is 0. It begins at the oldest outcome
// if fromOldest is true.
func (e *Engine) outcomes(ctx context.Context, projectID string, project *int64, after int64, fromOldest bool, limit int) (waits.OutcomePage, error) {
	answer := waits.OutcomePage{Outcomes: []waits.Wait{}}
	err := e.readers.read(ctx, projectID, func(c *conn) (err error) {
		if *project == 0 {
			if *project, err = e.knownProject(c, projectID); err != nil {
				return err
			}
		}
		// Readers see a commit a little before the rest of the engine does. Its outcomes come
		// next time, so that a wait whose outcome is here is shown as settled everywhere.
		last := e.catalog.last()
		return c.snapshot(func() error { // retention may delete outcomes in the meantime
			floor, err := c.floor(*project)
			switch {
			case err != nil:
				return err
			case fromOldest:
				after = floor
			case after < floor:
				return &engine.CursorGoneError{Oldest: e.epochs.Cursor(floor)}
			}
			size := 0
			return c.query(feedAfter, func(row *sqlite3.Stmt) error {
				if size > store.PageBytes {
					return errStop
				}
				r := scanWait(row)
				r.scanOutcome(row, waitColumnCount)
				answer.Outcomes = append(answer.Outcomes, r.wait)
				after = row.ColumnInt64(waitColumnCount + outcomeColumnCount)
				size += r.size()
				return nil
			}, *project, after, last, limit)
		})
	})
	answer.Next = e.epochs.Cursor(after)
	return answer, err
}

// floor returns the last position of a project that retention has deleted.
func (c *conn) floor(project int64) (floor int64, err error) {
	err = c.query(floorOf, func(row *sqlite3.Stmt) error {
		floor = row.ColumnInt64(0)
		return nil
	}, project)
	return floor, err
}

// snapshot runs reads that see the file as of one instant.
func (c *conn) snapshot(read func() error) (err error) {
	if err := c.execute("BEGIN"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.finish()) }()
	return read()
}

// finish ends a transaction that only read. An interrupted one must end too.
func (c *conn) finish() error {
	defer c.SetInterrupt(c.SetInterrupt(context.Background()))
	return c.execute("ROLLBACK")
}
