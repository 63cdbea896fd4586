package sqlite

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
)

const (
	// maxRead limits the waits whose deadlines a request looks at one by one. What it has then
	// is a short page.
	maxRead = 4096
	// maxIndex limits the entries of the index of deadlines that a request walks.
	maxIndex = 20_000
)

const (
	deadlineOf     = `SELECT expires_at FROM waits WHERE id = ?`
	deadlinesAfter = `SELECT expires_at, id FROM waits WHERE project = ? AND (expires_at, id) > (?, ?) ORDER BY expires_at, id`
	openedFrom     = `SELECT id, created_at FROM waits WHERE id >= ? ORDER BY id LIMIT 1`
)

// ListWaits implements engine.Reader. Its cursors are row ids, or deadlines with row ids. It
// finds the waits of a page with the sets of fold.go, and reads the rows of the page and few
// others.
func (e *Engine) ListWaits(ctx context.Context, projectID string, params waits.ListWaitsParams, wait time.Duration) (waits.WaitPage, error) {
	q, err := queryOf(params)
	if err != nil {
		return waits.WaitPage{}, err
	}
	timeout, stop := timeoutAfter(wait)
	defer stop()
	var project int64
	for {
		woken, leave := e.hub.subscribe(topic{opened: project}) // of project 0, when there is a new one
		subscribed := project
		page, err := e.listPage(ctx, projectID, &project, q)
		isLast := err == nil && q.order == waits.Oldest && *page.NextCursor == strconv.FormatInt(q.from, 10)
		again := isLast && (project != subscribed || e.pause(ctx, woken, timeout))
		leave()
		if !again {
			return page, errors.Join(err, e.ended(ctx))
		}
	}
}

// listPage reads a page, and finds out the project if it is 0.
func (e *Engine) listPage(ctx context.Context, projectID string, project *int64, q listQuery) (waits.WaitPage, error) {
	answer := waits.WaitPage{Waits: []waits.Wait{}}
	now, err := e.upToDate(ctx, q.status)
	if err != nil {
		return answer, err
	}
	var found page
	read := func() error {
		return e.readers.read(ctx, projectID, func(c *conn) (err error) {
			found = page{}
			if *project, err = e.knownProject(c, projectID); err != nil || *project == 0 {
				return err
			}
			return c.snapshot(func() error { return e.list(c, *project, q, &found) })
		})
	}
	err = read()
	if due := found.due(now); err == nil && len(due) > 0 {
		if err = e.expire(ctx, due, now); err == nil {
			err = read()
		}
	}
	if err != nil {
		return answer, err
	}
	for _, r := range found.records {
		r.showExpired(now)
		answer.Waits = append(answer.Waits, r.wait)
	}
	if found.next == "" && q.order == waits.Oldest {
		found.next = strconv.FormatInt(q.from, 10)
		if n := len(found.records); n > 0 {
			found.next = strconv.FormatInt(found.records[n-1].entry.wait, 10)
		}
	}
	if found.next != "" {
		answer.NextCursor = &found.next
	}
	return answer, nil
}

// upToDate brings the sets up to date, as of the returned time. A store that cannot be written
// can still be read.
func (e *Engine) upToDate(ctx context.Context, s status) (now int64, err error) {
	now = e.now()
	if s == waiting || s == expired {
		err = e.expireDue(ctx)
	}
	if err == nil {
		err = e.foldFresh(ctx)
	}
	if cannotWrite(err) {
		err = nil
	}
	return now, err
}

// A listQuery says which waits a page has.
type listQuery struct {
	filter
	order         waits.Order
	status        status
	openedBefore  int64 // instants in milliseconds
	expiresBefore int64
	from, after   int64 // the row id and, in the order of deadlines, the deadline of the last wait of the page before
	limit         int
}

// A filter selects waits by their ids and tags.
type filter struct {
	names  []string // of sets that must all have the wait
	prefix string   // of the names of sets of which one must have it; empty if there is none
}

func filterOf(params waits.CountWaitsParams) filter {
	names := [][]string{name(ofRun, params.RunID), name(withTag, params.Tag), name(ofState, params.StateID), name(ofWorkflow, params.WorkflowID)}
	f := filter{names: slices.Concat(names...)}
	if params.WorkflowPrefix != nil {
		f.prefix = ofWorkflow + *params.WorkflowPrefix
	}
	return f
}

