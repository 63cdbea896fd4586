package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	selectRecord = `
SELECT w.id, w.key, w.wait_id, p.name, w.workflow_id, w.run_id, w.state_id, w.execution_id, w.created_at, w.expires_at, w.title, w.tags, w.opened_by, w.input, w.output_schema,
       o.position, o.status, o.at, o.error, o.output, o.caller, o.wait IS NULL AND w.expires_at <= flowcallback.now($1)
FROM flowcallback.projects p JOIN flowcallback.waits w ON w.project = p.id
LEFT JOIN LATERAL (SELECT * FROM flowcallback.outcomes o WHERE o.project = w.project AND o.status IN (2, 3, 4, 5) AND o.wait = w.id LIMIT 1) o ON true
WHERE p.name = $2 AND `
	byID  = selectRecord + `w.wait_id = $3`
	byKey = selectRecord + `w.key = $3`
	byRow = selectRecord + `w.id = ANY ($3::bigint[])`
)

// record is a wait with its place in the database.
type record struct {
	wait     waits.Wait
	id       int64
	key      []byte
	position int64 // in the feed; 0 while it waits
	due      bool  // past its deadline, and still stored as waiting
}

// records reads waits of a project. The statement is byID, byKey or byRow.
func (e *Engine) records(ctx context.Context, projectID, statement string, argument any) (found []record, err error) {
	err = e.read(ctx, projectID, func(ctx context.Context, c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, statement, e.ahead(), []byte(projectID), argument)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, scanRecord)
		return err
	})
	return found, err
}

// scanRecord reads the columns of selectRecord.
func scanRecord(row pgx.CollectableRow) (r record, err error) {
	var waitID, project, workflow, run, state, execution, title, tags, openedBy, text, output, caller []byte
	var input, schema []byte
	var position *int64
	var status *store.Status
	var at *time.Time
	w := &r.wait
	err = row.Scan(&r.id, &r.key, &waitID, &project, &workflow, &run, &state, &execution, &w.CreatedAt, &w.ExpiresAt, &title, &tags, &openedBy, &input, &schema,
		&position, &status, &at, &text, &output, &caller, &r.due)
	if err != nil {
		return r, err
	}
	w.WaitID, w.ProjectID, w.WorkflowID, w.RunID, w.StateID = string(waitID), string(project), string(workflow), callback.RunID(run), callback.StateID(state)
	w.ExecutionID, w.CreatedAt, w.ExpiresAt = string(execution), w.CreatedAt.UTC(), w.ExpiresAt.UTC()
	w.Title, w.Tags, w.OpenedBy, w.Input, w.OutputSchema = string(title), tagsFrom(tags), string(openedBy), input, schema
	w.Status = waits.Waiting
	if status == nil {
		return r, nil
	}
	r.position, w.Status, w.SettledBy = *position, status.Name(), string(caller)
	settledAt := at.UTC()
	if w.Status == waits.Expired {
		settledAt = w.ExpiresAt
	}
	w.SettledAt = &settledAt
	if output != nil {
		w.Outcome = &waits.Outcome{Result: callback.Result(w.Status), Error: string(text), Output: output}
	}
	if w.Status == waits.Cancelled {
		w.CancelReason = string(text)
	}
	return r, nil
}

// showExpired shows a wait that is due as expired. While the database cannot be written, nothing can
// settle it either.
func (r *record) showExpired() {
	if r.due {
		r.wait.Status, r.wait.SettledAt = waits.Expired, &r.wait.ExpiresAt
	}
}

// expire expires those of some waits that are due.
func (e *Engine) expire(ctx context.Context, projectID string, all []record) error {
	for _, r := range all {
		if r.due {
			if err := e.settles.do(ctx, &settling{key: r.key, project: projectID, want: r.id, status: store.Expired}); err != nil {
				return err
			}
		}
	}
	return nil
}

// cannotWrite reports whether a change was refused because the database cannot take it now. Waits
// may still be readable.
func cannotWrite(err error) bool {
	return errors.Is(err, engine.ErrUnavailable) || errors.Is(err, engine.ErrOverloaded)
}

// tagsText returns the stored form of tags, NULL if there are none.
func tagsText(tags []string) []byte {
	if len(tags) == 0 {
		return nil
	}
	text, _ := json.Marshal(tags) // strings always succeed
	return text
}

// tagsFrom reads what tagsText has written.
func tagsFrom(text []byte) (tags []string) {
	if text != nil {
		_ = json.Unmarshal(text, &tags) // this package has written it
	}
	return tags
}
