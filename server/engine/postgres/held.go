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
	holdAll  = `SELECT * FROM flowcallback.hold($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
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

// A holding holds a callback for an unknown state.
type holding struct {
	settling  *settling
	key       engine.Key
	execution string

	answer int
}

// hold holds a callback. isKnown means that the state is known in the meantime.
func (e *Engine) hold(ctx context.Context, s *settling, key engine.Key) (executionID string, isKnown bool, err error) {
	h := &holding{settling: s, key: key, execution: engine.ExecutionID(key.RunID)}
	if err := e.holds.do(ctx, h); err != nil {
		return "", false, err
	}
	switch h.answer {
	case holdKnown:
		return "", true, nil
	case holdFull:
		return "", false, store.Refuse(engine.ErrOverloaded, "the project has %d held callbacks, which is the limit; drop those that nobody will open", e.options.MaxHeld)
	default:
		return h.execution, false, nil
	}
}

// holdAll runs a batch of holdings.
func (e *Engine) holdAll(ctx context.Context, c *pgx.Conn, batch []*store.Item[*holding]) ([]error, error) {
	n := len(batch)
	var columns [9][][]byte
	for i := range columns {
		columns[i] = make([][]byte, n)
	}
	statuses := make([]int16, n)
	for i, item := range batch {
		h := item.Change
		for j, value := range [...][]byte{
			h.settling.key, []byte(h.key.ProjectID), []byte(h.key.WorkflowID), []byte(h.key.RunID), []byte(h.key.StateID), []byte(h.execution),
			h.settling.error, h.settling.output, h.settling.caller,
		} {
			columns[j][i] = value
		}
		statuses[i] = int16(h.settling.status) //nolint:gosec // 2 or 3
	}
	rows, err := c.Query(ctx, holdAll, e.ahead(), columns[0], columns[1], columns[2], columns[3], columns[4], columns[5], statuses, columns[6], columns[7], columns[8], int64(e.options.MaxHeld))
	if err != nil {
		return nil, err
	}
	answers := make([]int, n)
	var i int64
	var answer int
	if _, err := pgx.ForEachRow(rows, []any{&i, &answer}, func() error {
		answers[i-1] = answer
		return nil
	}); err != nil {
		return nil, err
	}
	for i, item := range batch {
		item.Change.answer = answers[i]
	}
	return make([]error, n), nil
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
	err := e.read(ctx, projectID, func(ctx context.Context, c *pgxpool.Conn) error {
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
	return e.changes.do(ctx, deletion(store.Refuse(engine.ErrNotFound, "held callback %s", heldID), dropHeld, []byte(projectID), id))
}
