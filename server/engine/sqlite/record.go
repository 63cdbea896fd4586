package sqlite

import (
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
)

// pageBytes limits the JSON of a page, whatever its limit: a page ends early rather than
// take much memory on both sides.
const pageBytes = 512 << 10

// waitColumns are the columns that scanWait reads, of a wait w and its outcome o.
const waitColumns = `
SELECT w.id, w.wait_id, w.project_id, w.workflow_id, w.run_id, w.state_id, w.execution_id, w.status,
       w.created_at, w.expires_at, w.seq, (SELECT input FROM inputs WHERE wait = w.id),
       o.result, o.error, o.output, o.settled_at, o.caller
`

// selectWait selects waits with their outcomes, if they have one. SQLite compiles a
// statement with an outer join again for each value in its WHERE clause, which costs ten
// times as much as finding one row. A subquery around the value avoids that.
const selectWait = waitColumns + `
FROM waits w
LEFT JOIN outcomes o ON o.project_id = w.project_id AND o.seq = w.seq
`

// record is a wait with its positions in the list and the feed.
type record struct {
	wait    waits.Wait
	id, seq int64
}

// page collects at most limit waits, and fewer if they are large.
type page struct {
	limit   int
	records []record
	more    bool // the statement has more rows
	size    int
}

// add appends the current row, or ends the statement if the page is full.
func (p *page) add(row *sqlite.Stmt) error {
	if len(p.records) == p.limit || p.size > pageBytes {
		p.more = true
		return errPageFull
	}
	r := scanWait(row)
	p.records = append(p.records, r)
	p.size += len(r.wait.Input)
	if r.wait.Outcome != nil {
		p.size += len(r.wait.Outcome.Output)
	}
	return nil
}

// due returns the waits of the page that are past their deadline.
func (p *page) due(now int64) (due []record) {
	for _, r := range p.records {
		if r.isDue(now) {
			due = append(due, r)
		}
	}
	return due
}

// scanWait reads waitColumns.
func scanWait(row *sqlite.Stmt) record {
	r := record{
		id: row.ColumnInt64(0),
		wait: waits.Wait{
			WaitID:      row.ColumnText(1),
			ProjectID:   row.ColumnText(2),
			WorkflowID:  row.ColumnText(3),
			RunID:       callback.RunID(row.ColumnText(4)),
			StateID:     callback.StateID(row.ColumnText(5)),
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
