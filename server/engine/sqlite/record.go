package sqlite

import (
	"database/sql"
	"encoding/json"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
)

// pageBytes bounds the JSON that one page carries, whatever its limit: a page ends early
// rather than fill the memory of both sides.
const pageBytes = 4 << 20

// record is a wait with what orders it.
type record struct {
	wait    waits.Wait
	id, seq int64
}

// scanPage reads up to limit waits, fewer where they are large, and reports whether it
// left some. It closes rows.
func scanPage(rows *sql.Rows, limit int) (records []record, more bool, err error) {
	defer rows.Close()
	size := 0
	for rows.Next() {
		if len(records) == limit || size > pageBytes {
			return records, true, nil
		}
		r, err := scanWait(rows)
		if err != nil {
			return nil, false, err
		}
		records = append(records, r)
		size += len(r.wait.Input)
		if r.wait.Outcome != nil {
			size += len(r.wait.Outcome.Output)
		}
	}
	return records, false, rows.Err()
}

// scanWait reads the columns of selectWait.
func scanWait(row scanner) (r record, err error) {
	var createdAt, expiresAt int64
	var input, result, reason, output sql.NullString
	var seq, settledAt sql.NullInt64
	w := &r.wait
	err = row.Scan(&r.id, &w.WaitID, &w.ProjectID, &w.WorkflowID, &w.RunID, &w.StateID, &w.ExecutionID, &w.Status,
		&createdAt, &expiresAt, &seq, &input, &result, &reason, &output, &settledAt)
	if err != nil {
		return r, err
	}
	r.seq = seq.Int64
	w.CreatedAt, w.ExpiresAt = instant(createdAt), instant(expiresAt)
	if input.Valid {
		w.Input = json.RawMessage(input.String)
	}
	if result.Valid {
		w.Outcome = &waits.Outcome{Result: callback.Result(result.String), Error: reason.String, Output: json.RawMessage(output.String)}
	}
	if settledAt.Valid {
		at := instant(settledAt.Int64)
		w.SettledAt = &at
	}
	return r, nil
}

func instant(milliseconds int64) time.Time { return time.UnixMilli(milliseconds).UTC() }

// isDue reports whether a wait is past its deadline and stored as waiting all the same.
func (r *record) isDue(now int64) bool {
	return r.wait.Status == waits.Waiting && r.wait.ExpiresAt.UnixMilli() <= now
}

// expireAt has a wait that is due shown as expired. It may be shown so once Engine.expire
// was called with that time: whatever the writer did before is in what was read since, and
// whatever it does later finds the wait due as well.
func (r *record) expireAt(now int64) {
	if r.isDue(now) {
		r.wait.Status, r.wait.SettledAt = waits.Expired, &r.wait.ExpiresAt
	}
}

func dueOf(records []record, now int64) (due []record) {
	for _, r := range records {
		if r.isDue(now) {
			due = append(due, r)
		}
	}
	return due
}
