package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	insertHeld = `INSERT INTO held (key, project, workflow_id, run_id, state_id, execution_id, status, error, output, caller, held_at, added_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	heldByKey  = `SELECT status, error, output, execution_id, caller, project FROM held WHERE key = ?`
	deleteHeld = `DELETE FROM held WHERE key = ?`
	heldNumber = `SELECT held FROM projects WHERE id = ?`
	countHeld  = `UPDATE projects SET held = held + ? WHERE id = ?`
	listHeld   = `SELECT id, workflow_id, run_id, state_id, execution_id, status, error, octet_length(output), caller, held_at FROM held WHERE project = ? AND id > ? ORDER BY id LIMIT ?`
	heldByID   = `SELECT key FROM held WHERE project = ? AND id = ?`
	oldHeld    = `SELECT key, project FROM held WHERE added_at <= ? ORDER BY added_at LIMIT ?`
	allHeld    = `SELECT coalesce(sum(held), 0) FROM projects`
)

// callbackUnknown answers a callback for an unknown state, and holds it if the engine holds
// such callbacks. held is the outcome of one that is held already.
func (e *Engine) callbackUnknown(t *tx, key []byte, ids engine.Key, sent sentOutcome) (executionID string, held *waits.Outcome, err error) {
	if !e.options.HoldUnknown {
		_, err := engine.Decide(engine.Stored{}, time.Time{})
		return "", nil, store.Refuse(err, "callback of an unknown state")
	}
	known, found, err := t.held(key)
	if err != nil || found {
		return known.executionID, &known.sent.Outcome, err
	}
	project, err := e.projectFor(t, ids.ProjectID)
	if err != nil {
		return "", nil, err
	}
	full := false
	err = t.query(heldNumber, func(row *sqlite3.Stmt) error {
		full = row.ColumnInt(0) >= e.options.MaxHeld
		return nil
	}, project)
	if err == nil && full {
		return "", nil, store.Refuse(engine.ErrOverloaded, "the project has %d held callbacks, which is the limit; drop those that nobody will open", e.options.MaxHeld)
	}
	executionID = engine.ExecutionID(ids.RunID)
	if err == nil {
		err = t.execute(insertHeld, key, project, ids.WorkflowID, string(ids.RunID), string(ids.StateID), executionID,
			store.StatusOf(waits.Status(sent.Result)), optional(sent.Error), jsonText(sent.Output), optional(sent.principal), e.now(), e.age.now())
	}
	if err == nil {
		err = t.execute(countHeld, 1, project)
	}
	return executionID, nil, err
}

// heldCallback is a callback that waits for its wait.
type heldCallback struct {
	sent        sentOutcome
	executionID string
	project     int64
}

// held returns the callback that is held for key, if there is one.
func (t *tx) held(key []byte) (h heldCallback, found bool, err error) {
	err = t.query(heldByKey, func(row *sqlite3.Stmt) error {
		h, found = heldCallback{
			sentOutcome{waits.Outcome{Result: callback.Result(store.Status(row.ColumnInt(0)).Name()), Error: row.ColumnText(1), Output: text(row, 2)}, row.ColumnText(4)},
			row.ColumnText(3), row.ColumnInt64(5),
		}, true
		return nil
	}, key)
	return h, found, err
}

// unhold deletes a held callback.
func (t *tx) unhold(key []byte, project int64) error {
	if err := t.execute(deleteHeld, key); err != nil {
		return err
	}
	return t.execute(countHeld, -1, project)
}

// forgetHeld deletes callbacks that were held at the horizon or before, and returns how many.
func (t *tx) forgetHeld(horizon int64, limit int) (n int, err error) {
	type old struct {
		key     []byte
		project int64
	}
	var olds []old
	err = t.query(oldHeld, func(row *sqlite3.Stmt) error {
		olds = append(olds, old{append([]byte{}, row.ColumnRawBlob(0)...), row.ColumnInt64(1)})
		return nil
	}, horizon, limit)
	for _, o := range olds {
		if err == nil {
			err = t.unhold(o.key, o.project)
		}
	}
	return len(olds), err
}

// ListHeld implements engine.Holder. Its cursors are row ids.
func (e *Engine) ListHeld(ctx context.Context, projectID string, params waits.ListHeldParams) (waits.HeldPage, error) {
	answer := waits.HeldPage{Held: []waits.HeldCallback{}}
	var from int64
	if params.Cursor != nil {
		var err error
		if from, err = store.ParsePosition(*params.Cursor); err != nil {
			return answer, err
		}
	}
	limit := 1
	if params.Limit != nil {
		limit = *params.Limit
	}
	err := e.readers.read(ctx, projectID, func(c *conn) error {
		project, err := e.knownProject(c, projectID)
		if err != nil || project == 0 {
			return err
		}
		return c.query(listHeld, func(row *sqlite3.Stmt) error {
			if len(answer.Held) == limit {
				last := answer.Held[limit-1].HeldID
				answer.NextCursor = &last
				return errStop
			}
			answer.Held = append(answer.Held, waits.HeldCallback{
				HeldID: row.ColumnText(0), WorkflowID: row.ColumnText(1), RunID: callback.RunID(row.ColumnText(2)), StateID: callback.StateID(row.ColumnText(3)),
				ExecutionID: row.ColumnText(4), Result: callback.Result(store.Status(row.ColumnInt(5)).Name()), Error: row.ColumnText(6),
				OutputBytes: row.ColumnInt(7), SentBy: row.ColumnText(8), HeldAt: instant(row.ColumnInt64(9)),
			})
			return nil
		}, project, from, limit+1)
	})
	return answer, errors.Join(err, e.ended(ctx))
}

// DropHeld implements engine.Holder.
func (e *Engine) DropHeld(ctx context.Context, projectID, heldID string) error {
	id, err := strconv.ParseInt(heldID, 10, 64)
	if err != nil {
		return fmt.Errorf("held callback %s: %w", heldID, engine.ErrNotFound)
	}
	return e.writer.do(ctx, func(t *tx) error {
		project, err := e.projectOf(t.conn, projectID)
		if err != nil {
			return err
		}
		var key []byte
		err = t.query(heldByID, func(row *sqlite3.Stmt) error {
			key = append([]byte{}, row.ColumnRawBlob(0)...)
			return nil
		}, project, id)
		switch {
		case err != nil:
			return err
		case key == nil:
			return store.Refuse(engine.ErrNotFound, "held callback %s", heldID)
		default:
			return t.unhold(key, project)
		}
	})
}
