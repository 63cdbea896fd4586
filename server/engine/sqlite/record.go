package sqlite

import (
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
)

// pageBytes bounds the JSON that one page carries, whatever its limit: a page ends early
// rather than fill the memory of both sides.
const pageBytes = 4 << 20

// selectWait reads waits in the order of columns that scanWait wants. A statement with an
// outer join is compiled anew for each value that its WHERE compares with, which costs ten
// times what finding one row does; such a value is best hidden in a subquery.
const selectWait = `
SELECT w.id, w.wait_id, w.project_id, w.workflow_id, w.run_id, w.state_id, w.execution_id, w.status,
       w.created_at, w.expires_at, w.seq, (SELECT input FROM inputs WHERE wait = w.id),
       o.result, o.error, o.output, o.settled_at, o.caller
FROM waits w
LEFT JOIN outcomes o ON o.project_id = w.project_id AND o.seq = w.seq
`

// record is a wait with what orders it.
type record struct {
	wait    waits.Wait
	id, seq int64
}

// page collects up to limit waits, fewer where they are large.
type page struct {
	limit   int
	records []record
	more    bool // some were left
	size    int
}

// add takes the present row; it ends the statement when the page is full.
func (p *page) add(row *sqlite.Stmt) error {
	if len(p.records) == p.limit || p.size > pageBytes {
		p.more = true
		return errEnough
	}
	r := scanWait(row)
	p.records = append(p.records, r)
	p.size += len(r.wait.Input)
	if r.wait.Outcome != nil {
		p.size += len(r.wait.Outcome.Output)
	}
	return nil
}

// due are those of its waits that are past their deadline.
func (p *page) due(now int64) (due []record) {
	for _, r := range p.records {
		if r.isDue(now) {
			due = append(due, r)
		}
	}
	return due
}

// scanWait reads the columns of selectWait.
func scanWait(row *sqlite.Stmt) record {
	r := record{
		id: row.ColumnInt64(0),
		wait: waits.Wait{
			WaitID:      row.ColumnText(1),
			ProjectID:   row.ColumnText(2),
			WorkflowID:  row.ColumnText(3),
			RunID:       row.ColumnText(4),
			StateID:     row.ColumnText(5),
			ExecutionID: row.ColumnText(6),
			Status:      waits.Status(row.ColumnText(7)),
			CreatedAt:   instant(row.ColumnInt64(8)),
			ExpiresAt:   instant(row.ColumnInt64(9)),
			Input:       text(row, 11),
			SettledBy:   row.ColumnText(16),
		},
		seq: row.ColumnInt64(10),
	}
	if !row.ColumnIsNull(12) {
		r.wait.Outcome = &waits.Outcome{Result: callback.Result(row.ColumnText(12)), Error: row.ColumnText(13), Output: text(row, 14)}
	}
	if !row.ColumnIsNull(15) {
		at := instant(row.ColumnInt64(15))
		r.wait.SettledAt = &at
	}
	return r
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
