package postgres

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	holdOne  = `SELECT flowcallback.hold($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	listHeld = `
SELECT h.wait, w.workflow_id, w.run_id, w.state_id, w.execution_id, h.status, h.error, octet_length(h.output), h.caller, h.held_at
FROM flowcallback.held h JOIN flowcallback.waits w ON w.id = h.wait
WHERE h.project = (SELECT id FROM flowcallback.projects WHERE name = $1) AND h.wait > $2 ORDER BY h.wait LIMIT $3`
	dropHeld = `
WITH dropped AS (
  DELETE FROM flowcallback.held h WHERE h.project = (SELECT id FROM flowcallback.projects WHERE name = $1) AND h.wait = $2 RETURNING h.wait
)
DELETE FROM flowcallback.waits w USING dropped d WHERE w.id = d.wait AND w.project IS NULL`
)

// The answers of flowcallback.hold.
const (
	holdKnown = iota
	holdFull
)

// hold holds a callback for an unknown state. isKnown means that the state is known in the meantime.
func (e *Engine) hold(ctx context.Context, s *settling, key engine.Key) (executionID string, isKnown bool, err error) {
	executionID = engine.ExecutionID(key.RunID)
	var answer int
	err = e.changes.do(ctx, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, holdOne, e.ahead(), s.key, []byte(key.ProjectID), []byte(key.WorkflowID), []byte(key.RunID), []byte(key.StateID), []byte(executionID),
			int16(s.status), s.error, s.output, s.caller, int64(e.options.MaxHeld)).Scan(&answer)
	})
	switch {
	case err != nil:
		return "", false, err
	case answer == holdKnown:
		return "", true, nil
	case answer == holdFull:
		return "", false, store.Refuse(engine.ErrOverloaded, "the project has %d held callbacks, which is the limit; drop those that nobody will open", e.options.MaxHeld)
	default:
		return executionID, false, nil
	}
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
	err := e.read(ctx, projectID, func(c *pgxpool.Conn) error {
		answer = waits.HeldPage{Held: []waits.HeldCallback{}}
		rows, err := c.Query(ctx, listHeld, []byte(projectID), from, limit+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			var status store.Status
			var workflow, run, state, execution, text, caller []byte
			var h waits.HeldCallback
			if err := rows.Scan(&id, &workflow, &run, &state, &execution, &status, &text, &h.OutputBytes, &caller, &h.HeldAt); err != nil {
				return err
			}
			h.HeldID, h.WorkflowID, h.RunID, h.StateID = strconv.FormatInt(id, 10), string(workflow), callback.RunID(run), callback.StateID(state)
			h.ExecutionID, h.Result, h.Error, h.SentBy, h.HeldAt = string(execution), callback.Result(status.Name()), string(text), string(caller), h.HeldAt.UTC()
			answer.Held = append(answer.Held, h)
		}
		return rows.Err()
	})
	if err == nil && len(answer.Held) > limit {
		answer.Held = answer.Held[:limit]
		answer.NextCursor = &answer.Held[limit-1].HeldID
	}
	return answer, err
}

// DropHeld implements engine.Holder.
func (e *Engine) DropHeld(ctx context.Context, projectID, heldID string) error {
	id, err := store.ParsePosition(heldID)
	if err != nil {
		return fmt.Errorf("held callback %s: %w", heldID, engine.ErrNotFound)
	}
	return e.changes.do(ctx, func(ctx context.Context, c *pgx.Conn) error {
		tag, err := c.Exec(ctx, dropHeld, []byte(projectID), id)
		if err == nil && tag.RowsAffected() == 0 {
			err = store.Refuse(engine.ErrNotFound, "held callback %s", heldID)
		}
		return err
	})
}