// name returns the name of the set of a label, if there is a label.
func name[T ~string](letter string, label *T) []string {
	if label == nil {
		return nil
	}
	return []string{letter + string(*label)}
}

func queryOf(params waits.ListWaitsParams) (q listQuery, err error) {
	q = listQuery{
		filter: filterOf(waits.CountWaitsParams{WorkflowID: params.WorkflowID, WorkflowPrefix: params.WorkflowPrefix, RunID: params.RunID, StateID: params.StateID, Tag: params.Tag}),
		order:  waits.Newest, from: math.MaxInt64, openedBefore: math.MaxInt64, expiresBefore: math.MaxInt64, limit: 1,
	}
	if params.Order != nil {
		q.order = *params.Order
	}
	if q.order != waits.Newest {
		q.from = 0
	}
	if params.Cursor != nil {
		id := *params.Cursor
		if q.order == waits.Deadline {
			deadline, rest, ok := strings.Cut(id, "-")
			if !ok {
				return q, engine.ErrCursor // of another order
			}
			if q.after, err = parsePosition(deadline); err != nil {
				return q, err
			}
			id = rest
		}
		if q.from, err = parsePosition(id); err != nil {
			return q, err
		}
	}
	if params.Status != nil {
		q.status = statusOf(*params.Status)
	}
	if params.OpenedBefore != nil {
		q.openedBefore = params.OpenedBefore.UnixMilli()
	}
	if params.ExpiresBefore != nil {
		q.expiresBefore = params.ExpiresBefore.UnixMilli()
	}
	if params.Limit != nil {
		q.limit = *params.Limit
	}
	return q, nil
}

