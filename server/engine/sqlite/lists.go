package sqlite

import (
	"context"
	"errors"
	"math"
	"strconv"

	"github.com/ncruces/go-sqlite3"

	"github.com/flowcallback/flowcallback/gen/waits"
)

const (
	newerChunks = `SELECT chunk, waits FROM lists WHERE project = ? AND workflow_id = ? AND status = ? AND chunk >= ? ORDER BY chunk`
	olderChunks = `SELECT chunk, waits FROM lists WHERE project = ? AND workflow_id = ? AND status = ? AND chunk <= ? ORDER BY chunk DESC`
)

// ListWaits implements engine.Reader. Its cursors are row ids. It reads the rows of the page and
// no others: each list with a status or a workflow has rows of its own.
func (e *Engine) ListWaits(ctx context.Context, projectID string, params waits.ListWaitsParams) (waits.WaitPage, error) {
	answer := waits.WaitPage{Waits: []waits.Wait{}}
	q, err := queryOf(params)
	if err != nil {
		return answer, err
	}
	now := e.now()
	if q.status == waiting || q.status == expired {
		err = e.expireDue(ctx)
	}
	if err == nil {
		err = e.foldFresh(ctx)
	}
	if err != nil && !cannotWrite(err) {
		return answer, errors.Join(err, e.ended(ctx))
	}
	var found page
	read := func() error {
		return e.readers.read(ctx, projectID, func(c *conn) error {
			found = page{limit: q.limit}
			return e.list(c, projectID, q, &found)
		})
	}
	err = read()
	if due := found.due(now); err == nil && len(due) > 0 {
		if err = e.expire(ctx, due, now); err == nil {
			err = read()
		}
	}
	if err != nil {
		return answer, errors.Join(err, e.ended(ctx))
	}
	for _, r := range found.records {
		r.showExpired(now)
		answer.Waits = append(answer.Waits, r.wait)
	}
	if found.next != 0 {
		cursor := strconv.FormatInt(found.next, 10)
		answer.NextCursor = &cursor
	}
	return answer, nil
}

// A listQuery says which waits a page has.
type listQuery struct {
	status   status
	workflow string
	oldest   bool  // first
	from     int64 // the last wait of the page before
	limit    int
}

func queryOf(params waits.ListWaitsParams) (q listQuery, err error) {
	q = listQuery{from: math.MaxInt64, limit: 1, oldest: params.Order != nil && *params.Order == waits.Oldest}
	if q.oldest {
		q.from = 0
	}
	if params.Cursor != nil {
		if q.from, err = parsePosition(*params.Cursor); err != nil {
			return q, err
		}
	}
	if params.Status != nil {
		q.status = statusOf(*params.Status)
	}
	if params.WorkflowID != nil {
		q.workflow = *params.WorkflowID
	}
	if params.Limit != nil {
		q.limit = *params.Limit
	}
	return q, nil
}

// page collects at most limit waits, and fewer if they are large.
type page struct {
	limit   int
	records []record
	next    int64 // the last wait of the page, if there may be more
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

// list reads a page.
func (e *Engine) list(c *conn, projectID string, q listQuery, found *page) error {
	project, err := e.knownProject(c, projectID)
	if err != nil || project == 0 {
		return err
	}
	ids, err := c.listed(project, q)
	if err != nil {
		return err
	}
	size := 0
	for i, id := range ids {
		if i == q.limit || size > pageBytes {
			found.next = ids[i-1]
			break
		}
		r, ok, err := e.record(c, waitByRow, id)
		if err != nil {
			return err
		}
		if ok && (q.status == anyStatus || r.status == q.status) { // else it changed after the fold
			found.records = append(found.records, r)
			size += r.size()
		}
	}
	return nil
}

// listed returns the waits of a page, and one more if there are more.
func (c *conn) listed(project int64, q listQuery) (ids []int64, err error) {
	statement := olderChunks
	if q.oldest {
		statement = newerChunks
	}
	err = c.query(statement, func(row *sqlite3.Stmt) error {
		var bits [listChunk / 8]byte
		unpackBits(bits[:], row.ColumnRawBlob(1))
		first := row.ColumnInt64(0) * listChunk
		for i := range int64(listChunk) {
			if !q.oldest {
				i = listChunk - 1 - i
			}
			id := first + i
			if bits[i/8]&(1<<(i%8)) == 0 || q.oldest && id <= q.from || !q.oldest && id >= q.from {
				continue
			}
			if ids = append(ids, id); len(ids) > q.limit {
				return errStop
			}
		}
		return nil
	}, project, q.workflow, q.status, q.from/listChunk)
	return ids, err
}
