package sqlite

import (
	"encoding/json"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine/store"
)

const (
	waitColumns = `
SELECT w.id, w.project, w.wait_id, p.name, w.workflow_id, w.run_id, w.state_id, w.execution_id, w.created_at, w.expires_at,
       (SELECT input FROM inputs WHERE wait = w.id), w.title, w.tags, w.opened_by, (SELECT schema FROM schemas WHERE wait = w.id)`
	waitColumnCount = 15
	selectWait      = waitColumns + ` FROM waits w JOIN projects p ON p.id = w.project `
	waitByRow       = selectWait + `WHERE w.id = ?`
	waitExists      = `SELECT 1 FROM waits WHERE id = ?`
	waitByID        = selectWait + `WHERE w.wait_id = ? AND w.project = ?`

	outcomeColumns     = `o.status, o.error, o.output, o.settled_at, o.caller`
	outcomeColumnCount = 5
	outcomeAt          = `SELECT ` + outcomeColumns + ` FROM outcomes o WHERE o.project = ? AND o.seq = ?`
)

// record is a wait with its place in the store.
type record struct {
	wait waits.Wait
	entry
}

// size returns how much of a page the wait takes.
func (r *record) size() int {
	if r.wait.Outcome == nil {
		return len(r.wait.Input) + len(r.wait.OutputSchema)
	}
	return len(r.wait.Input) + len(r.wait.OutputSchema) + len(r.wait.Outcome.Output)
}

// scanWait reads waitColumns. The record has no outcome yet.
func scanWait(row *sqlite3.Stmt) record {
	r := record{
		entry: entry{wait: row.ColumnInt64(0), project: row.ColumnInt64(1)},
		wait: waits.Wait{
			WaitID:       row.ColumnText(2),
			ProjectID:    row.ColumnText(3),
			WorkflowID:   row.ColumnText(4),
			RunID:        callback.RunID(row.ColumnText(5)),
			StateID:      callback.StateID(row.ColumnText(6)),
			ExecutionID:  row.ColumnText(7),
			Status:       waits.Waiting,
			CreatedAt:    instant(row.ColumnInt64(8)),
			ExpiresAt:    instant(row.ColumnInt64(9)),
			Input:        text(row, 10),
			Title:        row.ColumnText(11),
			Tags:         tagsFrom(row.ColumnText(12)),
			OpenedBy:     row.ColumnText(13),
			OutputSchema: text(row, 14),
		},
	}
	if r.wait.ExecutionID == "" {
		r.wait.ExecutionID = string(r.wait.RunID)
	}
	return r
}

// scanOutcome adds outcomeColumns, from the given column on.
func (r *record) scanOutcome(row *sqlite3.Stmt, column int) {
	r.status = store.Status(row.ColumnInt(column))
	r.wait.Status = r.status.Name()
	if output := text(row, column+2); output != nil {
		r.wait.Outcome = &waits.Outcome{Result: callback.Result(r.wait.Status), Error: row.ColumnText(column + 1), Output: output}
	}
	at := instant(row.ColumnInt64(column + 3))
	r.wait.SettledAt = &at
	r.wait.SettledBy = row.ColumnText(column + 4)
	if r.status == store.Cancelled {
		r.wait.CancelReason = row.ColumnText(column + 1)
	}
}

// tagsText returns the stored form of tags, empty if there are none.
func tagsText(tags []string) optional {
	if len(tags) == 0 {
		return ""
	}
	text, _ := json.Marshal(tags) // strings always succeed
	return optional(text)
}

// tagsFrom reads what tagsText has written.
func tagsFrom(text string) (tags []string) {
	if text != "" {
		_ = json.Unmarshal([]byte(text), &tags) // this package has written it
	}
	return tags
}

// complete adds the outcome of a wait with a known entry. found is false if retention has
// deleted it.
func (c *conn) complete(r *record, x entry) (found bool, err error) {
	r.status, r.seq = x.status, x.seq
	if x.seq == 0 {
		return true, nil
	}
	err = c.query(outcomeAt, func(row *sqlite3.Stmt) error {
		r.scanOutcome(row, 0)
		found = true
		return nil
	}, r.project, x.seq)
	return found, err
}

// record reads a wait for a reader. Its statement takes a row of waits.
func (e *Engine) record(c *conn, statement string, arguments ...any) (r record, found bool, err error) {
	err = c.query(statement, func(row *sqlite3.Stmt) error {
		r, found = scanWait(row), true
		return nil
	}, arguments...)
	if err != nil || !found {
		return r, false, err
	}
	x, ok := e.catalog.get(r.entry.wait) // before folded reads the file
	if !ok {
		if x, err = c.folded(r.entry.wait, r.project); err != nil {
			return r, false, err
		}
		if x.seq == 0 { // it waits, or retention has just deleted it
			exists := false
			err := c.query(waitExists, func(*sqlite3.Stmt) error { exists = true; return nil }, r.entry.wait)
			if err != nil || !exists {
				return r, false, err
			}
		}
	}
	if found, err = c.complete(&r, x); err != nil || found {
		return r, found, err
	}
	// Retention has deleted the outcome, or it is of a commit after the snapshot that is read.
	floor, err := c.floor(r.project)
	if err != nil || x.seq <= floor {
		return r, false, err
	}
	r.status, r.seq = store.Waiting, 0
	return r, true, nil
}

func instant(milliseconds int64) time.Time { return time.UnixMilli(milliseconds).UTC() }

// isDue reports whether a wait is past its deadline but still stored as waiting.
func (r *record) isDue(now int64) bool {
	return r.wait.Status == waits.Waiting && r.wait.ExpiresAt.UnixMilli() <= now
}

// showExpired shows a wait that is due as expired. That is correct only after Engine.expire
// was called with the same time: earlier changes of the writer are in what was read since,
// and its later changes see the wait as due too.
func (r *record) showExpired(now int64) {
	if r.isDue(now) {
		r.wait.Status, r.wait.SettledAt = waits.Expired, &r.wait.ExpiresAt
	}
}