// page collects waits.
type page struct {
	records []record
	next    string // the cursor of the last wait, if there may be more
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

// place is a wait of a list.
type place struct{ wait, expiresAt int64 }

// cursor returns the cursor after a place.
func (q *listQuery) cursor(p place) string {
	id := strconv.FormatInt(p.wait, 10)
	if q.order == waits.Deadline {
		return strconv.FormatInt(p.expiresAt, 10) + "-" + id
	}
	return id
}

// list reads a page.
func (e *Engine) list(c *conn, project int64, q listQuery, found *page) error {
	s, err := c.newSearch(project, q.filter, q.status)
	if err != nil {
		return err
	}
	bound := int64(math.MaxInt64) // of row ids
	if q.openedBefore != math.MaxInt64 {
		if bound, err = c.openedBound(q.openedBefore); err != nil {
			return err
		}
	}
	find := c.byOpening
	if q.order == waits.Deadline {
		find = c.byDeadline
	}
	places, stopped, err := find(s, q, bound)
	if err != nil {
		return err
	}
	size := 0
	for i, p := range places {
		if i == q.limit || size > pageBytes {
			found.next = q.cursor(places[i-1])
			return nil
		}
		r, ok, err := e.record(c, waitByRow, p.wait)
		if err != nil {
			return err
		}
		// Else it has changed since the fold.
		if ok && (q.status == anyStatus || r.status == q.status) && r.wait.CreatedAt.UnixMilli() < q.openedBefore {
			found.records = append(found.records, r)
			size += r.size()
		}
	}
	if stopped != nil {
		found.next = q.cursor(*stopped)
	}
	return nil
}

// openedBound returns a row id that all waits that were opened before an instant are below. Waits
// are opened in the order of the ids.
func (c *conn) openedBound(before int64) (int64, error) {
	low, high := int64(1), int64(math.MaxInt64) // the bound is in between
	for low < high {
		middle := low + (high-low)/2
		id, createdAt := int64(math.MaxInt64), int64(math.MaxInt64)
		err := c.query(openedFrom, func(row *sqlite3.Stmt) error {
			id, createdAt = row.ColumnInt64(0), row.ColumnInt64(1)
			return nil
		}, middle)
		switch {
		case err != nil:
			return 0, err
		case createdAt < before:
			low = id + 1
		default:
			high = middle
		}
	}
	return low, nil
}

// byOpening returns the places of a page and one more, in the order of opening. stopped is where
// it stopped if that took too long.
func (c *conn) byOpening(s *search, q listQuery, bound int64) (places []place, stopped *place, err error) {
	oldest := q.order == waits.Oldest
	from := q.from + 1
	if !oldest {
		from = min(q.from, bound) - 1
	}
	read := 0
	err = s.walk(from, !oldest, func(wait int64) error {
		if wait >= bound { // from the oldest on
			return errStop
		}
		p := place{wait: wait}
		if q.expiresBefore != math.MaxInt64 {
			read++
			if p.expiresAt, err = c.deadline(wait); err != nil {
				return err
			}
			if p.expiresAt < q.expiresBefore {
				places = append(places, p)
			}
			if read == maxRead {
				stopped = &p
				return errStop
			}
		} else {
			places = append(places, p)
		}
		if len(places) > q.limit {
			return errStop
		}
		return nil
	})
	return places, stopped, err
}

func (c *conn) deadline(wait int64) (expiresAt int64, err error) {
	err = c.query(deadlineOf, func(row *sqlite3.Stmt) error {
		expiresAt = row.ColumnInt64(0)
		return nil
	}, wait)
	return expiresAt, err
}

// byDeadline returns the places of a page and one more, the nearest deadline first. Of few waits
// it reads all deadlines; of many it walks the index, where a page is soon full.
func (c *conn) byDeadline(s *search, q listQuery, bound int64) (places []place, stopped *place, err error) {
	var few []int64
	err = s.walk(0, false, func(wait int64) error {
		if few = append(few, wait); len(few) > maxRead || wait >= bound {
			return errStop
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if len(few) > maxRead {
		return c.byIndex(s, q, bound)
	}
	for _, wait := range few {
		expiresAt, err := c.deadline(wait)
		if err != nil {
			return nil, nil, err
		}
		if wait < bound && q.isAfter(place{wait, expiresAt}) {
			places = append(places, place{wait, expiresAt})
		}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.expiresAt, b.expiresAt), cmp.Compare(a.wait, b.wait))
	})
	return places[:min(len(places), q.limit+1)], nil, nil
}

// isAfter reports whether a place is after the cursor and before the end, in the order of
// deadlines.
func (q *listQuery) isAfter(p place) bool {
	return p.expiresAt < q.expiresBefore && (p.expiresAt > q.after || p.expiresAt == q.after && p.wait > q.from)
}

func (c *conn) byIndex(s *search, q listQuery, bound int64) (places []place, stopped *place, err error) {
	walked := 0
	err = c.query(deadlinesAfter, func(row *sqlite3.Stmt) error {
		p := place{row.ColumnInt64(1), row.ColumnInt64(0)}
		if p.expiresAt >= q.expiresBefore {
			return errStop
		}
		has, err := s.has(p.wait)
		if err != nil {
			return err
		}
		if has && p.wait < bound {
			places = append(places, p)
		}
		if walked++; walked == maxIndex {
			stopped = &p
		}
		if len(places) > q.limit || stopped != nil {
			return errStop
		}
		return nil
	}, s.project, q.after, q.from)
	return places, stopped, err
}

// CountWaits implements engine.Reader.
func (e *Engine) CountWaits(ctx context.Context, projectID string, params waits.CountWaitsParams) (counts waits.WaitCounts, err error) {
	f := filterOf(params)
	if _, err := e.upToDate(ctx, waiting); err != nil {
		return counts, errors.Join(err, e.ended(ctx))
	}
	err = e.readers.read(ctx, projectID, func(c *conn) error {
		project, err := e.knownProject(c, projectID)
		if err != nil || project == 0 {
			return err
		}
		return c.snapshot(func() error {
			for status, count := range map[status]*waits.Count{waiting: &counts.Waiting, success: &counts.Success, fail: &counts.Fail, expired: &counts.Expired, cancelled: &counts.Cancelled} {
				if err := c.count(project, f, status, count); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return counts, errors.Join(err, e.ended(ctx))
}

// count counts the waits with a filter and a status, up to the limit.
func (c *conn) count(project int64, f filter, s status, count *waits.Count) error {
	found, err := c.newSearch(project, f, s)
	if err != nil {
		return err
	}
	return found.walk(0, false, func(int64) error {
		if count.Waits == waits.CountedWaitsMaximum {
			count.More = true
			return errStop
		}
		count.Waits++
		return nil
	})
}
